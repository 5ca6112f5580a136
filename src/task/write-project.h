/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What apply and undo share: the project is written, the task remembers. Private to src/task. */
#pragma once

#include "review/apply.h"
#include "task/store.h"
#include "util/git.h"

/* Notes in the task's apply/ (TbApplyOptions.note): the record of an apply, the mark of an undo. */
#define TB_NOTE_APPLIED "undo"
#define TB_NOTE_UNDONE  "undone"

/* The task's private git directory; TB_ERROR_NOT_FOUND when it has no patch or no objects. */
TbGit *tb_task_objects(const TbTask *task, GError **error);

/* The lock that makes applies of all tasks wait for each other; an apply of this task that was
 * interrupted is brought to its end. -1 with error set. Close to give back. */
int tb_project_begin(TbStore *store, TbTask *task, GError **error);

/* from..to onto the project, with the journal in the task's apply/. When it was done and
 * options->note is set, the task is applied (or ready again) and has (or has lost) its record. */
bool tb_project_write(TbTask *task, TbGit *git, const char *from, const char *to,
                      const TbApplyOptions *options, TbApplyOutcome *outcome, GPtrArray **drift,
                      GError **error);

/* Ends what a killed apply or undo left: puts the project back, or, when all had moved, lets the
 * task say so. */
bool tb_project_recover(TbTask *task, GError **error);

/* The task is ready again, its record gone: the project was found as it was before. */
bool tb_project_forget(TbTask *task, GError **error);

/* The record of what is applied; NULL without an error when there is none. */
TbUndo *tb_project_record(const TbTask *task, GError **error);
