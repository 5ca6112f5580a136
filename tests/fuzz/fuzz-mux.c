/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The egress port, either end of it. The input is a list of steps, two bytes each: of the peer on
 * the port (frames, most of them within the rules), of the programs at the sockets, and of the
 * loop. A model of the rules, written from docs/protocol.md and not from the code, says what may
 * come of it: no frame that keeps the rules is refused and none that breaks them is taken, nobody
 * sends more than his credit, the bytes of a stream come out whole and in order, and in the end
 * each stream is over.
 *
 * The first byte chooses: the guest's end, the host's end, or both with each other.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/frame.h"
#include "channel/mux.h"
#include "channel/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STREAMS = 12, PENDING = 1 << 20, PIECE = 64 * 1024, ROUNDS = 400 };

/* One direction of a stream: what went in at one end and came out at the other. */
typedef struct {
    size_t in, out;
    bool ended; /* by whoever puts in */
} Flow;

/* A stream as seen from outside. `sock` is the end of its program, -1 when there is none; with both
 * ends under test `far` is the program's at the other one. */
typedef struct {
    uint16_t id; /* 0: not told yet */
    bool refused, over, sock_closed, far_closed;
    int sock, far;
    Flow to_sock, from_sock;
    bool sent_close, sent_done, got_close, got_done; /* of the peer's, on the port */
    int64_t may_send, mux_may_send;
} Model;

typedef struct {
    enum { GUEST, HOST, PAIR } kind;
    TbMux *mux, *other; /* `other`: the host's, of a pair */
    int port, port_far;
    bool failed, must_fail, may_fail, refuse;
    Model models[STREAMS];
    unsigned count,
        opened;       /* opened: those whose OPEN has come out of the port, or its callback ran */
    uint8_t *pending; /* of the peer's, on its way to the port */
    size_t pending_length;
    TbFrameDecoder decoder;
} Run;

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void make_pair(int ends[2])
{
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
}

/* The byte at a place of a stream, in one direction. */
static uint8_t byte_at(unsigned stream, bool back, size_t at)
{
    return (uint8_t)(stream * 31 + back * 101 + at + (at >> 8) * 7);
}

static void fill(uint8_t *out, unsigned stream, bool back, size_t at, size_t length)
{
    for (size_t i = 0; i < length; i++)
        out[i] = byte_at(stream, back, at + i);
}

static void check(const uint8_t *data, unsigned stream, bool back, size_t at, size_t length)
{
    for (size_t i = 0; i < length; i++)
        must(data[i] == byte_at(stream, back, at + i));
}

/* ---- the peer on the port */

