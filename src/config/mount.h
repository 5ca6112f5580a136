/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a project gets into a box. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* As a read-only disk image of its own; the directory itself, read-only, by 9p or by virtiofs; or
 * whichever suits the project, chosen at each run (run/mounting.h). */
typedef enum {
    TB_MOUNT_UNSAID,
    TB_MOUNT_IMAGE,
    TB_MOUNT_9P,
    TB_MOUNT_VIRTIOFS,
    TB_MOUNT_AUTO
} TbMountType;

/* Where a kernel comes from that has what they need, in words. */
#define TB_MOUNT_KERNELS "Debian's package 'linux-image-amd64' has both 9p and virtiofs"

/* "image", "9p", "virtiofs", "auto"; NULL of TB_MOUNT_UNSAID. */
const char *tb_mount_type_name(TbMountType type);
/* And back. TB_ERROR_USAGE on anything else. */
bool tb_mount_type_parse(const char *text, TbMountType *type, GError **error);
