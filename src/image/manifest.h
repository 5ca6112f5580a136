/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* manifest.json: what an image is, and SHA256SUMS: what its files are, the manifest included. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "image/store.h"

#define TB_IMAGE_FORMAT 1

#define TB_IMAGE_DISK     "disk.qcow2"
#define TB_IMAGE_KERNEL   "kernel"
#define TB_IMAGE_INITRD   "initrd"
#define TB_IMAGE_MANIFEST "manifest.json"
#define TB_IMAGE_SUMS     "SHA256SUMS"

/* The files that SHA256SUMS names, in its order; ends with NULL. */
extern const char *const tb_image_files[];

/* What the manifest says besides a TbImage. */
typedef struct {
    const char *suite;           /* bootstrap; else NULL */
    const GPtrArray *sources;    /* lines of package sources; may be NULL */
    const char *location;        /* cloud image; else NULL */
    const char *location_digest; /* hex */
    const char *guest_digest;    /* hex, of the guest program */
    const GPtrArray *packages;   /* "NAME VERSION" */
    const char *import_of;       /* an import: the digest it had where it came from; else NULL */
} TbManifestSources;

/* The JSON text. `sums` are the hex digests of disk, kernel and initrd. */
char *tb_image_manifest_write(const TbImage *image, const TbManifestSources *sources,
                              const char *const sums[3]);
/* Reads the manifest in `dir` (of image `digest`) into a TbImage without lock. */
TbImage *tb_image_manifest_read(const char *dir, const char *digest, GError **error);

/* The same from a manifest's text (in its file's place, `dir`); its digest is what it says it is.
 * *packages (may be NULL) gets its "NAME VERSION" (GPtrArray of char *), *guest the digest of the
 * guest program (g_free, may be left NULL). */
TbImage *tb_image_manifest_parse(const char *text, size_t length, const char *dir,
                                 GPtrArray **packages, char **guest, GError **error);
/* The text of SHA256SUMS: `sums` are those of disk, kernel and initrd. g_free. */
char *tb_image_sums_format(const char *const sums[3], const char *manifest);
/* And back: four (g_free), in the order of tb_image_files. */
bool tb_image_sums_parse(const char *text, char *sums[4]);

/* What SHA256SUMS in `dir` says of the disk. g_free; NULL with TB_ERROR_IMAGE. */
char *tb_image_disk_sum(const char *dir, GError **error);

/* Hashes all of the image's files and compares them with SHA256SUMS; notes their state for
 * tb_image_check. TB_ERROR_IMAGE names the first that differs. `name` is for the message. */
bool tb_image_check_full(const char *dir, const char *digest, const char *name, GError **error);
/* The same, but trusts files whose device, inode, size and ctime are those noted. */
bool tb_image_check(const char *dir, const char *digest, const char *name, GError **error);
/* Forgets what was noted. */
void tb_image_check_forget(const char *digest);
