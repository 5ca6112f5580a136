/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal of an apply lives in the task's apply/, which is there only while one is under way:
 * found later, it makes tb_store_reconcile come here. The note in it says that all has moved; it is
 * acted on (the state first, then the record) until the directory is gone, so a kill at any moment
 * leaves a task that says what the project is.
 */
#include "task/write-project.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "task/store-private.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"

#define SCRATCH      "apply"
#define RECORD       "undo"
#define RECORD_LIMIT ((size_t)1 << 30)

TbGit *tb_task_objects(const TbTask *task, GError **error)
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

static TbUndo *read_record(const TbTask *task, const char *path, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GBytes) bytes = tb_read_file_at(task->dirfd, path, RECORD_LIMIT, &why);
    if (bytes)
        return tb_undo_parse(bytes, error);
    if (tb_error_code(why) != TB_ERROR_NOT_FOUND)
        g_propagate_error(error, g_steal_pointer(&why));
    return NULL;
}

TbUndo *tb_project_record(const TbTask *task, GError **error)
{
    return read_record(task, RECORD, error);
}

static bool has(const TbTask *task, const char *name)
{
    struct stat st;
    return fstatat(task->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static char *say_reached(const TbUndo *undo)
{
    const char *name = undo->ref;
    if (name && g_str_has_prefix(name, "refs/heads/"))
        name += strlen("refs/heads/");
    switch (undo->reached) {
    case TB_APPLY_TO_COMMIT:
        return g_strdup_printf("commit %s on %s", undo->ref_to, name);
    case TB_APPLY_TO_BRANCH:
        return g_strdup_printf("branch %s", name);
    case TB_APPLY_TO_INDEX:
        return g_strdup("index");
    case TB_APPLY_TO_FILES:
        break;
    }
    return g_strdup("files");
}

static bool now_applied(TbTask *task, GError **error)
{
    g_autoptr(TbUndo) undo = read_record(task, SCRATCH "/" TB_NOTE_APPLIED, error);
    if (!undo)
        return false;
    g_free(task->applied_tree);
    task->applied_tree = g_strdup(undo->to);
    g_free(task->applied_to);
    task->applied_to = say_reached(undo);
    if (!tb_task_save(task, TB_TASK_APPLIED, error))
        return false;
    return (renameat(task->dirfd, SCRATCH "/" TB_NOTE_APPLIED, task->dirfd, RECORD) == 0 &&
            fsync(task->dirfd) == 0) ||
           tb_error_set_errno(error, errno, "cannot keep the record of the apply");
}

bool tb_project_forget(TbTask *task, GError **error)
{
    g_clear_pointer(&task->applied_tree, g_free);
    g_clear_pointer(&task->applied_to, g_free);
    if (!tb_task_save(task, TB_TASK_READY, error))
        return false;
    return unlinkat(task->dirfd, RECORD, 0) == 0 || errno == ENOENT ||
           tb_error_set_errno(error, errno, "cannot remove the record of the apply");
}

static bool settle(TbTask *task, GError **error)
{
    if (has(task, SCRATCH "/" TB_NOTE_APPLIED) && !now_applied(task, error))
        return false;
    if (has(task, SCRATCH "/" TB_NOTE_UNDONE) && !tb_project_forget(task, error))
        return false;
    return tb_remove_tree(task->dirfd, SCRATCH, error);
}

bool tb_project_recover(TbTask *task, GError **error)
{
    g_autofree char *scratch = tb_task_path(task, SCRATCH);
    return !has(task, SCRATCH) ||
           (tb_apply_recover(task->project_root, scratch, error) && settle(task, error));
}

static bool check_root(const TbTask *task, GError **error)
{
    struct stat st;
    int err = stat(task->project_root, &st) < 0 ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    return err == 0 || tb_error_set_errno(error, err, "cannot apply task '%s' to its project '%s'",
                                          task->id, task->project_root);
}

/* There will be a journal: marked, a task that crashes on the way is noticed. */
static bool mark(TbStore *store, const TbTask *task, GError **error)
{
    tb_autofd lock = tb_store_lock(store, error);
    return lock >= 0 && tb_mark_set(store, task->id, error);
}

int tb_project_begin(TbStore *store, TbTask *task, GError **error)
{
    if (!check_root(task, error) || !mark(store, task, error))
        return -1;
    tb_autofd one_at_a_time = tb_lock(store->dirfd, TB_STORE_APPLY, true, error);
    return one_at_a_time >= 0 && tb_project_recover(task, error) ? tb_steal_fd(&one_at_a_time) : -1;
}

bool tb_project_write(TbTask *task, TbGit *git, const char *from, const char *to,
                      const TbApplyOptions *options, TbApplyOutcome *outcome, GPtrArray **drift,
                      GError **error)
{
    g_autofree char *scratch = tb_task_path(task, SCRATCH);
    if (mkdir(scratch, 0700) < 0 && errno != EEXIST)
        return tb_error_set_errno(error, errno, "cannot create '%s'", scratch);
    g_autoptr(GError) why = NULL;
    bool done =
        tb_apply_with(git, from, to, task->project_root, scratch, options, outcome, drift, &why);
    /* Refused before anything moved, put back, or done: then no journal is left, and the directory
     * goes. Else it stays and the next command tries again. */
    if (done)
        return tb_project_recover(task, error);
    tb_project_recover(task, NULL);
    g_propagate_error(error, g_steal_pointer(&why));
    return false;
}
