/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox diff --log. */
#pragma once

#include "task/store.h"

/* The task's commits to stdout, escaped; with `patch` each with its diff. */
bool tb_print_log(const TbTask *task, bool patch, GError **error);
