/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The directory of the store in which an image comes into being, and how it becomes one. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int images; /* the store's directory of images; -1 before */
    char *name; /* in it; removed by clear unless published */
    char *path; /* absolute */
} TbStaging;

#define TB_STAGING_NONE                                                                            \
    {                                                                                              \
        .images = -1                                                                               \
    }

/* Made empty; `need` bytes must be free, `what` says for what in the error. The caller holds the
 * lock "build-DIGEST". */
bool tb_staging_make(TbStaging *staging, const char *digest, uint64_t need, const char *what,
                     GError **error);
void tb_staging_clear(TbStaging *staging);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TbStaging, tb_staging_clear)

/* Makes a file in it read-only, gets it to the disk and gives its SHA-256 (hex, g_free). */
char *tb_staging_finish_file(const TbStaging *staging, const char *name, GError **error);
/* Writes manifest and SHA256SUMS; `sums` are those of disk, kernel and initrd. */
bool tb_staging_describe(const TbStaging *staging, const char *manifest, const char *const sums[3],
                         GError **error);
/* Makes it the image of `digest`, which `name` means from then on. A damaged image of the digest
 * makes room; one that is in use cannot. */
bool tb_staging_publish(TbStaging *staging, const char *digest, const char *name, GError **error);
