/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One process in the box, from its start to its end. Its input is read only as far as the guest has
 * given credit, so a process that does not read delays neither signals nor output. Whatever ends
 * the call early (deadline, interrupt, a failing handler) first kills the process; the frames that
 * are still under way are then skipped by the next call.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "util/error.h"
#include "util/interrupt.h"
#include "vm/session-private.h"

enum { INPUT_CHUNK = 32 * 1024, QUEUE_FOR_INPUT = 64 * 1024, KILL_FLUSH_MS = 2000 };
#define TICK_US G_USEC_PER_SEC

typedef struct {
    TbSession *session;
    const TbExec *exec;
    const TbExecHandlers *handlers;
    uint32_t credit;
    bool started, exited, input_open;
    int64_t next_tick; /* 0: none */
    TbExecResult result;
} Run;

static void queue_signal(TbSession *session, int number)
{
    uint8_t payload[4];
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_put_u32(&writer, (uint32_t)number);
    tb_session_queue(session, TB_MSG_SIGNAL, 0, payload, writer.length);
}

/* A process that an earlier call or connection left behind goes first. */
static bool end_stale(TbSession *session, int64_t deadline, GError **error)
{
    TbSessionWait wait = {.deadline = deadline, .input_fd = -1};
    if (session->stale)
        queue_signal(session, SIGKILL);
    while (session->stale) {
        TbFrame frame;
        bool have;
        if (!tb_session_poll_frame(session, &frame, &have, error))
            return false;
        if (have && frame.type == TB_MSG_EXIT)
            session->stale = false;
        else if (have && frame.type != TB_MSG_OUTPUT && frame.type != TB_MSG_CREDIT &&
                 frame.type != TB_MSG_STARTED)
            return tb_session_breach(session, error, "frame 0x%02x came unasked", frame.type);
        else if (!have && !tb_session_move(session, &wait, error))
            return false;
    }
    return true;
}

static bool send_request(TbSession *session, const TbExec *exec, int64_t deadline, GError **error)
{
    static const char *const none[] = {NULL};
    g_autofree uint8_t *payload = g_malloc(TB_EXEC_LIMIT);
    TbWriter writer = tb_writer(payload, TB_EXEC_LIMIT);
    TbExecMessage message = {.as_root = exec->as_root,
                             .pty = exec->pty,
                             .has_stdin = exec->stdin_fd >= 0,
                             .rows = (uint16_t)MIN(exec->rows, UINT16_MAX),
                             .columns = (uint16_t)MIN(exec->columns, UINT16_MAX),
                             .cwd = exec->cwd ? exec->cwd : "/",
                             .argv = (const char **)(uintptr_t)exec->argv,
                             .env = (const char **)(uintptr_t)(exec->env ? exec->env : none)};
    tb_encode_exec(&writer, &message);
    if (writer.failed)
        return tb_error_set(error, TB_ERROR_LIMIT, "the command line is longer than 1 MiB");
    size_t sent = 0;
    for (; writer.length - sent > TB_FRAME_MAX; sent += TB_FRAME_MAX)
        if (!tb_session_send(session, TB_MSG_EXEC_PART, payload + sent, TB_FRAME_MAX, deadline,
                             error))
            return false;
    return tb_session_send(session, TB_MSG_EXEC, payload + sent, writer.length - sent, deadline,
                           error);
}

static bool take_output(Run *run, const TbFrame *frame, GError **error)
{
    if (frame->stream != 1 && (frame->stream != 2 || run->exec->pty))
        return tb_session_breach(run->session, error, "output on stream %u", frame->stream);
    const TbExecHandlers *handlers = run->handlers;
    if (frame->length == 0 || !handlers || !handlers->output)
        return true;
    return handlers->output(frame->stream, frame->payload, frame->length, handlers->data, error);
}

static bool take_credit(Run *run, const TbFrame *frame, GError **error)
{
    TbReader reader = tb_reader(frame->payload, frame->length);
    uint32_t more = tb_get_u32(&reader);
    if (!tb_reader_done(&reader) || more > TB_STDIN_WINDOW - run->credit)
        return tb_session_breach(run->session, error, "more credit than there is");
    run->credit += more;
    return true;
}

static bool take_exit(Run *run, const TbFrame *frame, GError **error)
{
    TbReader reader = tb_reader(frame->payload, frame->length);
    uint32_t code = tb_get_u32(&reader), number = tb_get_u32(&reader);
    if (!tb_reader_done(&reader) || code > 255 || number > 64 ||
        (number != 0 && code != 128 + number))
        return tb_session_breach(run->session, error, "an exit status that cannot be");
    run->result = (TbExecResult){.code = (int)code, .signal = (int)number};
    run->exited = true;
    run->session->stale = false;
    return true;
}

