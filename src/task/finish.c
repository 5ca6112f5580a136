/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Apply, undo and discard. An undo is the apply of the result back to the base. */
#include "task/finish.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "patch/files.h"
#include "task/repository.h"
#include "task/write-project.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/git.h"
#include "vm/box.h"

GPtrArray *tb_task_files(const TbTask *task, GError **error)
{
    g_autoptr(TbGit) git = tb_task_objects(task, error);
    return git ? tb_patch_files(git, task->base_tree, task->result_tree, error) : NULL;
}

/* What is applied, as far as is known; NULL when nothing is. */
static TbUndo *applied(const TbTask *task, GError **error)
{
    g_autoptr(GError) why = NULL;
    TbUndo *record = tb_project_record(task, &why);
    if (why)
        g_propagate_error(error, g_steal_pointer(&why));
    else if (!record && task->state == TB_TASK_APPLIED)
        record = tb_undo_new(task->base_tree, task->result_tree);
    return record;
}

static bool take_back(TbTask *task, TbGit *git, const TbUndo *record, TbApplyOutcome *outcome,
                      GPtrArray **drift, GError **error)
{
    g_auto(TbToRepository) to = {.task = task, .git = git};
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    if (!tb_to_repository_plan_undo(&to, record, lines, error))
        return false;
    if (lines->len > 0) {
        tb_error_set(error, TB_ERROR_CONFLICT, "cannot undo: %s%s", (char *)lines->pdata[0],
                     lines->len > 1 ? " (and more)" : "");
        if (drift)
            *drift = g_steal_pointer(&lines);
        return false;
    }
    if (!tb_to_repository_add_objects(&to, error))
        return false;
    TbApplyOptions options = {.since = "when it was applied",
                              .note = TB_NOTE_UNDONE,
                              .restore = record,
                              .swaps = to.swaps};
    const char *now = record->reached == TB_APPLY_TO_BRANCH ? record->from : record->to;
    if (!tb_project_write(task, git, now, record->from, &options, outcome, drift, error))
        return false;
    if (*outcome == TB_APPLY_DONE)
        tb_to_repository_done(&to);
    return true;
}

bool tb_task_undo(TbStore *store, TbTask *task, TbApplyOutcome *outcome, GPtrArray **drift,
                  GError **error)
{
    if (!tb_task_lock(task, error))
        return false;
    g_autoptr(TbGit) git = tb_task_objects(task, error);
    tb_autofd one_at_a_time = git ? tb_project_begin(store, task, error) : -1;
    if (one_at_a_time < 0)
        return false;
    g_autoptr(GError) why = NULL;
    g_autoptr(TbUndo) record = applied(task, &why);
    *outcome = TB_APPLY_ALREADY;
    if (why) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    if (!record)
        return true;
    return take_back(task, git, record, outcome, drift, error) &&
           (*outcome == TB_APPLY_DONE || tb_project_forget(task, error));
}

bool tb_task_discard(TbTask *task, GError **error)
{
    if (!tb_task_lock(task, error))
        return false;
    if (tb_task_state_unfinished(task->state))
        return tb_error_set(error, TB_ERROR_BUSY, "task '%s' is still %s", task->id,
                            tb_task_state_name(task->state));
    struct stat st;
    g_autofree char *box = tb_task_path(task, "box");
    if (lstat(box, &st) == 0 && !tb_box_clean(box, error))
        return false;
    task->keep = false;
    /* The record first: a task that says discarded may lack its objects, one that says ready not.
     */
    return tb_task_save(task, TB_TASK_DISCARDED, error) &&
           tb_remove_tree(task->dirfd, "series", error) &&
           tb_remove_tree(task->dirfd, "git", error);
}
