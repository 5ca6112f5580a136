/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command of a task: its output goes to the log and to whoever watches, a Ctrl-C to it, and the
 * host's free space is looked at while it runs.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "run/limit.h"
#include "run/run-private.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/hole.h"
#include "util/interrupt.h"
#include "util/log.h"

static bool pass_on(Run *run, int fd, const void *data, size_t length, GError **error)
{
    if (!tb_task_log_append(run->log, data, length, error))
        return false;
    tb_control_output(run->control, data, length);
    if (run->front.terminal)
        return tb_front_output(&run->front, data, length, error);
    return !run->output || run->output->output(fd, data, length, run->output->user_data, error);
}

/* What the agent's stream says so far goes where its output would go. */
static bool pass_words(Run *run, GError **error)
{
    bool ok = run->words->len == 0 || pass_on(run, 1, run->words->str, run->words->len, error);
    g_string_truncate(run->words, 0);
    return ok;
}

static bool on_output(int fd, const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Run *run = user_data;
    if (!run->stream || fd != 1)
        return pass_on(run, fd, data, length, error);
    if (!tb_task_log_append(run->raw, data, length, error))
        return false;
    tb_agent_stream_feed(run->stream, data, length, run->words);
    return pass_words(run, error);
}

static bool open_logs(Run *run, GError **error)
{
    run->log = tb_task_log_open(run->task, TB_TASK_LOG, run->limits.log, error);
    if (!run->log || !run->agent || !run->agent->output || run->options->tty)
        return run->log != NULL;
    run->raw = tb_task_log_open(run->task, TB_TASK_STREAM, run->limits.log, error);
    run->stream = tb_agent_stream_new(run->agent->output);
    run->words = g_string_new(NULL);
    return run->raw != NULL;
}

/* The first Ctrl-C is passed on, the second ends the command; either way its work is exported. A
 * SIGTERM or SIGHUP ends it at once. */
static int on_interrupt(void *user_data)
{
    Run *run = user_data;
    run->interrupts++;
    if (tb_interrupt_signal() != SIGINT || run->interrupts > 1)
        return -1;
    tb_interrupt_acknowledge();
    if (!run->front.terminal)
        tb_info("asking the command to stop%s (again: stop it now)",
                run->trial ? "" : "; its changes will be kept");
    return SIGINT;
}

/* The task's box grows on the host's file system, which others need, too. A task that may have no
 * more of the network would only try again and again. */
static bool on_tick(void *user_data, GError **error)
{
    Run *run = user_data;
    tb_control_tick(run->control);
    run->out_of_space = !tb_limits_check_space(run->task, &run->limits, error) ||
                        !tb_network_check(&run->network, error);
    return !run->out_of_space;
}

static bool on_input(uint8_t *bytes, size_t *length, void *user_data, GError **error)
{
    Run *run = user_data;
    return tb_front_input(&run->front, bytes, length, error);
}

static size_t on_poll(struct pollfd *fds, void *user_data)
{
    Run *run = user_data;
    size_t own = tb_front_poll(&run->front, fds);
    return own + tb_control_poll(run->control, fds + own, TB_EXEC_POLL - own);
}

static bool on_polled(const struct pollfd *fds, size_t count, void *user_data, GError **error)
{
    Run *run = user_data;
    size_t own = run->front.terminal && tb_terminal_window_fd() >= 0;
    if (own > 0)
        tb_front_polled(&run->front, fds, run->session);
    tb_control_polled(run->control, fds + own, count - own);
    return true;
}

static bool on_side(unsigned process, const TbFrame *frame, void *user_data, GError **error)
{
    Run *run = user_data;
    tb_control_side(run->control, process, frame);
    return true;
}

static size_t more_input(uint8_t *bytes, size_t room, void *user_data)
{
    Run *run = user_data;
    return tb_control_typed(run->control, bytes, room);
}

static bool on_hold(void *user_data)
{
    Run *run = user_data;
    return tb_control_hold(run->control);
}

/* The command as the guest is to run it; the terminal is ours from here on. */
static bool set_terminal(Run *run, TbExec *exec, TbExecHandlers *handlers, GError **error)
{
    if (!run->options->tty)
        return true;
    exec->pty = true;
    exec->rows = 24;
    exec->columns = 80;
    exec->env = tb_front_env(&run->front, exec->env);
    exec->fed = true;
    handlers->more_input = more_input;
    if (!run->options->pass_stdin || exec->stdin_fd != STDIN_FILENO || !tb_front_possible())
        return true;
    handlers->input = on_input;
    return tb_front_begin(&run->front, exec, error);
}