static void flush(Run *run)
{
    while (run->pending_length > 0) {
        ssize_t sent = send(run->port_far, run->pending, run->pending_length, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        run->pending_length -= (size_t)sent;
        memmove(run->pending, run->pending + sent, run->pending_length);
    }
}

static bool say(Run *run, uint8_t type, uint16_t id, const void *payload, size_t length)
{
    if (run->pending_length + TB_FRAME_HEADER + length > PENDING)
        return false;
    tb_frame_header(run->pending + run->pending_length, type, id, (uint32_t)length);
    if (length > 0)
        memcpy(run->pending + run->pending_length + TB_FRAME_HEADER, payload, length);
    run->pending_length += TB_FRAME_HEADER + length;
    flush(run);
    return true;
}

static void end_if_over(Model *model)
{
    model->over = model->sent_close && model->sent_done && model->got_close && model->got_done;
}

static void got_data(Model *model, unsigned stream, const TbFrame *frame)
{
    must(!model->got_close && frame->length > 0 && frame->length <= model->mux_may_send);
    check(frame->payload, stream, true, model->from_sock.out, frame->length);
    model->from_sock.out += frame->length;
    model->mux_may_send -= frame->length;
    must(model->from_sock.out <= model->from_sock.in);
}

static void got_credit(Model *model, const TbFrame *frame)
{
    TbReader reader = tb_reader(frame->payload, frame->length);
    model->may_send += tb_get_u32(&reader);
    must(tb_reader_done(&reader) && !model->got_done && model->may_send <= TB_MUX_WINDOW);
}

static void got_close(Model *model, const TbFrame *frame)
{
    must(!model->got_close && frame->length == 0);
    model->got_close = true;
    /* It has its reason, and a program that has only ended its own side has lost nothing. */
    must(model->from_sock.ended || model->sock_closed || model->sent_done || model->refused);
    if (model->from_sock.ended && !model->sock_closed && !model->sent_done)
        must(model->from_sock.in == model->from_sock.out);
}

static void got_frame(Run *run, const TbFrame *frame)
{
    if (frame->type == TB_MUX_OPEN) {
        must(run->kind == GUEST && frame->length == 0 && frame->stream != 0 &&
             run->opened < run->count);
        run->models[run->opened++].id = frame->stream;
        return;
    }
    unsigned stream = 0;
    while (stream < run->count &&
           (run->models[stream].id != frame->stream || run->models[stream].over))
        stream++;
    must(stream < run->count);
    Model *model = &run->models[stream];
    switch (frame->type) {
    case TB_MUX_DATA:
        got_data(model, stream, frame);
        break;
    case TB_MUX_CREDIT:
        got_credit(model, frame);
        break;
    case TB_MUX_CLOSE:
        got_close(model, frame);
        break;
    case TB_MUX_DONE:
        must(!model->got_done && frame->length == 0);
        model->got_done = true;
        break;
    default:
        abort();
    }
    end_if_over(model);
}

static void read_port(Run *run)
{
    static uint8_t buffer[PIECE];
    ssize_t got;
    TbFrame frame;
    while ((got = recv(run->port_far, buffer, sizeof buffer, 0)) > 0) {
        const uint8_t *next = buffer;
        size_t left = (size_t)got;
        TbFrameResult result;
        while ((result = tb_frame_decoder_push(&run->decoder, &next, &left, &frame)) ==
               TB_FRAME_READY)
            got_frame(run, &frame);
        must(result == TB_FRAME_MORE);
    }
}

static int on_open(void *data)
{
    Run *run = data;
    int ends[2];
    must(run->opened < run->count || run->may_fail || run->must_fail);
    if (run->opened >= run->count)
        return -1;
    Model *model = &run->models[run->opened++];
    if (run->kind == PAIR ? run->refuse : model->refused) {
        model->refused = true;
        return -1;
    }
    make_pair(ends);
    *(run->kind == PAIR ? &model->far : &model->sock) = ends[0];
    return ends[1];
}

/* Whether there was anything to do. */
static bool step_one(Run *run, TbMux *mux)
{
    struct pollfd fds[TB_MUX_FDS];
    if (run->failed || !mux)
        return false;
    tb_mux_poll(mux, fds);
    int ready;
    do /* libFuzzer has an alarm */
        ready = poll(fds, TB_MUX_FDS, 0);
    while (ready < 0 && errno == EINTR);
    must(ready >= 0);
    if (!tb_mux_step(mux, fds)) {
        must(run->must_fail || run->may_fail);
        run->failed = true;
    }
    return ready > 0;
}

static bool step(Run *run)
{
    if (run->kind != PAIR)
        flush(run);
    bool one = step_one(run, run->mux);
    bool other = step_one(run, run->other);
    return one || other;
}

/* ---- streams begin */

static Model *add(Run *run)
{
    Model *model = &run->models[run->count++];
    *model =
        (Model){.sock = -1, .far = -1, .may_send = TB_MUX_WINDOW, .mux_may_send = TB_MUX_WINDOW};
    return model;
}

static void open_stream(Run *run, uint8_t how)
{
    int ends[2];
    if (run->count == STREAMS || run->failed || run->must_fail || run->may_fail)
        return;
    if (run->kind == HOST) {
        uint16_t id = (uint16_t)(run->count + 1);
        Model *model = add(run);
        model->id = id;
        model->refused = how % 8 == 0;
        must(say(run, TB_MUX_OPEN, id, NULL, 0) || (run->may_fail = true));
        return;
    }
    if (tb_mux_full(run->mux))
        return;
    run->refuse = how % 8 == 0;
    make_pair(ends);
    add(run)->sock = ends[0];
    tb_mux_open(run->mux, ends[1]);
}

/* One of the streams that the peer knows of. */
static Model *choose(Run *run, uint8_t which)
{
    Model *model = run->count > 0 ? &run->models[which % run->count] : NULL;
    return model && model->id != 0 && !model->over ? model : NULL;
}

/* ---- frames within the rules */

static void peer_data(Run *run, uint8_t which, uint8_t amount)
{
    static const uint32_t sizes[] = {1, 2, 100, 4096, 30000, TB_FRAME_MAX};
    static uint8_t payload[TB_FRAME_MAX];
    Model *model = choose(run, which);
    if (!model || model->sent_close || model->may_send == 0)
        return;
    size_t length = sizes[amount % 6];
    if ((int64_t)length > model->may_send)
        length = (size_t)model->may_send;
    fill(payload, (unsigned)(model - run->models), false, model->to_sock.in, length);
    if (!say(run, TB_MUX_DATA, model->id, payload, length))
        return;
    model->to_sock.in += length;
    model->may_send -= (int64_t)length;
}

static void put_credit(Run *run, uint16_t id, uint32_t bytes)
{
    uint8_t payload[4];
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_put_u32(&writer, bytes);
    say(run, TB_MUX_CREDIT, id, payload, writer.length);
}

static void peer_credit(Run *run, uint8_t which, uint8_t amount)
{
    Model *model = choose(run, which);
    if (!model || model->sent_done || run->pending_length > PENDING / 2)
        return;
    int64_t more = (TB_MUX_WINDOW - model->mux_may_send) * (amount % 8 + 1) / 8;
    put_credit(run, model->id, (uint32_t)more);
    model->mux_may_send += more;
}

static void peer_word(Run *run, uint8_t which, bool close)
{
    Model *model = choose(run, which);
    bool *said = model ? (close ? &model->sent_close : &model->sent_done) : NULL;
    if (!said || *said || !say(run, close ? TB_MUX_CLOSE : TB_MUX_DONE, model->id, NULL, 0))
        return;
    *said = true;
    if (close)
        model->to_sock.ended = true;
    end_if_over(model);
}

/* ---- frames that break them */

static void peer_breaks(Run *run, uint8_t how, const uint8_t *rest, size_t left)
{
    Model *model = choose(run, how >> 4);
    uint8_t payload[16] = {0};
    uint16_t id = model ? model->id : 1;
    if (run->failed || run->must_fail || run->may_fail || run->pending_length > PENDING / 2)
        return;
    run->must_fail = true;
    switch (how % 10) {
    case 0: /* nobody's */
        say(run, (uint8_t)(TB_MUX_DATA + how % 4), 0x7777, payload, 1);
        return;
    case 1: /* no type */
        say(run, (uint8_t)(TB_MUX_DONE + 1 + how % 64), id, payload, how % 3);
        return;
    case 2: /* a word or an OPEN with a payload */
        say(run, how & 16 ? TB_MUX_CLOSE : how & 32 ? TB_MUX_DONE : TB_MUX_OPEN, id, payload, 1);
        return;
    case 3: /* no data, or a credit that is none */
        say(run, how & 16 ? TB_MUX_DATA : TB_MUX_CREDIT, id, payload, how & 16 ? 0 : how % 4 + 5);
        return;
    case 4: /* a second OPEN, or one of 0, or any to the guest */
        /* When all was said from here, the last words may be on their way, and the number free. */
        if (run->kind == HOST && (!model || !(how & 16) || (model->sent_close && model->sent_done)))
            id = 0;
        say(run, TB_MUX_OPEN, id, NULL, 0);
        return;
    case 5: /* more credit than a window at once */
        put_credit(run, id, TB_MUX_WINDOW + 1 + how);
        return;
    case 6: /* after the word that ended it */
        if (model && model->sent_close) {
            say(run, how & 16 ? TB_MUX_DATA : TB_MUX_CLOSE, id, payload, how & 16 ? 1 : 0);
            return;
        }
        break;
    case 7:
        if (model && model->sent_done) {
            say(run, TB_MUX_DONE, id, NULL, 0);
            return;
        }
        break;
    default: /* any bytes */
        if (left > 0 && run->pending_length + left < PENDING) {
            memcpy(run->pending + run->pending_length, rest, left);
            run->pending_length += left;
        }
        break;
    }
    run->must_fail = false;
    run->may_fail = how % 10 > 7;
}

/* ---- programs at the sockets */

/* `back`: the program where the stream began; else the one at the other end. */
static void sock_write(Run *run, Model *model, bool back, size_t length)
{
    static uint8_t buffer[PIECE];
    int fd = back ? model->sock : model->far;
    Flow *flow = back ? &model->from_sock : &model->to_sock;
    if (fd < 0 || flow->ended)
        return;
    fill(buffer, (unsigned)(model - run->models), back, flow->in, length);
    ssize_t sent = send(fd, buffer, length, MSG_NOSIGNAL);
    flow->in += sent > 0 ? (size_t)sent : 0;
}

static void sock_read(Run *run, Model *model, bool back, size_t length)
{
    static uint8_t buffer[PIECE];
    int fd = back ? model->far : model->sock;
    Flow *flow = back ? &model->from_sock : &model->to_sock;
    ssize_t got = fd >= 0 ? recv(fd, buffer, length, 0) : -1;
    if (got > 0) {
        check(buffer, (unsigned)(model - run->models), back, flow->out, (size_t)got);
        flow->out += (size_t)got;
        must(flow->out <= flow->in);
    } else if (got == 0 && !run->failed) {
        bool writer_closed = run->kind == PAIR && (back ? model->sock_closed : model->far_closed);
        must(flow->ended || writer_closed || model->refused);
        must(writer_closed || model->refused || flow->in == flow->out);
    }
}

static void sock_end(Model *model, bool back, bool close_it)
{
    int *fd = back ? &model->sock : &model->far;
    if (*fd < 0)
        return;
    if (!close_it) {
        shutdown(*fd, SHUT_WR);
        (back ? &model->from_sock : &model->to_sock)->ended = true;
        return;
    }
    close(*fd);
    *fd = -1;
    *(back ? &model->sock_closed : &model->far_closed) = true;
}

/* ---- a run */

static void at_socket(Run *run, uint8_t op, uint8_t which, uint8_t amount)
{
    static const size_t sizes[] = {1, 50, 3000, PIECE};
    Model *model = run->count > 0 ? &run->models[which % run->count] : NULL;
    bool near = run->kind != PAIR || !(amount & 128);
    if (!model)
        return;
    switch (op % 4) {
    case 0:
        sock_write(run, model, near, sizes[amount % 4]);
        break;
    case 1:
        sock_read(run, model, run->kind == PAIR ? near : false, sizes[amount % 4]);
        break;
    case 2:
        sock_end(model, near, false);
        break;
    default:
        sock_end(model, near, true);
    }
}

static void take_step(Run *run, uint8_t op, uint8_t argument, const uint8_t *rest, size_t left)
{
    uint8_t which = argument & 15, amount = argument >> 4;
    switch (op % 16) {
    case 0:
        open_stream(run, argument);
        break;
    case 1:
    case 2:
        if (run->kind != PAIR && !run->must_fail)
            peer_data(run, which, amount);
        break;
    case 3:
        if (run->kind != PAIR && !run->must_fail)
            peer_credit(run, which, amount);
        break;
    case 4:
    case 5:
        if (run->kind != PAIR && !run->must_fail)
            peer_word(run, which, op % 16 == 4);
        break;
    case 6: /* rare, since nothing comes after it */
        if (run->kind != PAIR && op >= 128)
            peer_breaks(run, argument, rest, left);
        break;
    case 7:
    case 8:
    case 9:
    case 10:
        at_socket(run, (uint8_t)(op % 16 - 7), which, (uint8_t)(amount | (op & 128)));
        break;
    case 11:
        if (run->kind != PAIR)
            read_port(run);
        break;
    default:
        step(run);
    }
}

/* All programs and the peer end what they have: then each stream must come to its end. */
static bool all_over(const Run *run)
{
    for (unsigned i = 0; i < run->count; i++)
        if (!run->models[i].over)
            return false;
    return true;
}

static void finish_peer(Run *run)
{
    for (unsigned i = 0; i < ROUNDS && !run->failed; i++) {
        for (unsigned stream = 0; stream < run->count && !run->must_fail && !run->may_fail;
             stream++) {
            sock_end(&run->models[stream], true, true);
            peer_word(run, (uint8_t)stream, true);
            peer_word(run, (uint8_t)stream, false);
        }
        step(run);
        read_port(run);
        if (!run->must_fail && !run->may_fail && all_over(run))
            return;
    }
    must(run->failed || run->may_fail);
}

/* Nothing of any stream is left: as many as ever can be opened again. */
static void finish_pair(Run *run)
{
    for (unsigned stream = 0; stream < run->count; stream++) {
        sock_end(&run->models[stream], true, true);
        sock_end(&run->models[stream], false, true);
    }
    for (bool more = true; more;) {
        more = step(run);
        for (unsigned stream = 0; stream < run->count; stream++)
            sock_end(&run->models[stream], false, true);
    }
    for (unsigned i = 0; i < TB_MUX_STREAMS && run->count > 0; i++) {
        must(!tb_mux_full(run->mux));
        tb_mux_open(run->mux, -1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t pending[PENDING];
    int ports[2];
    if (size < 1 || size > 4096)
        return 0;
    signal(SIGPIPE, SIG_IGN);
    make_pair(ports);
    Run *run = calloc(1, sizeof *run);
    must(run);
    run->kind = data[0] % 3;
    run->pending = pending;
    run->port = ports[0];
    run->port_far = ports[1];
    run->mux = tb_mux_new(ports[0], run->kind == HOST ? on_open : NULL, run);
    run->other = run->kind == PAIR ? tb_mux_new(ports[1], on_open, run) : NULL;
    must(run->mux && (run->other || run->kind != PAIR));
    for (size_t at = 1; at + 2 <= size && !run->failed; at += 2)
        take_step(run, data[at], data[at + 1], data + at + 2, size - at - 2);
    if (run->kind == PAIR)
        finish_pair(run);
    else
        finish_peer(run);
    tb_mux_free(run->mux);
    tb_mux_free(run->other);
    for (unsigned i = 0; i < run->count; i++) {
        sock_end(&run->models[i], true, true);
        sock_end(&run->models[i], false, true);
    }
    close(ports[0]);
    close(ports[1]);
    free(run);
    return 0;
}
