/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way of a patch into the repository. Everything is made beforehand, in the task's own git
 * directory: the index, the commits, a pack of what the repository lacks. Then objects are added
 * (nothing names them yet), and index and branch are replaced together with the files
 * (review/apply-swap.c). git never runs in the user's repository, so no hook, filter or program
 * that it names has a part in this.
 *
 * Commits hold the patch and nothing else: the tree of the commit below with the patch's paths set,
 * at once or in the steps in which the agent committed them. So for these paths HEAD, index and
 * files must all be as in the base; whatever else is staged stays staged.
 */
#include "task/repository.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "patch/commit.h"
#include "patch/files.h"
#include "patch/overlay.h"
#include "task/commits.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"

#define HEADS "refs/heads/"

void tb_to_repository_clear(TbToRepository *to)
{
    g_autofree char *packs = to->pack ? g_path_get_dirname(to->pack) : NULL;
    if (packs)
        tb_remove_tree(AT_FDCWD, packs, NULL);
    g_clear_pointer(&to->project, tb_project_free);
    g_clear_pointer(&to->swaps, g_ptr_array_unref);
    g_clear_pointer(&to->series, g_ptr_array_unref);
    g_clear_pointer(&to->ref, tb_ref_free);
    g_clear_pointer(&to->ref_to, g_free);
    g_clear_pointer(&to->committer, g_free);
    g_clear_pointer(&to->pack, g_free);
}

/* The repository is that of the project's own directory, and of the task's object format. */
static bool open_project(TbToRepository *to, GError **error)
{
    const TbTask *task = to->task;
    to->swaps = tb_swaps_new();
    to->project = tb_project_open(task->project_root, error);
    if (!to->project)
        return false;
    if (!tb_project_is_git(to->project) ||
        strcmp(tb_project_root(to->project), task->project_root) != 0)
        return tb_error_set(error, TB_ERROR_UNSUPPORTED,
                            "the project '%s' has no git repository (apply to the files only)",
                            task->project_root);
    if (tb_project_sha256(to->project) != (tb_git_oid_length(to->git) == 64))
        return tb_error_set(error, TB_ERROR_CONFLICT,
                            "the repository of '%s' has another object format than when the task "
                            "began",
                            task->project_root);
    return true;
}

static bool plan_index(TbToRepository *to, const GPtrArray *files, GPtrArray *drift, GError **error)
{
    g_autofree TbIndexChange *changes = g_new(TbIndexChange, MAX(files->len, 1));
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        changes[i] = (TbIndexChange){file->path, file->old_mode, file->new_mode, file->old_oid,
                                     file->new_oid};
    }
    g_autoptr(GBytes) old = NULL, fresh = NULL;
    if (!tb_project_change_index(to->project, to->git, changes, files->len,
                                 to->back ? "when it was applied" : "when the task started", &old,
                                 &fresh, drift, error))
        return false;
    if (fresh)
        g_ptr_array_add(to->swaps,
                        tb_swap_new(tb_project_git_dir(to->project), "index", old, fresh));
    to->pack = tb_files_pack(to->git, files, error);
    return to->pack != NULL;
}

/* The branch gets the commit `oid`; NULL: it goes, from packed-refs, too. */
static bool plan_ref(TbToRepository *to, const char *oid, GError **error)
{
    const TbRef *ref = to->ref;
    g_autofree char *line = oid ? g_strconcat(oid, "\n", NULL) : NULL;
    g_autoptr(GBytes) fresh = line ? g_bytes_new(line, strlen(line)) : NULL;
    to->ref_to = g_strdup(oid);
    if (!oid) {
        g_autoptr(GBytes) packed = NULL, without = NULL;
        if (!tb_project_packed_without(to->project, ref->name, &packed, &without, error))
            return false;
        if (packed)
            g_ptr_array_add(to->swaps, tb_swap_new(ref->dir, "packed-refs", packed, without));
    }
    g_ptr_array_add(to->swaps, tb_swap_new(ref->dir, ref->name, ref->loose, fresh));
    return true;
}

/* Is every path of `files` in the tree of the commit below as in the base? Those of `seen` have
 * been looked at. */
