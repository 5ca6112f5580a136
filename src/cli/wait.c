/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox wait, taskbox stop */
#include <poll.h>
#include <signal.h>

#include "cli/command.h"
#include "cli/exit.h"
#include "run/control.h"
#include "util/error.h"
#include "util/interrupt.h"
#include "util/log.h"

#define STEP_MS       100
#define SECOND        G_USEC_PER_SEC
#define STOP_DEADLINE (10 * SECOND)

bool tb_cli_await(TbTask *task, int64_t deadline, GError **error)
{
    while (tb_task_is_alive(task)) {
        if (deadline != 0 && g_get_monotonic_time() >= deadline)
            return tb_error_set(error, TB_ERROR_TIMEOUT, "task '%s' still runs", task->id);
        struct pollfd interrupt = {.fd = tb_interrupt_fd(), .events = POLLIN};
        poll(&interrupt, 1, STEP_MS);
        if (!tb_interrupt_check(error))
            return false;
    }
    return true;
}

int tb_cli_outcome(const TbTask *task)
{
    if (task->error_message && task->state == TB_TASK_FAILED)
        tb_info("task %s failed: %s", task->id, task->error_message);
    if (task->state == TB_TASK_FAILED || tb_task_state_unfinished(task->state))
        return TB_EXIT_OWN_FAILURE;
    return tb_cli_status_of(task);
}

bool tb_cli_wait(TbCli *cli, int *status, GError **error)
{
    const char *const *names = tb_arguments_words(cli->arguments);
    if (!names[0])
        return tb_error_set(error, TB_ERROR_USAGE, "a task is missing");
    for (; *names; names++) {
        g_autoptr(TbTask) task = tb_task_open(cli->store, *names, error);
        if (!task || !tb_cli_await(task, 0, error))
            return false;
        int code = tb_cli_outcome(task);
        *status = *status ? *status : code;
    }
    return true;
}

/* While the command runs its taskbox is asked in words, for a signal could meet it in the export
 * already, and would cost the patch. Before that there is nothing to lose. */
static bool ask_to_stop(TbTask *task, bool now, GError **error)
{
    if (task->state == TB_TASK_EXPORTING)
        return true;
    if (task->state != TB_TASK_RUNNING)
        return tb_control_signal(task, now ? SIGTERM : SIGINT, error);
    g_autoptr(TbSession) session = tb_control_connect(task, error);
    return session && tb_session_stop(session, now, g_get_monotonic_time() + STOP_DEADLINE, error);
}

bool tb_cli_stop_task(TbTask *task, bool now, GError **error)
{
    g_autoptr(GError) why = NULL;
    if (!tb_task_is_alive(task)) {
        tb_info("task %s does not run: it is %s", task->id, tb_task_state_name(task->state));
        return true;
    }
    if (!ask_to_stop(task, now, &why) && tb_task_is_alive(task)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    g_clear_error(&why);
    int64_t deadline = g_get_monotonic_time() + STOP_DEADLINE;
    while (!tb_cli_await(task, deadline, &why)) {
        if (!g_error_matches(why, TB_ERROR, TB_ERROR_TIMEOUT)) {
            g_propagate_error(error, g_steal_pointer(&why));
            return false;
        }
        if (task->state != TB_TASK_EXPORTING)
            return tb_error_set(error, TB_ERROR_TIMEOUT,
                                "task '%s' was asked to stop and still runs ('taskbox stop --now "
                                "%s' ends it)",
                                task->id, task->id);
        g_clear_error(&why); /* a large export takes as long as it takes */
        deadline = g_get_monotonic_time() + STOP_DEADLINE;
    }
    if (task->state == TB_TASK_READY)
        tb_cli_print_summary(task);
    else
        tb_info("task %s is %s", task->id, tb_task_state_name(task->state));
    return true;
}

bool tb_cli_stop(TbCli *cli, int *status, GError **error)
{
    const char *const *names = tb_arguments_words(cli->arguments);
    bool now = tb_arguments_flag(cli->arguments, "now");
    if (!names[0])
        return tb_error_set(error, TB_ERROR_USAGE, "a task is missing");
    for (; *names; names++) {
        g_autoptr(TbTask) task = tb_task_open(cli->store, *names, error);
        if (!task || !tb_cli_stop_task(task, now, error))
            return false;
    }
    return true;
}
