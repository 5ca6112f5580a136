/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames over one descriptor, never blocking but in one poll. Memory is bounded whatever the guest
 * sends: one frame in the decoder, 64 KiB before it; as long as those are full nothing is read.
 * While something waits to be sent we go on reading, so the two ends cannot wait for each other.
 */
#include "vm/session-private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/error.h"
#include "util/escape.h"
#include "util/hole.h"
#include "util/interrupt.h"

enum { OUT_LIMIT = 256 * 1024 };

bool tb_session_breach(TbSession *session, GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    if (tb_hole("protocol"))
        return true;
    session->broken = true;
    return tb_error_set(error, TB_ERROR_GUEST, "%s: broke the protocol: %s", session->peer, text);
}

bool tb_session_usable(TbSession *session, GError **error)
{
    if (session->broken)
        return tb_error_set(error, TB_ERROR_GUEST, "%s: the connection is no longer usable",
                            session->peer);
    if (!session->greeted)
        return tb_error_set(error, TB_ERROR_INTERNAL, "a request before the guest's hello");
    return true;
}

void tb_session_queue(TbSession *session, TbMessageType type, uint16_t stream, const void *payload,
                      size_t length)
{
    uint8_t header[TB_FRAME_HEADER];
    g_assert(length <= TB_FRAME_MAX);
    tb_frame_header(header, (uint8_t)type, stream, (uint32_t)length);
    g_byte_array_append(session->out, header, sizeof header);
    if (length > 0)
        g_byte_array_append(session->out, payload, (guint)length);
}

size_t tb_session_queued(const TbSession *session)
{
    return session->out->len - session->out_start;
}

static bool lost(TbSession *session, GError **error, const char *what, int err)
{
    session->broken = true;
    return err == 0
               ? tb_error_set(error, TB_ERROR_GUEST, "%s: the connection was closed", session->peer)
               : tb_error_set(error, TB_ERROR_GUEST, "%s: cannot %s the connection: %s",
                              session->peer, what, g_strerror(err));
}

