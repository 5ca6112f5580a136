/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox exec: a further process in a box that runs. */
#include <signal.h>
#include <unistd.h>

#include "cli/command.h"
#include "run/control.h"
#include "run/front.h"
#include "util/error.h"
#include "util/interrupt.h"
#include "util/log.h"

typedef struct {
    TbVisit visit; /* first: the handlers' data is both */
    TbScreens screens;
    int interrupts;
} Exec;

static void exec_clear(Exec *exec)
{
    tb_visit_clear(&exec->visit);
    tb_screens_clear(&exec->screens);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Exec, exec_clear)

/* Without a front. */
static bool on_output(int fd, const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Exec *exec = user_data;
    return tb_screens_write(&exec->screens, fd, data, length, error);
}

static int on_interrupt(void *user_data)
{
    Exec *exec = user_data;
    return tb_interrupt_signal() == SIGINT && exec->interrupts++ == 0 ? SIGINT : -1;
}

bool tb_cli_exec(TbCli *cli, int *status, GError **error)
{
    const char *const *rest = tb_arguments_rest(cli->arguments);
    const char *name = tb_arguments_sole(cli->arguments, "a task", error);
    bool tty = tb_arguments_flag(cli->arguments, "tty");
    bool no_tty = tb_arguments_flag(cli->arguments, "no-tty");
    if (name && tty && no_tty)
        return tb_error_set(error, TB_ERROR_USAGE, "--tty and --no-tty contradict each other");
    g_autoptr(TbTask) task = name ? tb_task_open(cli->store, name, error) : NULL;
    g_auto(Exec) exec = {
        .visit = {.session = task ? tb_control_connect(task, error) : NULL},
        .screens = {.out = tb_screen_new(STDOUT_FILENO), .err = tb_screen_new(STDERR_FILENO)}};
    if (!exec.visit.session)
        return false;
    bool real = tb_front_possible() && !no_tty;
    TbExec what = {.argv = rest && rest[0] ? rest : tb_login_shell,
                   .cwd = "",
                   .pty = real || tty,
                   .rows = 24,
                   .columns = 80,
                   .stdin_fd = real || !isatty(STDIN_FILENO) ? STDIN_FILENO : -1};
    TbExecHandlers handlers = {.output = on_output, .interrupt = on_interrupt, .data = &exec};
    if (what.pty)
        what.env = tb_front_env(&exec.visit.front, NULL);
    if (real) {
        tb_visit_handle(&exec.visit, &handlers);
        if (!tb_front_begin(&exec.visit.front, &what, error))
            return false;
    }
    TbExecResult result = {0};
    bool ok = tb_session_exec(exec.visit.session, &what, &handlers, 0, &result, error);
    if (!ok && exec.visit.front.left) {
        g_clear_error(error);
        result.code = 128 + SIGKILL;
    }
    *status = result.code;
    return ok || exec.visit.front.left;
}
