/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commits that a task made in its box: brought along when they can be, kept with the task as a
 * series (patch/series.h). */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "patch/series.h"
#include "task/store.h"
#include "vm/session.h"

/* Asks the box for its commits, after the export, and writes the file `series`; sets task->commits
 * (the caller saves the record). The patch never depends on this: whatever fails becomes a note. */
void tb_task_commits_take(TbTask *task, TbSession *session, TbGit *git, const char *base_index,
                          const char *cwd);

/* The parts, for tests: the script that the box runs ("sh -c SCRIPT sh BASE LIMIT"), and what the
 * host makes of its answer in `fd`, in so many seconds a git (0: 60). */
extern const char tb_task_commits_script[];
bool tb_task_commits_store(TbTask *task, TbGit *git, const char *base_index, int fd,
                           unsigned seconds, GError **error);

/* The series as an mbox for git am, proved (tb_series_mails_write): a file without a name, at its
 * start, for the caller to close; -1 and TB_ERROR_NOT_FOUND when no commits came along. */
int tb_task_series_mails(const TbTask *task, GError **error);

/* The task's series: array of TbSeriesStep, empty when there were no commits. Needs no lock. */
GPtrArray *tb_task_series(const TbTask *task, GError **error);
