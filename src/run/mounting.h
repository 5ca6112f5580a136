/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the project of a run gets into its box: what was asked for, whether that can be, and what
 * 'auto' means here. */
#pragma once

#include "config/mount.h"
#include "project/project.h"
#include "run/run.h"

/* By the options, else the settings, else the image's recipe. Never TB_MOUNT_UNSAID. */
TbMountType tb_mounting_asked(const TbRunOptions *options, const TbSettings *settings,
                              const TbImage *image);
/* Whether the image's kernel and this machine have what it takes; TB_ERROR_UNSUPPORTED or
 * TB_ERROR_DEPENDENCY that says what is missing and how to get it. Of auto: always. */
bool tb_mounting_possible(TbMountType mount, const TbImage *image, GError **error);
/* Whether the project is small enough for it; TB_ERROR_LIMIT when not. */
bool tb_mounting_fits(TbMountType mount, const TbProject *project, GError **error);
/* What 'auto' comes to for this project. *why (g_free): the reason, to follow "since". What must be
 * masked is not known yet, and takes an image (docs/masks.md). */
TbMountType tb_mounting_choose(const TbImage *image, const TbProject *project, char **why);
