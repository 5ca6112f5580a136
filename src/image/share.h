/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images as files, to give to others: one zstd-compressed tar archive (archive.h) with
 *
 *     manifest.json   SHA256SUMS   kernel   initrd   disk.qcow2
 *
 * A layer travels whole: its disk with all that it lies on.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "image/store.h"

/* The files of the archive in their order; ends with NULL. */
extern const char *const tb_share_files[];

/* Writes the image to a new file; one that is there is not touched (TB_ERROR_EXISTS). */
bool tb_image_export(const char *name, const char *path, GError **error);

/*
 * Takes an image out of a file that anybody may have made. It is checked against its own digests,
 * which says that it is whole and not from whom it is. It never becomes the image of a recipe: its
 * digest is made of its content and of the fact that it was imported. `name`: what it is to be
 * called; NULL: what the file says, unless a recipe here is called so. TB_ERROR_EXISTS when another
 * image is called so. *there (may be NULL): it was imported before. Returns it open.
 */
TbImage *tb_image_import(const char *path, const char *name, bool *there, GError **error);

/* For tests: the same from bytes of the archive, not compressed. */
TbImage *tb_image_import_fd(int fd, const char *path, const char *name, bool compressed,
                            bool *there, GError **error);
