/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each direction of a stream has two words: CLOSE, "I send no more", and DONE, "I take no more".
 * Each end says each of them once; when all four were said the stream is over, nothing of it can be
 * under way, and its number is free. DONE before the other's CLOSE means that the socket is broken.
 *
 * Frames wait in one queue for the port. Data is only read from a socket while half of the queue is
 * free, and nothing is read from the port without some room: so a word always fits, and a peer that
 * does not read holds up what it sends. Two honest ends cannot hold up each other: words are few (a
 * CREDIT needs a quarter of a window that was taken, the rest come once a stream).
 */
#include "channel/mux.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/frame.h"
#include "channel/wire.h"

enum {
    QUEUE_SIZE = 4 * TB_FRAME_PADDING,
    ROOM_BULK = 2 * TB_FRAME_PADDING,  /* what data waits for */
    ROOM_INPUT = TB_FRAME_PADDING / 2, /* what reading the port waits for */
    CREDIT_STEP = TB_MUX_WINDOW / 4,
    READ_SIZE = 64 * 1024,
};

typedef struct {
    uint16_t id; /* 0: free */
    int fd;      /* -1: broken or refused */
    bool sent_close, sent_done, got_close, got_done;
    uint32_t may_send, may_get; /* bytes, by the credit of either end */
    uint32_t owed;              /* bytes the socket has taken, not given back yet */
    uint8_t *held;              /* a window of bytes that the socket has not taken; may be NULL */
    size_t held_start, held_length;
} Stream;

struct TbMux {
    int port;
    TbMuxOpened opened;
    void *data;
    uint16_t last_id;
    unsigned turn; /* which stream is read first */
    Stream streams[TB_MUX_STREAMS];
    TbFrameDecoder decoder;
    uint8_t input[READ_SIZE];
    size_t start, length;
    uint8_t queue[QUEUE_SIZE];
};

TbMux *tb_mux_new(int port, TbMuxOpened opened, void *data)
{
    TbMux *mux = calloc(1, sizeof *mux);
    if (!mux)
        return NULL;
    mux->port = port;
    mux->opened = opened;
    mux->data = data;
    fcntl(port, F_SETFL, fcntl(port, F_GETFL) | O_NONBLOCK);
    return mux;
}

/* ---- the queue */

static size_t room(const TbMux *mux)
{
    return QUEUE_SIZE - mux->length;
}

/* Where the next `size` bytes go. */
static uint8_t *queue_end(TbMux *mux, size_t size)
{
    if (mux->start + mux->length + size > QUEUE_SIZE) {
        memmove(mux->queue, mux->queue + mux->start, mux->length);
        mux->start = 0;
    }
    return mux->queue + mux->start + mux->length;
}

static void send_frame(TbMux *mux, TbMuxType type, uint16_t id, const void *payload, size_t length)
{
    if (TB_FRAME_HEADER + length > room(mux))
        return; /* reading the port stops long before */
    uint8_t *at = queue_end(mux, TB_FRAME_HEADER + length);
    tb_frame_header(at, (uint8_t)type, id, (uint32_t)length);
    if (length > 0)
        memcpy(at + TB_FRAME_HEADER, payload, length);
    mux->length += TB_FRAME_HEADER + length;
}

static void send_credit(TbMux *mux, Stream *stream)
{
    uint8_t payload[4];
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_put_u32(&writer, stream->owed);
    send_frame(mux, TB_MUX_CREDIT, stream->id, payload, writer.length);
    stream->may_get += stream->owed;
    stream->owed = 0;
}

/* ---- the life of a stream */

static void close_socket(Stream *stream)
{
    if (stream->fd >= 0)
        close(stream->fd);
    stream->fd = -1;
    free(stream->held);
    stream->held = NULL;
    stream->held_length = 0;
}

static void end_if_over(Stream *stream)
{
    if (!stream->sent_close || !stream->sent_done || !stream->got_close || !stream->got_done)
        return;
    close_socket(stream);
    stream->id = 0;
}

static void say_close(TbMux *mux, Stream *stream)
{
    if (!stream->sent_close)
        send_frame(mux, TB_MUX_CLOSE, stream->id, NULL, 0);
    stream->sent_close = true;
}

static void say_done(TbMux *mux, Stream *stream)
{
    if (!stream->sent_done)
        send_frame(mux, TB_MUX_DONE, stream->id, NULL, 0);
    stream->sent_done = true;
}

static void give_up(TbMux *mux, Stream *stream)
{
    close_socket(stream);
    say_close(mux, stream);
    say_done(mux, stream);
    end_if_over(stream);
}

/* All that came was written, and no more will come. */
static void end_input(TbMux *mux, Stream *stream)
{
    if (!stream->got_close || stream->held_length > 0)
        return;
    if (stream->fd >= 0)
        shutdown(stream->fd, SHUT_WR);
    say_done(mux, stream);
    end_if_over(stream);
}

