/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What template.c (the store), template-make.c (boot and freeze) and template-manifest.c share with
 * template-gc.c. */
#pragma once

#include <sys/stat.h>

#include "image/template.h"

#define TB_TEMPLATE_FORMAT   1
#define TB_TEMPLATE_MANIFEST "manifest.json"

/* The files a fork needs, in this order; NULL-terminated. */
extern const char *const tb_template_files[];

/* What else lies in the store, by how its name begins. */
#define TB_TEMPLATE_NEW    ".new-"
#define TB_TEMPLATE_GONE   ".gone-"
#define TB_TEMPLATE_FAILED ".failed-"

/* template.c: the key of a shape on a machine as tb_box_machine describes it. g_free. */
char *tb_template_key(const TbShape *shape, const char *machine);
/* All names in the store; GPtrArray of char *. */
GPtrArray *tb_template_names(int store);
/* Whether a failure that was noted then still counts. A time to come does not: the clock was set
 * back since. */
bool tb_template_failure_counts(const struct stat *st);

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
