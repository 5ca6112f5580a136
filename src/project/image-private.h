/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between image.c and image-gc.c. */
#pragma once

#include "project/private.h"

/* Names the boot of the host. g_free. */
char *tb_boot_id(void);
/* Where all projects' images are. g_free. */
char *tb_images_root(void);
/* Names of the image files in a project's directory. */
GPtrArray *tb_image_names(int dir);