static bool compare_below(const TbToRepository *to, GHashTable *differ, const GPtrArray *files,
                          const char *what, GHashTable *seen, GPtrArray *drift, GError **error)
{
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        g_autofree char *name = tb_escape_name(file->path);
        if (file->old_mode == TB_MODE_GITLINK || file->new_mode == TB_MODE_GITLINK)
            return tb_error_set(error, TB_ERROR_UNSUPPORTED,
                                "cannot apply a change of the submodule '%s' (use git)", name);
        if (g_hash_table_contains(differ, file->path) &&
            g_hash_table_add(seen, g_strdup(file->path)))
            g_ptr_array_add(drift, g_strdup_printf("'%s' %s", name, what));
    }
    return true;
}

/* The tree below with the files set, which must be all that differs then. */
static char *tree_above(const TbToRepository *to, const char *below, const GPtrArray *files,
                        GError **error)
{
    g_autofree char *tree = tb_tree_overlay(to->git, below, files, error);
    g_autoptr(GPtrArray) made = tree ? tb_patch_raw(to->git, below, tree, error) : NULL;
    if (!made)
        return NULL;
    if (made->len == files->len)
        return g_steal_pointer(&tree);
    tb_error_set(error, TB_ERROR_CONFLICT,
                 "cannot commit: a path of the patch is a directory in the commit below, or has a "
                 "file above it");
    return NULL;
}

/* What becomes one commit. */
typedef struct {
    const TbSeriesStep *step; /* NULL: all of the patch */
    GPtrArray *files;         /* TbPatchFile */
} Part;

static void part_free(void *data)
{
    Part *part = data;
    g_ptr_array_unref(part->files);
    g_free(part);
}

/* The steps of the series that change something; or the patch as a whole. */
static bool find_parts(const TbToRepository *to, const GPtrArray *files, GPtrArray *parts,
                       GError **error)
{
    const char *from = to->task->base_tree;
    for (guint i = 0; i < to->series->len; i++) {
        const TbSeriesStep *step = to->series->pdata[i];
        g_autoptr(GPtrArray) changed = tb_patch_raw(to->git, from, step->tree, error);
        if (!changed)
            return false;
        from = step->tree;
        if (changed->len == 0)
            continue;
        Part *part = g_new(Part, 1);
        *part = (Part){step, g_steal_pointer(&changed)};
        g_ptr_array_add(parts, part);
    }
    if (to->series->len > 0)
        return true;
    Part *part = g_new(Part, 1);
    *part = (Part){NULL, g_ptr_array_ref((GPtrArray *)(uintptr_t)files)};
    g_ptr_array_add(parts, part);
    return true;
}

/* Is the commit below as the base for all that the parts touch? */
static bool compare_parts(const TbToRepository *to, const char *below, const GPtrArray *parts,
                          const char *what, GPtrArray *drift, GError **error)
{
    g_autoptr(GPtrArray) files = tb_patch_raw(to->git, below, to->task->base_tree, error);
    g_autoptr(GHashTable) differ = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; files && i < files->len; i++)
        g_hash_table_add(differ, ((TbPatchFile *)files->pdata[i])->path);
    for (guint i = 0; files && i < parts->len; i++)
        if (!compare_below(to, differ, ((Part *)parts->pdata[i])->files, what, seen, drift, error))
            return false;
    return files != NULL;
}

/* By the agent, in its words where it has committed this itself. */
static char *commit_part(const TbToRepository *to, const Part *part, const char *parent,
                         const char *tree, const char *target, GError **error)
{
    g_autofree char *author = NULL, *message = NULL;
    tb_task_words(to->task, part->step, target, &author, &message);
    TbCommit commit = {.tree = tree,
                       .parent = parent,
                       .author = author,
                       .committer = to->committer,
                       .message = message};
    return tb_commit_write(to->git, &commit, error);
}

