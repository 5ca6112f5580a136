/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox discard */
#include "cli/command.h"
#include "cli/output.h"
#include "task/finish.h"
#include "util/error.h"

bool tb_cli_discard(TbCli *cli, int *status, GError **error)
{
    const char *const *names = tb_arguments_words(cli->arguments);
    if (!names[0])
        return tb_error_set(error, TB_ERROR_USAGE, "a task is missing");
    for (; *names; names++) {
        g_autoptr(TbTask) task = tb_task_open(cli->store, *names, error);
        if (!task || !tb_task_discard(task, error) ||
            !tb_print_format(error, "discarded %s\n", task->id))
            return false;
    }
    return true;
}
