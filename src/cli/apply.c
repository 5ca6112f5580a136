/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox apply and undo */
#include <stdio.h>

#include "cli/command.h"
#include "cli/exit.h"
#include "cli/output.h"
#include "task/findings.h"
#include "task/finish.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/log.h"

static void print_drift(const GPtrArray *drift)
{
    for (guint i = 0; drift && i < drift->len; i++)
        fprintf(stderr, "  %s\n", (const char *)drift->pdata[i]); /* escaped by review */
}

static const char *outcome_text(TbApplyOutcome outcome)
{
    switch (outcome) {
    case TB_APPLY_CLEAN:
        return "would apply";
    case TB_APPLY_ALREADY:
        return "already applied";
    default:
        return "applied";
    }
}

/* "TASK", or with --files "TASK PATH...". */
static const char *take_words(TbCli *cli, TbTaskApply *how, GError **error)
{
    if (!tb_arguments_flag(cli->arguments, "files"))
        return tb_arguments_sole(cli->arguments, "a task", error);
    const char *const *words = tb_arguments_words(cli->arguments);
    if (words[0] && words[1]) {
        how->files = words + 1;
        return words[0];
    }
    tb_error_set(error, TB_ERROR_USAGE,
                 words[0] ? "--files: no path is given" : "a task is missing");
    return NULL;
}

/* --index, --commit, --branch NAME. */
static bool take_place(const TbCli *cli, TbTaskApply *how, GError **error)
{
    bool index = tb_arguments_flag(cli->arguments, "index");
    bool commit = tb_arguments_flag(cli->arguments, "commit");
    how->branch = tb_arguments_value(cli->arguments, "branch");
    if (index + commit + (how->branch != NULL) > 1)
        return tb_error_set(error, TB_ERROR_USAGE,
                            "--index, --commit and --branch do not go together");
    how->to = index         ? TB_APPLY_TO_INDEX
              : commit      ? TB_APPLY_TO_COMMIT
              : how->branch ? TB_APPLY_TO_BRANCH
                            : TB_APPLY_TO_FILES;
    if (how->merge && how->to != TB_APPLY_TO_FILES)
        return tb_error_set(error, TB_ERROR_USAGE,
                            "--3way is for the files only: not with --index, --commit or --branch");
    return true;
}

static bool print_outcome(const TbTask *task, const TbTaskApply *how, TbApplyOutcome outcome,
                          GError **error)
{
    g_autofree char *stat = tb_stat_format(&task->stat);
    bool more = how->to != TB_APPLY_TO_FILES && !how->check && task->applied_to;
    g_autofree char *place = more ? tb_escape_name(task->applied_to) : NULL;
    return tb_print_format(error, "%s%s%s%s%s\n", outcome_text(outcome),
                           how->files ? " (of the chosen files)" : ": ", how->files ? "" : stat,
                           more ? "; " : "", more ? place : "");
}

bool tb_cli_apply(TbCli *cli, int *status, GError **error)
{
    TbTaskApply how = {.check = tb_arguments_flag(cli->arguments, "check"),
                       .merge = tb_arguments_flag(cli->arguments, "3way")};
    const char *name = take_place(cli, &how, error) ? take_words(cli, &how, error) : NULL;
    g_autoptr(TbTask) task = name ? tb_task_open(cli->store, name, error) : NULL;
    bool commits = !how.files && (how.to == TB_APPLY_TO_COMMIT || how.to == TB_APPLY_TO_BRANCH);
    const char *const *rules = tb_arguments_all(cli->arguments, "acknowledge");
    if (!task || !tb_task_acknowledged(task, rules, commits, error))
        return false;
    TbApplyOutcome outcome = TB_APPLY_DONE;
    g_autoptr(GPtrArray) lines = NULL;
    if (!tb_task_apply_with(cli->store, task, &how, &outcome, &lines, error)) {
        print_drift(lines);
        return false;
    }
    if (lines) {
        *status = TB_EXIT_MERGE_CONFLICTS;
        tb_warn("conflicts to be resolved in:");
        print_drift(lines);
    }
    return print_outcome(task, &how, outcome, error);
}

bool tb_cli_undo(TbCli *cli, int *status, GError **error)
{
    const char *name = tb_arguments_sole(cli->arguments, "a task", error);
    g_autoptr(TbTask) task = name ? tb_task_open(cli->store, name, error) : NULL;
    if (!task)
        return false;
    TbApplyOutcome outcome = TB_APPLY_DONE;
    g_autoptr(GPtrArray) drift = NULL;
    if (!tb_task_undo(cli->store, task, &outcome, &drift, error)) {
        print_drift(drift);
        return false;
    }
    return tb_print_format(error, "%s\n",
                           outcome == TB_APPLY_DONE ? "undone: all is as before the apply"
                                                    : "nothing to undo: it is not applied");
}