static Stream *begin(TbMux *mux, uint16_t id, int fd)
{
    for (unsigned i = 0; i < TB_MUX_STREAMS; i++) {
        Stream *stream = &mux->streams[i];
        if (stream->id != 0)
            continue;
        *stream = (Stream){.id = id, .fd = fd, .may_send = TB_MUX_WINDOW, .may_get = TB_MUX_WINDOW};
        if (fd >= 0)
            fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        return stream;
    }
    return NULL;
}

static Stream *find(TbMux *mux, uint16_t id)
{
    for (unsigned i = 0; id != 0 && i < TB_MUX_STREAMS; i++)
        if (mux->streams[i].id == id)
            return &mux->streams[i];
    return NULL;
}

bool tb_mux_full(const TbMux *mux)
{
    for (unsigned i = 0; i < TB_MUX_STREAMS; i++)
        if (mux->streams[i].id == 0)
            return room(mux) < ROOM_INPUT;
    return true;
}

void tb_mux_open(TbMux *mux, int fd)
{
    do
        mux->last_id++;
    while (mux->last_id == 0 || find(mux, mux->last_id));
    if (begin(mux, mux->last_id, fd))
        send_frame(mux, TB_MUX_OPEN, mux->last_id, NULL, 0);
    else
        close(fd);
}

void tb_mux_free(TbMux *mux)
{
    for (unsigned i = 0; mux && i < TB_MUX_STREAMS; i++)
        if (mux->streams[i].id != 0)
            close_socket(&mux->streams[i]);
    free(mux);
}

/* ---- from the peer */