static int stdin_of(Run *run, int *owned, GError **error)
{
    if (!run->agent || !run->agent->prompt_stdin)
        return run->options->pass_stdin ? STDIN_FILENO : -1;
    const char *prompt = run->options->prompt;
    size_t length = strlen(prompt);
    *owned = memfd_create("prompt", MFD_CLOEXEC);
    if (*owned < 0 || write(*owned, prompt, length) != (ssize_t)length ||
        lseek(*owned, 0, SEEK_SET) < 0) {
        tb_error_set_errno(error, errno, "cannot keep the prompt in memory");
        return -2;
    }
    return *owned;
}

/* How it ended goes to the record. `result` NULL: not by itself, but by `why`, which is handed on
 * when it is no end that was meant to be possible. */
static bool note_end(Run *run, const TbExecResult *result, GError **why, uint64_t timeout,
                     GError **error)
{
    TbTask *task = run->task;
    if (result) {
        task->exited = true;
        task->exit_code = result->code;
        task->exit_signal = result->signal;
        if (run->interrupts)
            task->cause = g_strdup("interrupted");
    } else if (g_error_matches(*why, TB_ERROR, TB_ERROR_TIMEOUT)) {
        task->exit_code = 124;
        task->cause =
            g_strdup_printf("stopped after its timeout of %" G_GUINT64_FORMAT " s", timeout);
    } else if (run->out_of_space) {
        task->exit_code = 124;
        task->cause = g_strdup((*why)->message);
    } else if (tb_box_forsake_share(run->box)) {
        run->unserved = true;
        task->exit_code = 125; /* not the command's doing */
        task->cause = g_strdup((*why)->message);
    } else if (run->front.left) {
        task->exit_code = 128 + SIGKILL;
        task->cause = g_strdup((*why)->message);
    } else if (g_error_matches(*why, TB_ERROR, TB_ERROR_INTERRUPTED)) {
        task->exit_code = 128 + tb_interrupt_signal();
        task->cause = g_strdup_printf("interrupted by %s", strsignal(tb_interrupt_signal()));
        tb_interrupt_acknowledge();
    } else {
        g_propagate_error(error, g_steal_pointer(why));
        return false;
    }
    return true;
}

static void finish_log(Run *run)
{
    g_autoptr(GError) error = NULL;
    if (run->stream) {
        tb_agent_stream_end(run->stream, run->words);
        run->task->usage = *tb_agent_stream_usage(run->stream);
    }
    if ((run->stream && (!pass_words(run, &error) || !tb_task_log_finish(run->raw, &error))) ||
        !tb_task_log_finish(run->log, &error))
        tb_warn("%s", error->message);
    if (tb_task_log_is_full(run->log))
        tb_task_note(run->task,
                     "the log is cut: the command wrote more than is kept (limit 'log')");
}

bool run_command(Run *run, GError **error)
{
    TbTask *task = run->task;
    if (!tb_task_save(task, TB_TASK_RUNNING, error))
        return false;
    if (!open_logs(run, error) ||
        !tb_limits_set_processes(run->session, &run->limits, run_deadline(SETUP_DEADLINE), error) ||
        !tb_network_trust(&run->network, run->session, run_deadline(SETUP_DEADLINE), error))
        return false;
    tb_autofd owned = -1;
    int stdin_fd = stdin_of(run, &owned, error);
    if (stdin_fd == -2)
        return false;
    g_autofree char *cwd =
        g_build_filename("/workspace", task->project_name, task->project_subdir, NULL);
    g_auto(GStrv) env = tb_env_join(run->agent ? (const char *const *)run->agent->env : NULL,
                                    (const char *const *)run->image->env);
    TbExec exec = {.argv = (const char *const *)run->argv,
                   .env = tb_network_env(&run->network, env),
                   .cwd = cwd,
                   .stdin_fd = stdin_fd};
    if (tb_hole("box-env"))
        exec.env = (const char *const *)environ;
    TbExecHandlers handlers = {.output = on_output,
                               .interrupt = on_interrupt,
                               .tick = on_tick,
                               .poll = on_poll,
                               .polled = on_polled,
                               .side = on_side,
                               .hold = on_hold,
                               .data = run};
    if ((run->output && run->output->started &&
         !run->output->started(task, run->output->user_data, error)) ||
        !set_terminal(run, &exec, &handlers, error))
        return false;
    uint64_t timeout = run->options->timeout ? run->options->timeout : run->settings->timeout;
    int64_t deadline = timeout && !tb_hole("timeout") ? run_deadline((int64_t)timeout * SECOND) : 0;
    TbExecResult result = {0};
    g_autoptr(GError) why = NULL;
    tb_control_serve(run->control, run->session, exec.env, cwd, exec.pty);
    bool ran = tb_session_exec(run->session, &exec, &handlers, deadline, &result, &why);
    tb_front_clear(&run->front);
    finish_log(run);
    tb_control_end(run->control, result.code, result.signal);
    tb_network_end(&run->network, task);
    run_phase_end(run, "command");
    return note_end(run, ran ? &result : NULL, &why, timeout, error);
}
