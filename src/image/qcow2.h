/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2 files that somebody else may have made, and how a tool is told what lies behind one. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False with TB_ERROR_IMAGE unless the file is a qcow2 image that stands alone: no backing
 * file, no external data file. Reads the header only. */
bool tb_qcow2_check(const char *path, GError **error);
/* The same for a layer: it must name just `backing` as what is behind it. */
bool tb_qcow2_check_layer(const char *path, const char *backing, GError **error);
/* The first for a disk that somebody else has made: of just this virtual size (bytes), and in a
 * state in which QEMU uses it as it is. */
bool tb_qcow2_check_import(const char *path, uint64_t size, GError **error);
/* The first on the header's bytes. */
bool tb_qcow2_check_header(const void *data, size_t length, const char *name, GError **error);

/* A name by which qemu-img opens `disk` and what it is to lie on (NULL-terminated,
 * may be NULL), whatever their headers say. g_free. */
char *tb_disk_description(const char *disk, const char *const *bases);
