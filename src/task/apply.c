/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Apply, in up to three tries: on the base; on the base with what an earlier apply of this task has
 * changed already; on whatever the project is now, by a merge (when asked for). Each is an apply by
 * blob id between two whole trees, so each is all or nothing and can be taken back. One that is to
 * reach the repository (task/repository.c) is on the base only.
 */
#include "task/finish.h"

#include <string.h>

#include "patch/files.h"
#include "patch/overlay.h"
#include "project/project.h"
#include "task/repository.h"
#include "task/write-project.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/command.h"
#include "util/hole.h"

typedef struct {
    TbTask *task;
    TbGit *git;
    const TbTaskApply *how;
    GPtrArray *files; /* what is to be changed */
    char *target;     /* the base with it */
    TbUndo *earlier;  /* the record of an earlier apply; NULL: none */
    TbApplyOutcome *outcome;
} Apply;

static void apply_clear(Apply *apply)
{
    g_clear_pointer(&apply->files, g_ptr_array_unref);
    g_clear_pointer(&apply->target, g_free);
    g_clear_pointer(&apply->earlier, tb_undo_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Apply, apply_clear)

static bool choose(Apply *apply, GError **error)
{
    const TbTask *task = apply->task;
    const char *result = apply->how->tree ? apply->how->tree : task->result_tree;
    if (apply->how->files) {
        apply->files = tb_tree_select(apply->git, task->base_tree, result, apply->how->files,
                                      &apply->target, error);
    } else {
        apply->files = tb_patch_raw(apply->git, task->base_tree, result, error);
        apply->target = g_strdup(result);
    }
    return apply->files != NULL;
}

static bool write_trees(Apply *apply, const char *from, const char *to, bool check, TbUndo *record,
                        const GPtrArray *swaps, GPtrArray **drift, GError **error)
{
    TbApplyOptions options = {
        .check = check, .note = TB_NOTE_APPLIED, .record = record, .swaps = swaps};
    if (!options.check && !tb_patch_keep(apply->git, from, to, error))
        return false;
    return tb_project_write(apply->task, apply->git, from, to, &options, apply->outcome, drift,
                            error);
}

/* On the base. The record of an earlier apply goes on, with these files on top. */
static bool on_base(Apply *apply, GPtrArray **drift, GError **error)
{
    const char *base = apply->task->base_tree;
    if (!apply->earlier) {
        g_autoptr(TbUndo) record = tb_undo_new(base, apply->target);
        return write_trees(apply, base, apply->target, apply->how->check, record, NULL, drift,
                           error);
    }
    g_autofree char *to = tb_tree_overlay(apply->git, apply->earlier->to, apply->files, error);
    if (!to)
        return false;
    g_autoptr(TbUndo) record = tb_undo_copy(apply->earlier, to);
    return write_trees(apply, base, apply->target, apply->how->check, record, NULL, drift, error);
}

/* On what the earlier apply left. */
static bool on_earlier(Apply *apply, GPtrArray **drift, GError **error)
{
    g_autofree char *to = tb_tree_overlay(apply->git, apply->earlier->to, apply->files, error);
    if (!to)
        return false;
    g_autoptr(TbUndo) record = tb_undo_copy(apply->earlier, to);
    return write_trees(apply, apply->earlier->to, to, apply->how->check, record, NULL, drift,
                       error);
}

/* The project as it is now, as a tree in the task's directory. g_free. */
static char *tree_now(Apply *apply, GError **error)
{
    g_autoptr(TbProject) project = tb_project_open(apply->task->project_root, error);
    g_autoptr(TbScan) scan = project ? tb_scan_new(project, error) : NULL;
    if (!scan)
        return NULL;
    g_autofree char *index = g_build_filename(tb_git_path(apply->git), "now-index", NULL);
    g_autoptr(GPtrArray) notes = g_ptr_array_new_with_free_func(g_free);
    return tb_project_base_tree(project, scan, apply->git, index, notes, error);
}

static void escape_all(GPtrArray *names)
{
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *name = names->pdata[i];
        names->pdata[i] = tb_escape_name(name);
    }
}

static bool on_now(Apply *apply, GPtrArray **lines, GError **error)
{
    if (apply->earlier)
        return tb_error_set(error, TB_ERROR_CONFLICT,
                            "cannot merge task '%s': it is applied already (undo it first)",
                            apply->task->id);
    g_autofree char *now = tree_now(apply, error);
    g_autoptr(GPtrArray) conflicts = NULL;
    g_autofree char *merged =
        now ? tb_tree_merge(apply->git, apply->task->base_tree, now, apply->target, "project",
                            apply->task->id, &conflicts, error)
            : NULL;
    if (!merged)
        return false;
    g_autoptr(TbUndo) record = tb_undo_new(now, merged);
    if (!write_trees(apply, now, merged, apply->how->check, record, NULL, lines, error))
        return false;
    escape_all(conflicts);
    if (lines && conflicts->len)
        *lines = g_steal_pointer(&conflicts);
    return true;
}

