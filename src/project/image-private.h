/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between image.c, image-gc.c and base-cache.c. */
#pragma once

#include "project/private.h"

/* Names the boot of the host. g_free. */
char *tb_boot_id(void);
/* Where all projects' images are. g_free. */
char *tb_images_root(void);
/* Names of the image files in a project's directory. */
GPtrArray *tb_image_names(int dir);
/* The project's directory in the cache, where "lock" guards all names; -1: it has none. */
int tb_project_image_dir(const TbProjectImage *image);
/* Changed so shortly before a walk began that a later change need not show in the times. */
bool tb_is_recent(int64_t seconds, uint32_t nanoseconds, const struct timespec *started);
/* base-cache.c: removes what is kept of a base tree. The directory is locked. */
void tb_base_forget(int dir);
