/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "project/project.h"
#include "run/run.h"

/* Tells the project what a box is not to see, and how much of its history: patterns of both add up,
 * a history of the options counts before that of the settings. */
bool tb_task_set_masking(TbProject *project, const TbSettings *settings,
                         const TbRunOptions *options, GError **error);
