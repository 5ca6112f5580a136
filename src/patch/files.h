/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The quick half of tb_patch_files. */
#pragma once

#include "patch/patch.h"

/* As tb_patch_files, but no line is counted (added and removed are 0): no blob is read. */
GPtrArray *tb_patch_raw(TbGit *git, const char *base_tree, const char *result_tree, GError **error);

/* The same of trees (or commits) that may be made to cost: over so many bytes of git's answer, or
 * so many seconds, it is an error. */
GPtrArray *tb_patch_raw_within(TbGit *git, const char *base_tree, const char *result_tree,
                               size_t bytes, unsigned seconds, GError **error);

/* An empty array of TbPatchFile that frees them. */
GPtrArray *tb_patch_list_new(void);

/* Appends the ids of files and trees that `to` has and `from` has not, a line each; not `to`. */
bool tb_patch_list_objects(TbGit *git, const char *from, const char *to, GString *oids,
                           GError **error);

/* Packs what `from` has and `to` has not (files and trees that differ) into the private directory
 * itself, so that it does not go away with the repository it is borrowed from. */
bool tb_patch_keep(TbGit *git, const char *from, const char *to, GError **error);
