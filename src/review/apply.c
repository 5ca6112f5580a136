/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A patch onto the working tree, by blob id and by our own code: neither git nor patch(1) writes
 * to the project.
 *
 * First everything is compared (apply-plan.c). Then the new files are written to a hidden staging
 * directory in the project's root, so that what remains is renames on one file system: old files
 * into staging, new ones out of it (apply-move.c). Files of a git directory that change with them
 * (apply-swap.c) are locked before and replaced after that. A journal in our own directory, written
 * before each phase, says how to get back; a failure goes back at once, a killed apply at the next
 * tb_apply_recover. The change counts from the moment the journal says "done".
 */
#include "review/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "patch/path.h"
#include "review/apply-private.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"

static int open_root(const char *root, GError **error)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        tb_error_set_errno(error, errno, "cannot open the project '%s'", root);
    return fd;
}

static int open_staging(const Plan *plan, int root, GError **error)
{
    int fd = openat(root, plan->staging, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        tb_error_set_errno(error, errno, "cannot open '%s/%s'", plan->root, plan->staging);
    return fd;
}

/* Only what git itself would put into a work tree, and no submodule. */
static bool check_files(const GPtrArray *files, GError **error)
{
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        g_autofree char *name = tb_escape_name(file->path);
        size_t length = strlen(file->path);
        TbPathVerdict verdict = tb_path_check((const uint8_t *)file->path, length);
        if (verdict != TB_PATH_OK)
            return tb_error_set(error, TB_ERROR_DENIED, "cannot apply a patch to '%s': %s", name,
                                tb_path_reason(verdict));
        if (file->old_mode == TB_MODE_GITLINK || file->new_mode == TB_MODE_GITLINK)
            return tb_error_set(error, TB_ERROR_UNSUPPORTED,
                                "cannot apply a change of the submodule '%s' (use git)", name);
        if (file->new_mode == TB_MODE_SYMLINK &&
            tb_path_has_gitmodules((const uint8_t *)file->path, length))
            return tb_error_set(error, TB_ERROR_DENIED,
                                "cannot apply a patch that makes '%s' a symbolic link", name);
    }
    return true;
}

static void survey_clear(Survey *survey)
{
    g_clear_pointer(&survey->looks, g_array_unref);
    g_clear_pointer(&survey->by_path, g_hash_table_unref);
    g_clear_pointer(&survey->cleared, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Survey, survey_clear)

static void survey_init(Survey *survey, TbGit *git, const GPtrArray *files, int root)
{
    survey->files = files;
    survey->root = root;
    survey->oid_length = tb_git_oid_length(git);
    survey->looks = g_array_new(FALSE, FALSE, sizeof(Look));
    survey->by_path = g_hash_table_new(g_str_hash, g_str_equal);
    survey->cleared = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < files->len; i++)
        g_hash_table_insert(survey->by_path, ((TbPatchFile *)files->pdata[i])->path,
                            files->pdata[i]);
}

/* Staging goes, then the journal: all is as before, or all is as after. A note stays only after. */
static bool finish(const Plan *plan, int root, int scratch, GError **error)
{
    if (plan->phase != PHASE_DONE && !journal_drop_note(plan, scratch, error))
        return false;
    return swaps_end(plan, error) && tb_remove_tree(root, plan->staging, error) &&
           journal_remove(scratch, error);
}

static void give_up_journal(const Plan *plan, int scratch)
{
    journal_drop_note(plan, scratch, NULL);
    journal_remove(scratch, NULL);
}

/* Back to how it was. When somebody has changed things in between, what is left stays in staging
 * for them, and the journal has nothing more to say. */
static bool put_back(const Plan *plan, int root, int scratch, GError **error)
{
    if (plan->phase == PHASE_MOVE) {
        tb_autofd staging = open_staging(plan, root, error);
        if (staging < 0) {
            /* Removed by hand: nothing can be put back any more, and saying so once is enough. */
            g_autoptr(GError) later = NULL;
            if (errno == ENOENT)
                give_up_journal(plan, scratch);
            return false;
        }
        if (!swaps_back(plan, error) || !move_back(plan, root, staging, error)) {
            swaps_end(plan, NULL);
            give_up_journal(plan, scratch);
            return false;
        }
    }
    return finish(plan, root, scratch, error);
}

bool tb_apply_recover(const char *root, const char *scratch, GError **error)
{
    tb_autofd dir = open(scratch, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0 && errno == ENOENT)
        return true;
    if (dir < 0)
        return tb_error_set_errno(error, errno, "cannot open '%s'", scratch);
    g_autoptr(Plan) plan = NULL;
    if (!journal_read(dir, &plan, error))
        return false;
    if (!plan)
        return true;
    if (strcmp(plan->root, root) != 0)
        return tb_error_set(error, TB_ERROR_CONFLICT,
                            "an apply was interrupted in '%s', not in '%s'", plan->root, root);
    tb_autofd fd = open_root(root, error);
    return fd >= 0 && put_back(plan, fd, dir, error);
}

/* Staging is made and filled; nothing of the project has moved. */
static bool prepare(TbGit *git, const Survey *survey, Plan *plan, int scratch, GError **error)
{
    if (!survey_plan(survey, plan, error) || !journal_write(plan, scratch, error) ||
        !apply_fault_point(error))
        return false;
    if (mkdirat(survey->root, plan->staging, 0700) != 0)
        return tb_error_set_errno(error, errno, "cannot write to the project '%s'", plan->root);
    tb_autofd staging = open_staging(plan, survey->root, error);
    return staging >= 0 && apply_fault_point(error) &&
           stage_files(git, survey, plan, staging, error) && apply_fault_point(error) &&
           swaps_stage(plan, error);
}