/* True when `why` is drift and another way may do; then it is forgotten. */
static bool try_more(GError **why, GPtrArray **lines)
{
    if (tb_error_code(*why) != TB_ERROR_CONFLICT)
        return false;
    g_clear_error(why);
    g_clear_pointer(lines, g_ptr_array_unref);
    return true;
}

static bool try_all(Apply *apply, GPtrArray **lines, GError **error)
{
    g_autoptr(GError) why = NULL;
    bool done = on_base(apply, lines, &why);
    if (!done && apply->earlier && try_more(&why, lines))
        done = on_earlier(apply, lines, &why);
    if (!done && apply->how->merge && try_more(&why, lines))
        done = on_now(apply, lines, &why);
    if (!done)
        g_propagate_error(error, g_steal_pointer(&why));
    return done;
}

/* The task may have been applied before: just so, then nothing is to be done. What reached files
 * only goes on in try_all. */
static bool is_there(const Apply *apply, bool *there, GError **error)
{
    const TbUndo *earlier = apply->earlier;
    const TbTaskApply *how = apply->how;
    *there = false;
    if (!earlier || (earlier->reached == TB_APPLY_TO_FILES && how->to == TB_APPLY_TO_FILES))
        return true;
    const char *branch = how->to == TB_APPLY_TO_BRANCH ? how->branch : NULL;
    *there = earlier->reached == how->to && strcmp(earlier->to, apply->target) == 0 &&
             (!branch || strcmp(earlier->ref + strlen("refs/heads/"), branch) == 0);
    return *there || tb_error_set(error, TB_ERROR_CONFLICT,
                                  "task '%s' is applied already, in another way (undo it first)",
                                  apply->task->id);
}

static bool to_repository(Apply *apply, GPtrArray **lines, GError **error)
{
    const TbTask *task = apply->task;
    g_auto(TbToRepository) to = {.task = apply->task, .git = apply->git};
    g_autoptr(GPtrArray) drift = g_ptr_array_new_with_free_func(g_free);
    if (!tb_to_repository_plan(&to, apply->how, apply->files, apply->target, drift, error))
        return false;
    if (drift->len > 0) {
        tb_error_set(error, TB_ERROR_CONFLICT, "cannot apply: %s%s", (char *)drift->pdata[0],
                     drift->len > 1 ? " (and more)" : "");
        *lines = g_steal_pointer(&drift);
        return false;
    }
    g_autoptr(TbUndo) record = tb_undo_new(task->base_tree, apply->target);
    record->reached = apply->how->to;
    if (to.ref)
        tb_undo_set_ref(record, to.ref->name, to.ref->oid, to.ref_to);
    const char *result = apply->how->to == TB_APPLY_TO_BRANCH ? task->base_tree : apply->target;
    /* Objects are added only for what would then go on. */
    if (!write_trees(apply, task->base_tree, result, true, record, to.swaps, lines, error))
        return false;
    if (apply->how->check)
        return true;
    if (!tb_to_repository_add_objects(&to, error) ||
        !write_trees(apply, task->base_tree, result, false, record, to.swaps, lines, error))
        return false;
    if (*apply->outcome == TB_APPLY_DONE)
        tb_to_repository_done(&to);
    return true;
}

bool tb_task_apply_with(TbStore *store, TbTask *task, const TbTaskApply *how,
                        TbApplyOutcome *outcome, GPtrArray **lines, GError **error)
{
    if (lines)
        *lines = NULL;
    if (!tb_task_lock(task, error))
        return false;
    g_autoptr(TbGit) git = tb_task_objects(task, error);
    tb_autofd one_at_a_time = git ? tb_project_begin(store, task, error) : -1;
    if (one_at_a_time < 0)
        return false;
    g_auto(Apply) apply = {.task = task, .git = git, .how = how, .outcome = outcome};
    g_autoptr(GError) why = NULL;
    apply.earlier = tb_project_record(task, &why);
    if (why) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    g_autoptr(GPtrArray) found = NULL;
    bool there = false;
    *outcome = TB_APPLY_ALREADY;
    bool done = choose(&apply, error) && is_there(&apply, &there, error) &&
                (there                          ? true
                 : how->to == TB_APPLY_TO_FILES ? try_all(&apply, &found, error)
                                                : to_repository(&apply, &found, error));
    if (tb_hole("apply-git")) {
        g_autoptr(TbCommand) command = tb_command_new("git");
        tb_command_add(command, "diff", NULL);
        tb_command_set_cwd(command, task->project_root);
        (void)!tb_command_run(command, NULL, NULL);
    }
    if (lines)
        *lines = g_steal_pointer(&found);
    return done && (how->check || tb_task_save(task, TB_TASK_APPLIED, error));
}

bool tb_task_apply(TbStore *store, TbTask *task, bool check, TbApplyOutcome *outcome,
                   GPtrArray **drift, GError **error)
{
    return tb_task_apply_with(store, task, &(TbTaskApply){.check = check}, outcome, drift, error);
}
