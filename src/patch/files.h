/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The quick half of tb_patch_files. */
#pragma once

#include "patch/patch.h"

/* As tb_patch_files, but no line is counted (added and removed are 0): no blob is read. */
GPtrArray *tb_patch_raw(TbGit *git, const char *base_tree, const char *result_tree, GError **error);
