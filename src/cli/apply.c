/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox apply and undo */
#include <stdio.h>

#include "cli/command.h"
#include "cli/output.h"
#include "task/findings.h"
#include "task/finish.h"
#include "util/error.h"
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

bool tb_cli_apply(TbCli *cli, int *status, GError **error)
{
    const char *name = tb_arguments_sole(cli->arguments, "a task", error);
    g_autoptr(TbTask) task = name ? tb_task_open(cli->store, name, error) : NULL;
    if (!task ||
        !tb_task_acknowledged(task, tb_arguments_all(cli->arguments, "acknowledge"), error))
        return false;
    TbApplyOutcome outcome = TB_APPLY_DONE;
    g_autoptr(GPtrArray) drift = NULL;
    if (!tb_task_apply(cli->store, task, tb_arguments_flag(cli->arguments, "check"), &outcome,
                       &drift, error)) {
        print_drift(drift);
        return false;
    }
    g_autofree char *stat = tb_stat_format(&task->stat);
    return tb_print_format(error, "%s: %s\n", outcome_text(outcome), stat);
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
