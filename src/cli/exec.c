/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox exec: a further process in a box that runs. */
#include <signal.h>
#include <unistd.h>

#include "cli/command.h"
#include "task/control.h"
#include "task/front.h"
#include "util/error.h"
#include "util/interrupt.h"
#include "util/log.h"

typedef struct {
    TbSession *session;
    TbFront front;
    TbScreen *out, *err;
    int interrupts;
} Exec;

static void exec_clear(Exec *exec)
{
    tb_front_clear(&exec->front);
    g_clear_pointer(&exec->session, tb_session_free);
    g_clear_pointer(&exec->out, tb_screen_free);
    g_clear_pointer(&exec->err, tb_screen_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Exec, exec_clear)

static bool on_output(int fd, const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Exec *exec = user_data;
    if (exec->front.terminal)
        return tb_front_output(&exec->front, data, length, error);
    return tb_screen_write(fd == STDERR_FILENO ? exec->err : exec->out, data, length, error);
}

static bool on_input(uint8_t *bytes, size_t *length, void *user_data, GError **error)
{
    Exec *exec = user_data;
    return tb_front_input(&exec->front, bytes, length, error);
}

static size_t on_poll(struct pollfd *fds, void *user_data)
{
    Exec *exec = user_data;
    return tb_front_poll(&exec->front, fds);
}

static bool on_polled(const struct pollfd *fds, size_t count, void *user_data, GError **error)
{
    Exec *exec = user_data;
    tb_front_polled(&exec->front, fds, exec->session);
    return true;
}

static int on_interrupt(void *user_data)
{
    Exec *exec = user_data;
    return tb_interrupt_signal() == SIGINT && exec->interrupts++ == 0 ? SIGINT : -1;
}

bool tb_cli_exec(TbCli *cli, int *status, GError **error)
{
    static const char *const login[] = {"/bin/sh", "-c", "exec \"$SHELL\" -l", NULL};
    const char *const *rest = tb_arguments_rest(cli->arguments);
    const char *name = tb_arguments_sole(cli->arguments, "a task", error);
    bool tty = tb_arguments_flag(cli->arguments, "tty");
    bool no_tty = tb_arguments_flag(cli->arguments, "no-tty");
    if (name && tty && no_tty)
        return tb_error_set(error, TB_ERROR_USAGE, "--tty and --no-tty contradict each other");
    g_autoptr(TbTask) task = name ? tb_task_open(cli->store, name, error) : NULL;
    g_auto(Exec) exec = {.session = task ? tb_control_connect(task, error) : NULL,
                         .out = tb_screen_new(STDOUT_FILENO),
                         .err = tb_screen_new(STDERR_FILENO)};
    if (!exec.session)
        return false;
    bool real = tb_front_possible() && !no_tty;
    TbExec what = {.argv = rest && rest[0] ? rest : login,
                   .cwd = "",
                   .pty = real || tty,
                   .rows = 24,
                   .columns = 80,
                   .stdin_fd = real || !isatty(STDIN_FILENO) ? STDIN_FILENO : -1};
    TbExecHandlers handlers = {.output = on_output, .interrupt = on_interrupt, .data = &exec};
    if (what.pty)
        what.env = tb_front_env(&exec.front, NULL);
    if (real) {
        handlers.input = on_input;
        handlers.poll = on_poll;
        handlers.polled = on_polled;
        if (!tb_front_begin(&exec.front, &what, error))
            return false;
    }
    TbExecResult result = {0};
    bool ok = tb_session_exec(exec.session, &what, &handlers, 0, &result, error);
    if (!ok && exec.front.left) {
        g_clear_error(error);
        result.code = 128 + SIGKILL;
    }
    *status = result.code;
    return ok || exec.front.left;
}
