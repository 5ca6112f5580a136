/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Trees made of trees: a selection of a change, and the merge of two. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "util/git.h"

/* `tree` with the new side of `files` (array of TbPatchFile) on top. What stood in the way of a
 * path is gone, so the caller compares. g_free. */
char *tb_tree_overlay(TbGit *git, const char *tree, const GPtrArray *files, GError **error);

/* Those of the files between two trees that are one of `paths` or below it (array of TbPatchFile,
 * free as tb_patch_files), as a tree on top of `base_tree`: *tree. TB_ERROR_USAGE when a path names
 * none, TB_ERROR_CONFLICT when a file can only be changed together with one that is left out. */
GPtrArray *tb_tree_select(TbGit *git, const char *base_tree, const char *result_tree,
                          const char *const *paths, char **tree, GError **error);

/* git's own merge of `ours` and `theirs`, which both came from `base`, without a work tree: the
 * tree (g_free), with conflict markers where there must be, named by the labels. *conflicts: paths
 * (raw bytes) that have them; g_ptr_array_unref. TB_ERROR_UNSUPPORTED when git is too old. */
char *tb_tree_merge(TbGit *git, const char *base, const char *ours, const char *theirs,
                    const char *ours_label, const char *theirs_label, GPtrArray **conflicts,
                    GError **error);
