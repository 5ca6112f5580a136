/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a runaway ends: what a task may use of the host, and what becomes of it then. The limits
 * and their ends are in docs/limits.md. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "config/settings.h"
#include "task/store.h"
#include "vm/session.h"

/* Those of `first` that are set, else those of `second`, else the defaults. */
TbLimits tb_limits_merge(const TbLimits *first, const TbLimits *second);

/* Each as small as `asked` has it (free-space: as large), but for those that `flags` sets. */
void tb_limits_lower(TbLimits *limits, const TbLimits *flags, const TbLimits *asked);

/* "NAME=VALUE" as of --limit into `limits`. TB_ERROR_USAGE. */
bool tb_limits_parse(const char *text, TbLimits *limits, GError **error);

/* TB_ERROR_NO_SPACE when less than limits->free_space is free where the task's directory is. */
bool tb_limits_check_space(const TbTask *task, const TbLimits *limits, GError **error);

/* Lets the task have so many processes at once; with 0 there is nothing to do. Before its command.
 */
bool tb_limits_set_processes(TbSession *session, const TbLimits *limits, int64_t deadline,
                             GError **error);

/* All of them in a line, for the record. g_free. */
char *tb_limits_text(const TbLimits *limits, unsigned cpus, uint64_t memory, uint64_t disk,
                     uint64_t timeout);
