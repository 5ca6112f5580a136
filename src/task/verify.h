/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A patch file proved again, anywhere its base exists. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "patch/patch.h"

/* Reads the patch in `fd` and proves it (patch/patch.h) on its base tree: that of the repository
 * that holds `dir`, or, where the repository has no such tree, the project's files as they are now.
 * *from_files (may be NULL) says which. Gives what the patch says of itself (tb_patch_info_free).
 * TB_ERROR_VERIFY: it is not what it says. TB_ERROR_NOT_FOUND: the base is not there, so nothing
 * can be said. Nothing is written to the project. */
TbPatchInfo *tb_verify_patch(int fd, const char *dir, bool *from_files, GError **error);
