/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A patch on its way to the screen, in colour where that is wanted. */
#pragma once

#include "cli/output.h"
#include "cli/style.h"

typedef struct TbPatchView TbPatchView;

/* `screen` and `style` are borrowed. Without colour bytes pass as they are. */
TbPatchView *tb_patch_view_new(TbScreen *screen, const TbStyle *style);
/* Any cut of the patch; what a line is follows from its own beginning and from the hunk it is in.
 */
bool tb_patch_view_write(TbPatchView *view, const void *data, size_t length, GError **error);
void tb_patch_view_free(TbPatchView *view);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbPatchView, tb_patch_view_free)
