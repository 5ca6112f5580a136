/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes the archive format that Linux takes as an initramfs ("newc"). */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    GByteArray *out;
    uint32_t inode;
} TbCpio;

void tb_cpio_begin(TbCpio *cpio);
/* Parents must have been added before. `path` has no leading slash. */
void tb_cpio_dir(TbCpio *cpio, const char *path, unsigned mode);
void tb_cpio_file(TbCpio *cpio, const char *path, unsigned mode, const void *data, size_t length);
void tb_cpio_char(TbCpio *cpio, const char *path, unsigned mode, unsigned major, unsigned minor);
/* Adds the trailer; the bytes are the caller's. */
GBytes *tb_cpio_end(TbCpio *cpio);
