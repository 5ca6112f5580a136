/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What template.c (the store), template-make.c (boot and freeze) and template-manifest.c share. */
#pragma once

#include "image/template.h"

#define TB_TEMPLATE_FORMAT   1
#define TB_TEMPLATE_MANIFEST "manifest.json"

/* The files a fork needs, in this order; NULL-terminated. */
extern const char *const tb_template_files[];

/* template-make.c: boots the shape in `staging` (absolute; its descriptor is `dirfd`), freezes it
 * there, and writes the manifest. What is left in the directory is the template. */
bool tb_template_make(const TbShape *shape, const char *key, const char *machine,
                      const char *staging, int dirfd, GError **error);

/* template-manifest.c */
bool tb_template_manifest_write(const TbShape *shape, const char *key, const char *machine,
                                int dirfd, GError **error);
/* Reads and checks the template in `dir`: TB_ERROR_NOT_FOUND when there is none, TB_ERROR_IMAGE
 * that names the file that has changed. With `check` false only the manifest is read. */
TbTemplate *tb_template_manifest_read(const char *dir, const char *key, bool check, GError **error);
