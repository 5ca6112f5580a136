/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * After a crash: what lost its taskbox is brought to an end.
 *
 * The kernel gives the lock of a dead process back, and its jail died with it. So a task that is
 * unfinished and whose lock can be had is nobody's: it becomes a failed one, keeps its log, loses
 * its box. An apply that was cut off is put back as well. Only marked tasks are looked at.
 */
#include "task/store-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "task/write-project.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"
#include "vm/box.h"

static bool has(const TbTask *task, const char *name)
{
    struct stat st;
    return fstatat(task->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool needs_work(const TbTask *task)
{
    return tb_task_state_unfinished(task->state) || (has(task, "box") && !task->keep) ||
           has(task, "apply") || task->trial.running;
}

/* The journal is of an apply that was killed; another apply may be at the same project now. */
static bool put_back(TbStore *store, TbTask *task, GError **error)
{
    tb_autofd one_at_a_time = tb_lock(store->dirfd, TB_STORE_APPLY, true, error);
    return one_at_a_time >= 0 && tb_project_recover(task, error);
}

/* The patch is as good as it was, but nobody knows what it is worth. */
static bool end_trial(TbTask *task, GError **error)
{
    g_autofree char *box = g_build_filename(task->dir, TB_TASK_TRIAL, "box", NULL);
    struct stat st;
    if (lstat(box, &st) == 0 && !tb_box_clean(box, error))
        return false;
    unlinkat(task->dirfd, TB_TASK_TRIAL "/" TB_TASK_CONTROL, 0);
    if (!tb_remove_tree(task->dirfd, TB_TASK_TRIAL "/git", error))
        return false;
    task->trial.running = false;
    g_free(task->trial.cause);
    task->trial.cause = g_strdup("taskbox was killed meanwhile");
    return tb_task_save(task, task->state, error);
}

static bool mend(TbStore *store, TbTask *task, GError **error)
{
    unlinkat(task->dirfd, TB_TASK_CONTROL, 0);
    if (has(task, "box") && !task->keep) {
        g_autofree char *box = tb_task_path(task, "box");
        if (!tb_box_clean(box, error))
            return false;
    }
    if (has(task, "apply") && task->project_root && !put_back(store, task, error))
        return false;
    if (task->trial.running && !end_trial(task, error))
        return false;
    if (!tb_task_state_unfinished(task->state))
        return true;
    g_autoptr(GError) reason = NULL;
    tb_error_set(&reason, TB_ERROR_INTERRUPTED, "taskbox was killed while %s",
                 tb_task_state_name(task->state));
    tb_task_fail(task, reason);
    return true;
}

static bool exists(TbStore *store, const char *name)
{
    struct stat st;
    return fstatat(store->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

/* What a killed create or remove left. Under the store's lock nobody else is at it. */
static bool remove_remains(TbStore *store, const char *id, GError **error)
{
    static const char *const prefixes[] = {TB_STORE_NEW, TB_STORE_GONE};
    for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        g_autofree char *name = g_strconcat(prefixes[i], id, NULL);
        if (!exists(store, name))
            continue;
        tb_autofd lock = tb_store_lock(store, error);
        if (lock < 0 || !tb_remove_tree(store->dirfd, name, error))
            return false;
    }
    return true;
}

/* Nothing to be done now; whoever begins something marks the task again, under the same lock. */
static bool take_off_mark(TbStore *store, const char *id, GError **error)
{
    tb_autofd lock = tb_store_lock(store, error);
    if (lock < 0)
        return false;
    if (exists(store, id)) {
        g_autoptr(TbTask) task = tb_store_load(store, id, error);
        if (!task || needs_work(task))
            return task != NULL;
    }
    return tb_mark_take_off(store, id, error);
}

static void reconcile_task(TbStore *store, const char *id)
{
    g_autoptr(GError) error = NULL;
    bool ok = remove_remains(store, id, &error);
    g_autoptr(TbTask) task = ok && exists(store, id) ? tb_store_load(store, id, &error) : NULL;
    if (task && needs_work(task)) {
        ok = tb_task_lock(task, &error);
        if (ok && needs_work(task)) /* may have changed until we had the lock */
            ok = mend(store, task, &error);
    }
    if (ok && !error)
        take_off_mark(store, id, &error);
    if (error && tb_error_code(error) != TB_ERROR_BUSY &&
        tb_error_code(error) != TB_ERROR_NOT_FOUND)
        tb_warn("cannot clean up after task '%s': %s", id, error->message);
}

bool tb_store_reconcile(TbStore *store, GError **error)
{
    g_autoptr(GPtrArray) marked = tb_store_marked(store, error);
    for (guint i = 0; marked && i < marked->len; i++)
        reconcile_task(store, marked->pdata[i]);
    return marked != NULL;
}

bool tb_task_remove(TbStore *store, TbTask *task, GError **error)
{
    if (has(task, "box")) {
        g_autofree char *box = tb_task_path(task, "box");
        if (!tb_box_clean(box, error))
            return false;
    }
    tb_autofd lock = tb_store_lock(store, error);
    if (lock < 0 || !tb_mark_set(store, task->id, error))
        return false;
    g_autofree char *gone = g_strconcat(TB_STORE_GONE, task->id, NULL);
    if (renameat(store->dirfd, task->id, store->dirfd, gone) < 0)
        return tb_error_set_errno(error, errno, "cannot remove task '%s'", task->id);
    return tb_remove_tree(store->dirfd, gone, error) && tb_mark_take_off(store, task->id, error);
}