static bool take_frame(Run *run, const TbFrame *frame, GError **error)
{
    if (!run->started && frame->type != TB_MSG_STARTED)
        return tb_session_breach(run->session, error, "frame 0x%02x before a process started",
                                 frame->type);
    switch ((TbMessageType)frame->type) {
    case TB_MSG_STARTED:
        if (run->started || frame->length != 0)
            return tb_session_breach(run->session, error, "a process started twice");
        run->started = true;
        return true;
    case TB_MSG_OUTPUT:
        return take_output(run, frame, error);
    case TB_MSG_CREDIT:
        return take_credit(run, frame, error);
    case TB_MSG_EXIT:
        return take_exit(run, frame, error);
    default:
        return tb_session_breach(run->session, error, "frame 0x%02x came unasked", frame->type);
    }
}

static bool pass_input(Run *run, GError **error)
{
    uint8_t buffer[INPUT_CHUNK];
    ssize_t n = read(run->exec->stdin_fd, buffer, MIN(sizeof buffer, run->credit));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (n < 0 && errno != EIO) /* EIO: a terminal that went away, or we are in its background */
        return tb_error_set_errno(error, errno, "cannot read the standard input");
    if (n <= 0) {
        run->input_open = false;
        n = 0;
    }
    tb_session_queue(run->session, TB_MSG_STDIN, 0, buffer, (size_t)n);
    run->credit -= (uint32_t)n;
    return true;
}

static bool heed_interrupt(Run *run, GError **error)
{
    if (tb_interrupt_pending() == 0)
        return true;
    const TbExecHandlers *handlers = run->handlers;
    int number = handlers && handlers->interrupt ? handlers->interrupt(handlers->data) : -1;
    if (number < 0) {
        if (tb_interrupt_check(error)) /* the handler has acknowledged it itself */
            tb_error_set(error, TB_ERROR_INTERRUPTED, "interrupted");
        return false;
    }
    tb_interrupt_acknowledge();
    if (number > 0)
        queue_signal(run->session, number);
    return true;
}

static bool tick(Run *run, GError **error)
{
    int64_t now = g_get_monotonic_time();
    if (run->next_tick == 0 || now < run->next_tick)
        return true;
    run->next_tick = now + TICK_US;
    return run->handlers->tick(run->handlers->data, error);
}

static bool run_step(Run *run, int64_t deadline, GError **error)
{
    TbSession *session = run->session;
    bool wants_input =
        run->input_open && run->credit > 0 && tb_session_queued(session) < QUEUE_FOR_INPUT;
    TbSessionWait wait = {.deadline = deadline,
                          .wake = run->next_tick,
                          .input_fd = wants_input ? run->exec->stdin_fd : -1,
                          .ignore_interrupt = true};
    TbFrame frame;
    bool have;
    if (!heed_interrupt(run, error) || !tick(run, error) ||
        !tb_session_poll_frame(session, &frame, &have, error))
        return false;
    if (have && !take_frame(run, &frame, error))
        return false;
    if (!have && !tb_session_move(session, &wait, error))
        return false;
    if (have && deadline != 0 && g_get_monotonic_time() >= deadline && !run->exited)
        return tb_error_set(error, TB_ERROR_TIMEOUT, "the guest did not answer in time");
    return !wait.input_ready || pass_input(run, error);
}

bool tb_session_exec(TbSession *session, const TbExec *exec, const TbExecHandlers *handlers,
                     int64_t deadline, TbExecResult *result, GError **error)
{
    Run run = {
        .session = session, .exec = exec, .handlers = handlers, .input_open = exec->stdin_fd >= 0};
    if (!tb_session_usable(session, error) || !end_stale(session, deadline, error) ||
        !send_request(session, exec, deadline, error))
        return false;
    if (handlers && handlers->tick)
        run.next_tick = g_get_monotonic_time() + TICK_US;
    while (!run.exited) {
        g_autoptr(GError) own = NULL;
        if (run_step(&run, deadline, &own))
            continue;
        /* ERROR before STARTED: there is no process. */
        bool refused = !run.started && g_error_matches(own, TB_ERROR, TB_ERROR_GUEST);
        if (!session->broken && !refused) {
            session->stale = true;
            queue_signal(session, SIGKILL);
            tb_session_flush(session, KILL_FLUSH_MS);
        }
        if (run.started && g_error_matches(own, TB_ERROR, TB_ERROR_TIMEOUT))
            return tb_error_set(error, TB_ERROR_TIMEOUT, "'%s' did not end in time", exec->argv[0]);
        g_propagate_error(error, g_steal_pointer(&own));
        return false;
    }
    *result = run.result;
    return true;
}