static bool would_wait(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static bool write_some(TbSession *session, GError **error)
{
    ssize_t n = send(session->fd, session->out->data + session->out_start,
                     tb_session_queued(session), MSG_NOSIGNAL);
    if (n < 0 && errno == ENOTSOCK)
        n = write(session->fd, session->out->data + session->out_start, tb_session_queued(session));
    if (n < 0)
        return would_wait() || lost(session, error, "write to", errno);
    session->out_start += (size_t)n;
    if (session->out_start == session->out->len) {
        g_byte_array_set_size(session->out, 0);
        session->out_start = 0;
    } else if (session->out_start > OUT_LIMIT) {
        g_byte_array_remove_range(session->out, 0, (guint)session->out_start);
        session->out_start = 0;
    }
    return true;
}

static bool read_some(TbSession *session, GError **error)
{
    ssize_t n = read(session->fd, session->in, sizeof session->in);
    if (n < 0)
        return would_wait() || lost(session, error, "read from", errno);
    if (n == 0)
        return lost(session, error, "read from", 0);
    session->in_start = 0;
    session->in_end = (size_t)n;
    return true;
}

static int poll_timeout(const TbSessionWait *wait)
{
    int64_t deadline = wait->deadline;
    if (wait->wake != 0 && (deadline == 0 || wait->wake < deadline))
        deadline = wait->wake;
    if (deadline == 0)
        return -1;
    int64_t left = (deadline - g_get_monotonic_time() + 999) / 1000;
    return (int)CLAMP(left, 0, G_MAXINT);
}

static bool check_due(const TbSessionWait *wait, GError **error)
{
    if (!wait->ignore_interrupt && !tb_interrupt_check(error))
        return false;
    if (wait->deadline != 0 && g_get_monotonic_time() >= wait->deadline)
        return tb_error_set(error, TB_ERROR_TIMEOUT, "the guest did not answer in time");
    return true;
}

bool tb_session_move(TbSession *session, TbSessionWait *wait, GError **error)
{
    bool reads = session->in_start == session->in_end && !wait->hold;
    short events = (short)((reads ? POLLIN : 0) | (tb_session_queued(session) > 0 ? POLLOUT : 0));
    struct pollfd fds[4 + TB_EXEC_POLL] = {
        {.fd = session->fd, .events = events},
        {.fd = session->watch_fd, .events = POLLIN},
        {.fd = tb_interrupt_fd(), .events = POLLIN},
        {.fd = wait->input_fd, .events = POLLIN},
    };
    wait->input_ready = false;
    for (size_t i = 0; i < wait->n_others; i++)
        fds[4 + i] = wait->others[i];
    if (!check_due(wait, error))
        return false;
    if (poll(fds, 4 + wait->n_others, poll_timeout(wait)) < 0)
        return errno == EINTR || tb_error_set_errno(error, errno, "cannot wait for the guest");
    wait->input_ready = fds[3].revents != 0;
    for (size_t i = 0; i < wait->n_others; i++)
        wait->others[i].revents = fds[4 + i].revents;
    if (fds[1].revents != 0 && session->watch && !session->watch(session->watch_data, error)) {
        session->broken = session->called_off = true;
        return false;
    }
    if (fds[0].revents & POLLOUT && !write_some(session, error))
        return false;
    /* A hang-up is only believed once what came before it was read. */
    if (reads && fds[0].revents & (POLLIN | POLLHUP | POLLERR))
        return read_some(session, error);
    return true;
}

/* The guest's words for an error, made safe to show. */
static bool guest_error(const TbSession *session, const TbFrame *frame, GError **error)
{
    g_autofree char *text =
        tb_escape_terminal(frame->payload, MIN(frame->length, TB_ERROR_TEXT_LIMIT), false);
    return tb_error_set(error, TB_ERROR_GUEST, "%s: %s", session->peer, text);
}

bool tb_session_poll_frame(TbSession *session, TbFrame *frame, bool *have, GError **error)
{
    const uint8_t *data = session->in + session->in_start;
    size_t length = session->in_end - session->in_start;
    TbFrameResult result = tb_frame_decoder_push(&session->decoder, &data, &length, frame);
    session->in_start = session->in_end - length;
    *have = result == TB_FRAME_READY;
    if (result == TB_FRAME_BAD)
        return tb_session_breach(session, error, "a frame with an impossible header");
    if (!*have)
        return true;
    if (frame->type == TB_MSG_BOOT) {
        session->broken = true;
        return tb_error_set(error, TB_ERROR_GUEST, "guest: its program died and was started anew");
    }
    bool of_side = tb_stream_process(frame->stream) != 0;
    return frame->type != TB_MSG_ERROR || of_side || guest_error(session, frame, error);
}

/* What lost side processes still say. */
static bool skip_lost(TbSession *session, const TbFrame *frame)
{
    unsigned process = tb_stream_process(frame->stream);
    if (process == 0 || process > TB_SIDES || !(session->lost_sides & 1u << process))
        return false;
    if (frame->type == TB_MSG_EXIT || frame->type == TB_MSG_ERROR)
        session->lost_sides &= ~(1u << process);
    return frame->type == TB_MSG_EXIT || frame->type == TB_MSG_ERROR ||
           frame->type == TB_MSG_OUTPUT || frame->type == TB_MSG_CREDIT ||
           frame->type == TB_MSG_STARTED;
}

bool tb_session_skip(TbSession *session, const TbFrame *frame)
{
    if (skip_lost(session, frame))
        return true;
    if (!session->stale || tb_stream_process(frame->stream) != 0)
        return false;
    if (frame->type == TB_MSG_EXIT)
        session->stale = false;
    return frame->type == TB_MSG_EXIT || frame->type == TB_MSG_OUTPUT ||
           frame->type == TB_MSG_CREDIT || frame->type == TB_MSG_STARTED;
}

bool tb_session_next_frame(TbSession *session, TbFrame *frame, int64_t deadline, GError **error)
{
    TbSessionWait wait = {.deadline = deadline, .input_fd = -1};
    for (;;) {
        bool have;
        if (!tb_session_poll_frame(session, frame, &have, error))
            return false;
        if (have && !tb_session_skip(session, frame))
            return true;
        /* A guest that sends without end must not keep us from looking at the clock. */
        if (have ? !check_due(&wait, error) : !tb_session_move(session, &wait, error))
            return false;
    }
}

bool tb_session_expect(TbSession *session, TbMessageType type, TbFrame *frame, int64_t deadline,
                       GError **error)
{
    if (!tb_session_next_frame(session, frame, deadline, error))
        return false;
    if (frame->type != type)
        return tb_session_breach(session, error, "frame 0x%02x came instead of 0x%02x", frame->type,
                                 type);
    return true;
}

bool tb_session_expect_ok(TbSession *session, TbMessageType request, int64_t deadline,
                          GError **error)
{
    TbFrame frame;
    if (!tb_session_expect(session, TB_MSG_OK, &frame, deadline, error))
        return false;
    if (frame.length != 1 || frame.payload[0] != request)
        return tb_session_breach(session, error, "OK to another request");
    return true;
}

bool tb_session_send(TbSession *session, TbMessageType type, const void *payload, size_t length,
                     int64_t deadline, GError **error)
{
    TbSessionWait wait = {.deadline = deadline, .input_fd = -1};
    tb_session_queue(session, type, 0, payload, length);
    while (tb_session_queued(session) > OUT_LIMIT) {
        TbFrame frame;
        bool have;
        if (!tb_session_poll_frame(session, &frame, &have, error))
            return false;
        if (have && !tb_session_skip(session, &frame))
            return tb_session_breach(session, error, "frame 0x%02x came unasked", frame.type);
        if (have ? !check_due(&wait, error) : !tb_session_move(session, &wait, error))
            return false;
    }
    return true;
}

void tb_session_flush(TbSession *session, int ms)
{
    TbSessionWait wait = {.deadline = g_get_monotonic_time() + ms * G_TIME_SPAN_MILLISECOND,
                          .input_fd = -1,
                          .ignore_interrupt = true};
    while (!session->broken && tb_session_queued(session) > 0)
        if (!tb_session_move(session, &wait, NULL))
            return;
}