static bool would_wait(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* How much the socket takes now; -1 when it is broken. */
static ssize_t write_some(int fd, const uint8_t *data, size_t length)
{
    ssize_t sent = send(fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 && would_wait() ? 0 : sent;
}

static void give_back(TbMux *mux, Stream *stream, size_t bytes)
{
    stream->owed += (uint32_t)bytes;
    if (stream->owed >= CREDIT_STEP && !stream->got_close)
        send_credit(mux, stream);
}

/* Within the window, which is the size of the memory. */
static bool hold(Stream *stream, const uint8_t *data, size_t length)
{
    if (!stream->held)
        stream->held = malloc(TB_MUX_WINDOW);
    if (!stream->held)
        return false;
    if (stream->held_start + stream->held_length + length > TB_MUX_WINDOW) {
        memmove(stream->held, stream->held + stream->held_start, stream->held_length);
        stream->held_start = 0;
    }
    memcpy(stream->held + stream->held_start + stream->held_length, data, length);
    stream->held_length += length;
    return true;
}

static void deliver(TbMux *mux, Stream *stream, const uint8_t *data, size_t length)
{
    ssize_t sent = stream->held_length > 0 ? 0 : write_some(stream->fd, data, length);
    if (sent < 0 || ((size_t)sent < length && !hold(stream, data + sent, length - (size_t)sent))) {
        give_up(mux, stream);
        return;
    }
    if (sent > 0)
        give_back(mux, stream, (size_t)sent);
}

static void write_held(TbMux *mux, Stream *stream)
{
    ssize_t sent = write_some(stream->fd, stream->held + stream->held_start, stream->held_length);
    if (sent < 0) {
        give_up(mux, stream);
        return;
    }
    stream->held_start += (size_t)sent;
    stream->held_length -= (size_t)sent;
    if (stream->held_length == 0)
        stream->held_start = 0;
    give_back(mux, stream, (size_t)sent);
    end_input(mux, stream);
}

static bool take_open(TbMux *mux, const TbFrame *frame)
{
    if (!mux->opened || frame->length != 0 || frame->stream == 0 || find(mux, frame->stream))
        return false;
    Stream *stream = begin(mux, frame->stream, -1);
    if (!stream)
        return false;
    int fd = mux->opened(mux->data);
    if (fd < 0) {
        give_up(mux, stream);
        return true;
    }
    stream->fd = fd;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return true;
}

static bool take_data(TbMux *mux, Stream *stream, const TbFrame *frame)
{
    if (stream->got_close || frame->length == 0 || frame->length > stream->may_get)
        return false;
    stream->may_get -= frame->length;
    if (stream->fd >= 0)
        deliver(mux, stream, frame->payload, frame->length);
    return true;
}

static bool take_credit(Stream *stream, const TbFrame *frame)
{
    TbReader reader = tb_reader(frame->payload, frame->length);
    uint32_t more = tb_get_u32(&reader);
    if (!tb_reader_done(&reader) || stream->got_done || more > TB_MUX_WINDOW - stream->may_send)
        return false;
    stream->may_send += more;
    return true;
}

static bool take_close(TbMux *mux, Stream *stream, const TbFrame *frame)
{
    if (stream->got_close || frame->length != 0)
        return false;
    stream->got_close = true;
    end_input(mux, stream);
    end_if_over(stream);
    return true;
}

static bool take_done(TbMux *mux, Stream *stream, const TbFrame *frame)
{
    if (stream->got_done || frame->length != 0)
        return false;
    stream->got_done = true;
    if (!stream->sent_close && stream->fd >= 0)
        shutdown(stream->fd, SHUT_RD);
    say_close(mux, stream);
    end_if_over(stream);
    return true;
}

static bool take_frame(TbMux *mux, const TbFrame *frame)
{
    if (frame->type == TB_MUX_OPEN)
        return take_open(mux, frame);
    Stream *stream = find(mux, frame->stream);
    if (!stream)
        return false;
    switch (frame->type) {
    case TB_MUX_DATA:
        return take_data(mux, stream, frame);
    case TB_MUX_CREDIT:
        return take_credit(stream, frame);
    case TB_MUX_CLOSE:
        return take_close(mux, stream, frame);
    case TB_MUX_DONE:
        return take_done(mux, stream, frame);
    default:
        return false;
    }
}

bool tb_mux_take(TbMux *mux, const uint8_t *data, size_t length)
{
    TbFrame frame;
    while (length > 0) {
        switch (tb_frame_decoder_push(&mux->decoder, &data, &length, &frame)) {
        case TB_FRAME_MORE:
            return true;
        case TB_FRAME_BAD:
            return false;
        case TB_FRAME_READY:
            if (!take_frame(mux, &frame))
                return false;
        }
    }
    return true;
}

/* A virtio port gives a page at a time; a round of poll for each would cost more than the bytes. */
static bool read_port(TbMux *mux)
{
    for (size_t taken = 0; taken < READ_SIZE && room(mux) >= ROOM_INPUT;) {
        ssize_t got = read(mux->port, mux->input, sizeof mux->input);
        if (got < 0 && would_wait())
            return true;
        if (got <= 0 || !tb_mux_take(mux, mux->input, (size_t)got))
            return false;
        taken += (size_t)got;
    }
    return true;
}

/* ---- to the peer */

/* From the socket straight into the queue, behind a header. */
static void read_socket(TbMux *mux, Stream *stream)
{
    size_t size = stream->may_send < TB_FRAME_MAX ? stream->may_send : TB_FRAME_MAX;
    uint8_t *at = queue_end(mux, TB_FRAME_HEADER + size);
    ssize_t got = recv(stream->fd, at + TB_FRAME_HEADER, size, MSG_DONTWAIT);
    if (got < 0 && would_wait())
        return;
    if (got < 0) {
        give_up(mux, stream);
        return;
    }
    if (got == 0) {
        say_close(mux, stream);
        end_if_over(stream);
        return;
    }
    tb_frame_header(at, TB_MUX_DATA, stream->id, (uint32_t)got);
    mux->length += TB_FRAME_HEADER + (size_t)got;
    stream->may_send -= (uint32_t)got;
}

static bool write_port(TbMux *mux)
{
    while (mux->length > 0) {
        ssize_t sent = write(mux->port, mux->queue + mux->start, mux->length);
        if (sent < 0)
            return would_wait();
        mux->start += (size_t)sent;
        mux->length -= (size_t)sent;
    }
    mux->start = 0;
    return true;
}

/* ---- the loop's two halves */

static bool wants_to_read(const TbMux *mux, const Stream *stream)
{
    return !stream->sent_close && stream->may_send > 0 && room(mux) >= ROOM_BULK;
}

void tb_mux_poll(const TbMux *mux, struct pollfd fds[TB_MUX_FDS])
{
    short events = (short)((room(mux) >= ROOM_INPUT ? POLLIN : 0) | (mux->length ? POLLOUT : 0));
    fds[0] = (struct pollfd){.fd = mux->port, .events = events};
    for (unsigned i = 0; i < TB_MUX_STREAMS; i++) {
        const Stream *stream = &mux->streams[i];
        short wanted = 0;
        if (stream->id != 0 && stream->fd >= 0)
            wanted = (short)((wants_to_read(mux, stream) ? POLLIN : 0) |
                             (stream->held_length > 0 ? POLLOUT : 0));
        /* An end that nothing is wanted of would report its hang-up for ever. */
        fds[1 + i] = (struct pollfd){.fd = wanted ? stream->fd : -1, .events = wanted};
    }
}

static void step_stream(TbMux *mux, Stream *stream, const struct pollfd *polled)
{
    if (stream->id == 0 || stream->fd < 0 || stream->fd != polled->fd || polled->revents == 0)
        return;
    if (polled->revents & (POLLOUT | POLLERR) && stream->held_length > 0)
        write_held(mux, stream);
    if (stream->id != 0 && stream->fd >= 0 && polled->revents & ~POLLOUT &&
        wants_to_read(mux, stream))
        read_socket(mux, stream);
}

bool tb_mux_step(TbMux *mux, const struct pollfd fds[TB_MUX_FDS])
{
    /* A hang-up may have bytes before it. */
    if (fds[0].revents & (POLLIN | POLLHUP | POLLERR) && !read_port(mux))
        return false;
    for (unsigned i = 0; i < TB_MUX_STREAMS; i++) {
        unsigned index = (mux->turn + i) % TB_MUX_STREAMS;
        step_stream(mux, &mux->streams[index], &fds[1 + index]);
    }
    mux->turn = (mux->turn + 1) % TB_MUX_STREAMS;
    return write_port(mux);
}