/* The ids of the commits, each on top of the one before. */
static bool commit_parts(const TbToRepository *to, const char *parent, const char *below,
                         const GPtrArray *parts, const char *target, GPtrArray *commits,
                         char **tree, GError **error)
{
    *tree = g_strdup(below);
    for (guint i = 0; i < parts->len; i++) {
        const Part *part = parts->pdata[i];
        g_autofree char *above = tree_above(to, *tree, part->files, error);
        char *commit = above ? commit_part(to, part, parent, above, target, error) : NULL;
        if (!commit)
            return false;
        g_free(*tree);
        *tree = g_steal_pointer(&above);
        g_ptr_array_add(commits, commit);
        parent = commit;
    }
    return true;
}

/* Step by step or at once, the outcome is the same. */
static bool check_sum(const TbToRepository *to, const char *below, const GPtrArray *files,
                      const char *tree, GError **error)
{
    g_autofree char *whole = tree_above(to, below, files, error);
    return whole &&
           (strcmp(whole, tree) == 0 ||
            tb_error_set(error, TB_ERROR_VERIFY, "the task's commits do not add up to its patch"));
}

/* Commits on top of `parent` (NULL: none), and a pack of them. The tip (g_free); with drift there
 * is none, and "" is given. */
static char *make_commits(TbToRepository *to, const char *parent, const char *what,
                          const GPtrArray *files, const char *target, GPtrArray *drift,
                          GError **error)
{
    g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(part_free);
    g_autofree char *below =
        parent ? tb_commit_tree(to->git, parent, error) : tb_tree_empty(to->git, error);
    if (!below || !find_parts(to, files, parts, error) ||
        !compare_parts(to, below, parts, what, drift, error))
        return NULL;
    if (drift->len > 0)
        return g_strdup("");
    to->committer = tb_project_committer(to->project, error);
    g_autoptr(GPtrArray) commits = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *tree = NULL;
    if (!to->committer || !commit_parts(to, parent, below, parts, target, commits, &tree, error) ||
        !check_sum(to, below, files, tree, error))
        return NULL;
    g_free(to->pack);
    to->pack = tb_commits_pack(to->git, below, commits, error);
    return to->pack ? g_strdup(commits->pdata[commits->len - 1]) : NULL;
}

static bool plan_commit(TbToRepository *to, const GPtrArray *files, const char *target,
                        GPtrArray *drift, GError **error)
{
    const char *unfinished = tb_project_unfinished(to->project);
    if (unfinished)
        return tb_error_set(error, TB_ERROR_CONFLICT,
                            "cannot commit in '%s': git is in the middle of a %s (finish it first)",
                            to->task->project_root, unfinished);
    to->current = true;
    to->ref = tb_project_current(to->project, error);
    if (!to->ref)
        return false;
    g_autofree char *tip = make_commits(
        to, to->ref->oid, "was not committed when the task started, or has changed since", files,
        target, drift, error);
    return tip && (drift->len > 0 || plan_ref(to, tip, error));
}

static bool check_name(TbToRepository *to, const char *name, char **full, GError **error)
{
    *full = g_strconcat(HEADS, name, NULL);
    g_autoptr(TbCommand) command = tb_git_command(to->git, "check-ref-format", NULL, NULL);
    tb_command_add(command, *full, NULL);
    int status = 0;
    if (!tb_command_run_status(command, NULL, &status, error))
        return false;
    if (status == 0 && *name != '-' && strcmp(name, "HEAD") != 0)
        return true;
    g_autofree char *shown = tb_escape_name(name);
    return tb_error_set(error, TB_ERROR_USAGE, "'%s' cannot be the name of a branch", shown);
}

static bool plan_branch(TbToRepository *to, const char *name, const GPtrArray *files,
                        const char *target, GPtrArray *drift, GError **error)
{
    g_autofree char *full = NULL;
    if (!check_name(to, name, &full, error) || !tb_project_ref_is_free(to->project, full, error))
        return false;
    if (!to->task->base_commit)
        return tb_error_set(error, TB_ERROR_UNSUPPORTED,
                            "cannot make a branch: the project had no commit when the task began");
    to->ref = tb_project_ref(to->project, full, error);
    if (!to->ref)
        return false;
    g_autofree char *tip =
        make_commits(to, to->task->base_commit, "was not committed when the task started", files,
                     target, drift, error);
    return tip && (drift->len > 0 || plan_ref(to, tip, error));
}