static bool sync_project(int root, GError **error)
{
    return syncfs(root) == 0 || tb_error_set_errno(error, errno, "cannot store the new files");
}

static bool write_note(const Plan *plan, const Survey *survey, int scratch, GError **error)
{
    if (!plan->note)
        return true;
    g_autoptr(GBytes) bytes =
        survey->record ? tb_undo_format(survey->record) : g_bytes_new_static("", 0);
    gsize size = 0;
    const void *data = g_bytes_get_data(bytes, &size);
    return tb_write_atomic(scratch, plan->note, data, size, 0600, error);
}

static bool move_all(Plan *plan, const Survey *survey, int scratch, GError **error)
{
    int root = survey->root;
    tb_autofd staging = open_staging(plan, root, error);
    if (staging < 0 || !sync_project(root, error) || !write_note(plan, survey, scratch, error) ||
        !swaps_lock(plan, error))
        return false;
    plan->phase = PHASE_MOVE;
    if (!journal_write(plan, scratch, error) || !apply_fault_point(error) ||
        !move_forward(plan, root, staging, error) || !swaps_forward(plan, error) ||
        !sync_project(root, error))
        return false;
    plan->phase = PHASE_DONE;
    if (journal_write(plan, scratch, error))
        return true;
    plan->phase = PHASE_MOVE;
    return false;
}

/* Puts back after `reason`, which stays the error; what cannot be put back is added to it. */
static bool give_up(const Plan *plan, int root, int scratch, GError *reason, GError **error)
{
    g_autoptr(GError) later = NULL;
    if (!put_back(plan, root, scratch, &later))
        g_prefix_error(&reason, "%s; ", later->message);
    g_propagate_error(error, reason);
    return false;
}

static void take_swaps(Plan *plan, const GPtrArray *swaps)
{
    for (guint i = 0; swaps && i < swaps->len; i++) {
        const TbSwap *swap = swaps->pdata[i];
        g_ptr_array_add(plan->swaps, tb_swap_new(swap->dir, swap->path, swap->old, swap->fresh));
    }
}

static bool apply_now(TbGit *git, const Survey *survey, const char *root, const char *scratch,
                      const TbApplyOptions *options, GError **error)
{
    tb_autofd dir = tb_open_private_dir(scratch, error);
    if (dir < 0)
        return false;
    g_autoptr(Plan) plan = plan_new(root);
    plan->note = g_strdup(options->note);
    take_swaps(plan, options->swaps);
    GError *reason = NULL;
    if (!prepare(git, survey, plan, dir, &reason) || !move_all(plan, survey, dir, &reason))
        return give_up(plan, survey->root, dir, reason, error);
    /* Done from here on: what fails now is only cleaning, which the next recover does. */
    g_autoptr(GError) later = NULL;
    if (apply_fault_point(&later))
        finish(plan, survey->root, dir, &later);
    return true;
}

static bool drifted(GPtrArray *lines, GPtrArray **drift, GError **error)
{
    tb_error_set(error, TB_ERROR_CONFLICT, "cannot apply: %s%s", (char *)lines->pdata[0],
                 lines->len > 1 ? " (and more)" : "");
    if (drift)
        *drift = g_ptr_array_ref(lines);
    return false;
}

bool tb_apply_with(TbGit *git, const char *base_tree, const char *result_tree, const char *root,
                   const char *scratch, const TbApplyOptions *options, TbApplyOutcome *outcome,
                   GPtrArray **drift, GError **error)
{
    if (drift)
        *drift = NULL;
    if (!options->check && !tb_apply_recover(root, scratch, error))
        return false;
    g_autoptr(GPtrArray) files = tb_patch_raw(git, base_tree, result_tree, error);
    if (!files || !check_files(files, error))
        return false;
    tb_autofd fd = open_root(root, error);
    if (fd < 0)
        return false;
    g_auto(Survey) survey = {.since = options->since ? options->since : "when the task started",
                             .record = options->record,
                             .restore = options->restore};
    survey_init(&survey, git, files, fd);
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    bool is_base = false, is_result = false;
    if (!survey_take(&survey, &is_base, &is_result, lines, error))
        return false;
    bool swaps_only = files->len == 0 && options->swaps;
    if (is_result && !swaps_only && options->swaps)
        return tb_error_set(error, TB_ERROR_CONFLICT,
                            "cannot apply: the files are so already, and only they (finish or take "
                            "it back with git)");
    if (is_result && !swaps_only) {
        *outcome = TB_APPLY_ALREADY;
        return true;
    }
    if (!is_base)
        return drifted(lines, drift, error);
    *outcome = options->check ? TB_APPLY_CLEAN : TB_APPLY_DONE;
    return options->check || apply_now(git, &survey, root, scratch, options, error);
}

bool tb_apply(TbGit *git, const char *base_tree, const char *result_tree, const char *root,
              const char *scratch, bool check, TbApplyOutcome *outcome, GPtrArray **drift,
              GError **error)
{
    return tb_apply_with(git, base_tree, result_tree, root, scratch,
                         &(TbApplyOptions){.check = check}, outcome, drift, error);
}
