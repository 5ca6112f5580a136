/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a human decides on a task: apply it, take that back, discard it. All lock the task. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "review/apply.h"
#include "task/store.h"

/* Puts the patch on the project as it is now: all of it or nothing (review/apply.h). With `check`
 * nothing is written. A task that has no patch, or whose objects are gone, is TB_ERROR_NOT_FOUND;
 * drift is TB_ERROR_CONFLICT with *drift (may be NULL) naming each path. After TB_APPLY_DONE and
 * TB_APPLY_ALREADY the task is applied. */
bool tb_task_apply(TbStore *store, TbTask *task, bool check, TbApplyOutcome *outcome,
                   GPtrArray **drift, GError **error);

/* How an apply is to be. */
typedef struct {
    bool check;
    bool merge;               /* merge with what the project is now where it has moved on */
    const char *const *files; /* only these paths and what is below them; NULL: all */
    const char *tree;         /* in the task's git directory, in place of the result; may be NULL */
    TbApplyTo to;             /* not together with `merge` */
    const char *branch;       /* TB_APPLY_TO_BRANCH: its name */
} TbTaskApply;

/* tb_task_apply with a choice. What is applied is a tree of its own and recorded as such; applying
 * more of a task later adds to its record, so that one undo takes all back. *lines (may be NULL):
 * the drift after TB_ERROR_CONFLICT; else, when the merge left conflict markers, the files that
 * have them (escaped), and NULL when there are none.
 *
 * `to` INDEX: the index gets the same entries; COMMIT: and the branch that is checked out a commit
 * of them; BRANCH: a new branch on the commit that the task began with gets it, and nothing else
 * changes. All of it or nothing there, too. Refused, with the path, where index or commit are not
 * as the base for a path of the patch. A task that is applied already must be undone first. */
bool tb_task_apply_with(TbStore *store, TbTask *task, const TbTaskApply *how,
                        TbApplyOutcome *outcome, GPtrArray **lines, GError **error);

/* Takes an apply back: exactly what was there before, or, when a file has changed since, nothing
 * (TB_ERROR_CONFLICT, *drift names each). The task is ready again. TB_APPLY_ALREADY: nothing is
 * applied (any more). */
bool tb_task_undo(TbStore *store, TbTask *task, TbApplyOutcome *outcome, GPtrArray **drift,
                  GError **error);

/* The task is not wanted: drops its box and its objects, keeps record, log and patch until the
 * next gc. Discarding twice is fine. */
bool tb_task_discard(TbTask *task, GError **error);

/* The git directory that holds the task's base and result. TB_ERROR_NOT_FOUND when the task has no
 * patch, or was discarded. Needs no lock. */
TbGit *tb_task_objects(const TbTask *task, GError **error);

/* The files of the task's patch: array of TbPatchFile (patch/patch.h), freed with the array. Needs
 * no lock. */
GPtrArray *tb_task_files(const TbTask *task, GError **error);