bool tb_to_repository_plan(TbToRepository *to, const TbTaskApply *how, const GPtrArray *files,
                           const char *target, GPtrArray *drift, GError **error)
{
    if (how->merge)
        return tb_error_set(error, TB_ERROR_USAGE,
                            "a merge is for the files only: not with index, commit or branch");
    if (files->len == 0)
        return tb_error_set(error, TB_ERROR_NOT_FOUND, "the patch of task '%s' is empty",
                            to->task->id);
    bool whole = !how->files && !how->tree;
    to->series = whole ? tb_task_series(to->task, error) : tb_series_new();
    if (!to->series || !open_project(to, error))
        return false;
    if (how->to == TB_APPLY_TO_BRANCH)
        return plan_branch(to, how->branch, files, target, drift, error);
    return plan_index(to, files, drift, error) &&
           (how->to != TB_APPLY_TO_COMMIT || plan_commit(to, files, target, drift, error));
}

/* The branch must be where the apply left it. */
static bool check_moved(const TbToRepository *to, const TbUndo *record, GError **error)
{
    if (to->ref->oid && strcmp(to->ref->oid, record->ref_to) == 0)
        return true;
    g_autofree char *name = tb_escape_name(record->ref);
    return tb_error_set(error, TB_ERROR_CONFLICT,
                        "cannot undo: '%s' is at %s, no longer at %s (take it back with git)", name,
                        to->ref->oid ? to->ref->oid : "nothing", record->ref_to);
}

static bool plan_ref_back(TbToRepository *to, const TbUndo *record, GError **error)
{
    to->ref = tb_project_ref(to->project, record->ref, error);
    if (!to->ref || !check_moved(to, record, error))
        return false;
    to->current = record->reached == TB_APPLY_TO_COMMIT;
    g_autofree char *name = tb_escape_name(record->ref);
    if (to->current) {
        g_autoptr(TbRef) now = tb_project_current(to->project, error);
        if (!now)
            return false;
        if (strcmp(now->name, record->ref) != 0)
            return tb_error_set(error, TB_ERROR_CONFLICT,
                                "cannot undo: '%s' is not checked out any more", name);
    } else if (tb_project_ref_in_use(to->project, record->ref)) {
        return tb_error_set(error, TB_ERROR_CONFLICT,
                            "cannot undo: '%s' is checked out (switch to another branch first)",
                            name);
    }
    to->committer = tb_project_committer(to->project, NULL);
    if (!to->committer)
        to->committer =
            g_strdup_printf("taskbox <taskbox> %" G_GINT64_FORMAT " +0000", (int64_t)time(NULL));
    return plan_ref(to, record->ref_from, error);
}

bool tb_to_repository_plan_undo(TbToRepository *to, const TbUndo *record, GPtrArray *drift,
                                GError **error)
{
    if (record->reached == TB_APPLY_TO_FILES)
        return true;
    to->back = true;
    if (!open_project(to, error))
        return false;
    if (record->reached != TB_APPLY_TO_BRANCH) {
        g_autoptr(GPtrArray) files = tb_patch_raw(to->git, record->to, record->from, error);
        if (!files || !plan_index(to, files, drift, error))
            return false;
    }
    return record->reached == TB_APPLY_TO_INDEX || drift->len > 0 ||
           plan_ref_back(to, record, error);
}

bool tb_to_repository_add_objects(const TbToRepository *to, GError **error)
{
    return !to->pack || tb_project_add_pack(to->project, to->pack, error);
}

void tb_to_repository_done(const TbToRepository *to)
{
    if (to->ref && !to->ref_to)
        tb_project_log_drop(to->project, to->ref);
    if (!to->ref || !to->ref_to)
        return;
    g_autofree char *message =
        g_strdup_printf("%s: task %s", to->back ? "taskbox undo" : "taskbox apply", to->task->id);
    tb_project_log_move(to->project, to->ref, to->current, to->ref_to, to->committer, message);
}
