/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Apply and discard. Two applies at once, of whatever tasks, wait for each other: their projects
 * may be the same. The journal of an apply lives in the task's apply/, which is there only while
 * one is under way: found later, it makes tb_store_reconcile put the project back.
 */
#include "task/finish.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "task/store-private.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/git.h"
#include "vm/box.h"

static TbGit *open_objects(const TbTask *task, GError **error)
{
    if (task->state == TB_TASK_DISCARDED) {
        g_autofree char *patch = tb_task_path(task, "patch");
        tb_error_set(error, TB_ERROR_NOT_FOUND,
                     "task '%s' was discarded ('git apply' may still take its patch: %s)", task->id,
                     patch);
        return NULL;
    }
    if (!task->has_patch || !task->base_tree || !task->result_tree) {
        tb_error_set(error, TB_ERROR_NOT_FOUND,
                     "task '%s' has no patch: it is %s (see 'taskbox show %s')", task->id,
                     tb_task_state_name(task->state), task->id);
        return NULL;
    }
    g_autofree char *path = tb_task_path(task, "git");
    return tb_git_open(path, error);
}

GPtrArray *tb_task_files(const TbTask *task, GError **error)
{
    g_autoptr(TbGit) git = open_objects(task, error);
    return git ? tb_patch_files(git, task->base_tree, task->result_tree, error) : NULL;
}

static bool check_root(const TbTask *task, GError **error)
{
    struct stat st;
    if (stat(task->project_root, &st) < 0)
        return tb_error_set_errno(error, errno, "cannot apply task '%s' to its project '%s'",
                                  task->id, task->project_root);
    if (!S_ISDIR(st.st_mode))
        return tb_error_set_errno(error, ENOTDIR, "cannot apply task '%s' to its project '%s'",
                                  task->id, task->project_root);
    return true;
}

/* Where the journal will be; marked, so that a crash is noticed. */
static bool make_scratch(TbStore *store, const TbTask *task, const char *path, GError **error)
{
    tb_autofd lock = tb_store_lock(store, error);
    if (lock < 0 || !tb_mark_set(store, task->id, error))
        return false;
    return mkdir(path, 0700) == 0 || errno == EEXIST ||
           tb_error_set_errno(error, errno, "cannot create '%s'", path);
}

static bool apply_with_journal(TbStore *store, TbTask *task, TbGit *git, bool check,
                               TbApplyOutcome *outcome, GPtrArray **drift, GError **error)
{
    g_autofree char *scratch = tb_task_path(task, "apply");
    if (!make_scratch(store, task, scratch, error) ||
        !tb_apply_recover(task->project_root, scratch, error))
        return false;
    g_autoptr(GError) why = NULL;
    if (tb_apply(git, task->base_tree, task->result_tree, task->project_root, scratch, check,
                 outcome, drift, &why))
        return tb_remove_tree(task->dirfd, "apply", error);
    /* Refused before anything moved, or put back: then no journal is left, and the directory goes.
     * Else it stays and the next command tries again. */
    if (tb_apply_recover(task->project_root, scratch, NULL))
        tb_remove_tree(task->dirfd, "apply", NULL);
    g_propagate_error(error, g_steal_pointer(&why));
    return false;
}

bool tb_task_apply(TbStore *store, TbTask *task, bool check, TbApplyOutcome *outcome,
                   GPtrArray **drift, GError **error)
{
    if (!tb_task_lock(task, error))
        return false;
    g_autoptr(TbGit) git = open_objects(task, error);
    if (!git || !check_root(task, error))
        return false;
    tb_autofd one_at_a_time = tb_lock(store->dirfd, TB_STORE_APPLY, true, error);
    if (one_at_a_time < 0 || !apply_with_journal(store, task, git, check, outcome, drift, error))
        return false;
    return check || tb_task_save(task, TB_TASK_APPLIED, error);
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
           tb_remove_tree(task->dirfd, "git", error);
}
