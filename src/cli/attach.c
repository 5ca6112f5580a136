/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox attach: the log of a task that runs, or its terminal. */
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "cli/command.h"
#include "run/control.h"
#include "run/front.h"
#include "util/error.h"
#include "util/interrupt.h"
#include "util/log.h"
#include "util/units.h"

#define MOST_LINES 100000000

/* The box comes up; a moment more. */
static bool await_start(TbTask *task, GError **error)
{
    while (tb_task_is_alive(task) && task->state < TB_TASK_RUNNING) {
        struct pollfd interrupt = {.fd = tb_interrupt_fd(), .events = POLLIN};
        poll(&interrupt, 1, 100);
        if (!tb_interrupt_check(error))
            return false;
    }
    return true;
}

/* Until the task's process ends, or the user leaves: *left. */
static bool take_terminal(TbTask *task, bool *left, GError **error)
{
    g_auto(TbVisit) visit = {.session = tb_control_connect(task, error)};
    if (!visit.session)
        return false;
    tb_info("the terminal of task %s; Enter ~ . gives it back", task->id);
    TbExec what = {.attach = true, .pty = true, .stdin_fd = STDIN_FILENO};
    TbExecHandlers handlers = {0};
    tb_visit_handle(&visit, &handlers);
    if (!tb_front_begin(&visit.front, &what, error))
        return false;
    TbExecResult result;
    bool ok = tb_session_exec(visit.session, &what, &handlers, 0, &result, error);
    *left = visit.front.left;
    if (*left)
        g_clear_error(error);
    return ok || *left;
}

bool tb_cli_attach(TbCli *cli, int *status, GError **error)
{
    const char *name = tb_arguments_sole(cli->arguments, "a task", error);
    const char *text = tb_arguments_value(cli->arguments, "tail");
    uint64_t tail = UINT64_MAX;
    if (!name || (text && !tb_number_parse(text, "number of lines", 0, MOST_LINES, &tail, error)))
        return false;
    g_autoptr(TbTask) task = tb_task_open(cli->store, name, error);
    if (!task || !await_start(task, error))
        return false;
    bool left = false;
    if (task->tty && task->state == TB_TASK_RUNNING && tb_front_possible()) {
        if (!take_terminal(task, &left, error) || (!left && !tb_cli_await(task, 0, error)))
            return false;
    } else if (!tb_cli_print_log(task, true, tail, status, error)) {
        return false;
    }
    if (left || *status != 0) {
        tb_info("task %s goes on (taskbox attach %s, taskbox stop %s)", task->id, task->id,
                task->id);
        return true;
    }
    *status = tb_cli_outcome(task);
    if (task->state == TB_TASK_READY)
        tb_cli_print_summary(task);
    return true;
}
