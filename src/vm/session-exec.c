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
/* More than all windows and requests together: the other end talks and does not listen. */
enum { QUEUE_LIMIT = 16 * 1024 * 1024 };
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
        if (have && !tb_session_skip(session, &frame))
            return tb_session_breach(session, error, "frame 0x%02x came unasked", frame.type);
        if (!have && !tb_session_move(session, &wait, error))
            return false;
    }
    return true;
}

static void put_size(TbWriter *writer, unsigned rows, unsigned columns)
{
    tb_put_u16(writer, (uint16_t)MIN(rows, UINT16_MAX));
    tb_put_u16(writer, (uint16_t)MIN(columns, UINT16_MAX));
}

static bool send_attach(TbSession *session, const TbExec *exec, int64_t deadline, GError **error)
{
    uint8_t payload[4];
    TbWriter writer = tb_writer(payload, sizeof payload);
    put_size(&writer, exec->rows, exec->columns);
    return tb_session_send(session, TB_MSG_ATTACH, payload, writer.length, deadline, error);
}

static bool send_request(TbSession *session, const TbExec *exec, int64_t deadline, GError **error)
{
    if (exec->attach)
        return send_attach(session, exec, deadline, error);
    static const char *const none[] = {NULL};
    g_autofree uint8_t *payload = g_malloc(TB_EXEC_LIMIT);
    TbWriter writer = tb_writer(payload, TB_EXEC_LIMIT);
    TbExecMessage message = {.as_root = exec->as_root,
                             .pty = exec->pty,
                             .has_stdin = exec->stdin_fd >= 0 || exec->fed,
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

static bool read_exit(const TbFrame *frame, TbExecResult *result)
{
    TbReader reader = tb_reader(frame->payload, frame->length);
    uint32_t code = tb_get_u32(&reader), number = tb_get_u32(&reader);
    *result = (TbExecResult){.code = (int)code, .signal = (int)number};
    return tb_reader_done(&reader) && code <= 255 && number <= 64 &&
           (number == 0 || code == 128 + number);
}

static bool take_exit(Run *run, const TbFrame *frame, GError **error)
{
    if (!read_exit(frame, &run->result))
        return tb_session_breach(run->session, error, "an exit status that cannot be");
    run->exited = true;
    run->session->stale = false;
    return true;
}

/* A side process says no more than it was given room for, and nothing after its end. */
static bool take_side(Run *run, unsigned process, const TbFrame *frame, GError **error)
{
    TbSession *session = run->session;
    TbExecResult result;
    bool fine = process <= TB_SIDES && session->sides & 1u << process;
    switch ((TbMessageType)frame->type) {
    case TB_MSG_STARTED:
        fine &= frame->length == 0;
        break;
    case TB_MSG_OUTPUT:
        fine = fine && frame->length <= session->room[process];
        if (fine)
            session->room[process] -= frame->length;
        fine &= tb_stream_fd(frame->stream) == 1 || tb_stream_fd(frame->stream) == 2;
        break;
    case TB_MSG_CREDIT:
        fine &= frame->length == 4;
        break;
    case TB_MSG_EXIT:
        fine &= read_exit(frame, &result);
        break;
    case TB_MSG_ERROR:
        break;
    default:
        fine = false;
    }
    if (!fine)
        return tb_session_breach(session, error, "frame 0x%02x of process %u", frame->type,
                                 process);
    if (frame->type == TB_MSG_EXIT || frame->type == TB_MSG_ERROR)
        session->sides &= ~(1u << process);
    return run->handlers->side(process, frame, run->handlers->data, error);
}

static bool take_frame(Run *run, const TbFrame *frame, GError **error)
{
    unsigned process = tb_stream_process(frame->stream);
    if (process != 0 && tb_session_skip(run->session, frame))
        return true;
    if (process != 0)
        return take_side(run, process, frame, error);
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
    uint8_t buffer[INPUT_CHUNK + 1];
    const TbExecHandlers *handlers = run->handlers;
    bool changes = handlers && handlers->input;
    ssize_t n = read(run->exec->stdin_fd, buffer, MIN(INPUT_CHUNK, run->credit - changes));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (n < 0 && errno != EIO) /* EIO: a terminal that went away, or we are in its background */
        return tb_error_set_errno(error, errno, "cannot read the standard input");
    if (n <= 0) {
        run->input_open = false;
        n = 0;
    }
    size_t length = (size_t)n;
    if (n > 0 && changes && !handlers->input(buffer, &length, handlers->data, error))
        return false;
    if (n == 0 || length > 0)
        tb_session_queue(run->session, TB_MSG_STDIN, 0, buffer, length);
    run->credit -= (uint32_t)length;
    return true;
}

static void feed(Run *run)
{
    uint8_t buffer[INPUT_CHUNK];
    const TbExecHandlers *handlers = run->handlers;
    if (!handlers || !handlers->more_input || run->credit == 0 ||
        tb_session_queued(run->session) >= QUEUE_FOR_INPUT)
        return;
    size_t n = handlers->more_input(buffer, MIN(sizeof buffer, run->credit), handlers->data);
    if (n > 0)
        tb_session_queue(run->session, TB_MSG_STDIN, 0, buffer, n);
    run->credit -= (uint32_t)n;
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
    const TbExecHandlers *handlers = run->handlers;
    struct pollfd others[TB_EXEC_POLL];
    bool wants_input =
        run->input_open && run->credit > 1 && tb_session_queued(session) < QUEUE_FOR_INPUT;
    TbSessionWait wait = {.deadline = deadline,
                          .wake = run->next_tick,
                          .input_fd = wants_input ? run->exec->stdin_fd : -1,
                          .ignore_interrupt = true,
                          .others = others};
    TbFrame frame;
    bool have;
    if (!heed_interrupt(run, error) || !tick(run, error))
        return false;
    wait.hold = handlers && handlers->hold && handlers->hold(handlers->data);
    have = false;
    if (!wait.hold && !tb_session_poll_frame(session, &frame, &have, error))
        return false;
    if (have && !take_frame(run, &frame, error))
        return false;
    if (tb_session_queued(session) > QUEUE_LIMIT)
        return tb_session_breach(session, error, "it does not read what it is told");
    if (!have && handlers && handlers->poll)
        wait.n_others = handlers->poll(others, handlers->data);
    if (!have && !tb_session_move(session, &wait, error))
        return false;
    if (wait.n_others > 0 && !handlers->polled(others, wait.n_others, handlers->data, error))
        return false;
    feed(run);
    if (have && deadline != 0 && g_get_monotonic_time() >= deadline && !run->exited)
        return tb_error_set(error, TB_ERROR_TIMEOUT, "the guest did not answer in time");
    return !wait.input_ready || pass_input(run, error);
}

void tb_session_window(TbSession *session, unsigned rows, unsigned columns)
{
    uint8_t payload[4];
    TbWriter writer = tb_writer(payload, sizeof payload);
    put_size(&writer, rows, columns);
    tb_session_queue(session, TB_MSG_WINDOW, 0, payload, writer.length);
}

unsigned tb_session_side_start(TbSession *session, const void *payload, size_t length)
{
    unsigned process = 1;
    while (process <= TB_SIDES && (session->sides | session->lost_sides) & 1u << process)
        process++;
    if (process > TB_SIDES)
        return 0;
    const uint8_t *at = payload;
    uint16_t stream = tb_stream(process, 0);
    for (; length > TB_FRAME_MAX; at += TB_FRAME_MAX, length -= TB_FRAME_MAX)
        tb_session_queue(session, TB_MSG_EXEC_PART, stream, at, TB_FRAME_MAX);
    tb_session_queue(session, TB_MSG_EXEC, stream, at, length);
    session->sides |= 1u << process;
    session->room[process] = TB_SIDE_WINDOW;
    return process;
}

void tb_session_side_send(TbSession *session, unsigned process, TbMessageType type,
                          const void *payload, size_t length)
{
    if (!(session->sides & 1u << process))
        return;
    if (type == TB_MSG_TAKEN) {
        TbReader reader = tb_reader(payload, length);
        session->room[process] += tb_get_u32(&reader);
    }
    tb_session_queue(session, type, tb_stream(process, 0), payload, length);
}

/* Whatever they still say is skipped by the calls to come. */
static void lose_sides(TbSession *session)
{
    for (unsigned process = 1; process <= TB_SIDES; process++) {
        if (!(session->sides & 1u << process))
            continue;
        uint8_t payload[4];
        TbWriter writer = tb_writer(payload, sizeof payload);
        tb_put_u32(&writer, SIGKILL);
        tb_session_side_send(session, process, TB_MSG_SIGNAL, payload, writer.length);
    }
    session->lost_sides |= session->sides;
    session->sides = 0;
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
        lose_sides(session);
        /* ERROR before STARTED: there is no process. */
        bool refused = !run.started && g_error_matches(own, TB_ERROR, TB_ERROR_GUEST);
        session->stale |= !refused;
        if (!session->broken && !refused) {
            queue_signal(session, SIGKILL);
            tb_session_flush(session, KILL_FLUSH_MS);
        }
        if (run.started && g_error_matches(own, TB_ERROR, TB_ERROR_TIMEOUT))
            return tb_error_set(error, TB_ERROR_TIMEOUT, "'%s' did not end in time",
                                exec->argv ? exec->argv[0] : "it");
        g_propagate_error(error, g_steal_pointer(&own));
        return false;
    }
    lose_sides(session);
    *result = run.result;
    return true;
}
