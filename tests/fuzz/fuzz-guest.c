/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest program's whole service in a machine that is none (guest-machine.h), driven by a host
 * that says anything. The input is a list of steps, three bytes each: requests built from small
 * numbers, so that they get far, raw frames with any payload, streams that break off and begin
 * again. Whatever comes: no fault, the service goes on, and what it answers is frames of the
 * guest's with payloads that decode, a nonce before them, and of a side process never more than was
 * taken.
 *
 * The host's turn is the service's poll.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/frame.h"
#include "channel/messages.h"
#include "guest/guest.h"
#include "guest-machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PENDING = 1 << 20, QUIET_TURNS = 6, CHILDREN = 3, TURNS = 4000 };

typedef struct {
    const uint8_t *data;
    size_t left;
    int far;    /* the host's end; -1 when it has hung up */
    bool again; /* another host comes */
    unsigned quiet, children, turns;
    uint8_t *pending;
    size_t pending_length;
    uint8_t nonce[TB_NONCE_SIZE]; /* of the last HELLO */
    bool greeted;                 /* one was said, its nonce has not come back */
    bool whole;                   /* it has: frames are read */
    size_t matched;
    TbFrameDecoder decoder;
    uint32_t side_room[TB_PROCESSES];
} Host;

static Host host;

/* ---- what the service says */

static void got_frame(const TbFrame *frame)
{
    TbGuestHelloMessage hello;
    TbEntry entry;
    unsigned process = tb_stream_process(frame->stream);
    must(process < TB_PROCESSES);
    switch ((TbMessageType)frame->type) {
    case TB_MSG_GUEST_HELLO:
        must(tb_decode_guest_hello(frame->payload, frame->length, &hello));
        must(memcmp(hello.nonce, host.nonce, sizeof hello.nonce) == 0);
        break;
    case TB_MSG_OK:
        must(frame->length == 1);
        break;
    case TB_MSG_ERROR:
        must(frame->length > 0 && frame->length <= TB_ERROR_TEXT_LIMIT);
        break;
    case TB_MSG_OUTPUT:
        must(frame->length > 0 && tb_stream_fd(frame->stream) - 1 < 2);
        if (process > 0) {
            must(frame->length <= host.side_room[process]);
            host.side_room[process] -= frame->length;
        }
        break;
    case TB_MSG_STARTED:
        must(frame->length == 0);
        host.side_room[process] = TB_SIDE_WINDOW;
        break;
    case TB_MSG_CREDIT:
        must(frame->length == 4);
        break;
    case TB_MSG_EXIT:
        must(frame->length == 8);
        break;
    case TB_MSG_ENTRY:
        must(tb_decode_entry(frame->payload, frame->length, &entry));
        break;
    case TB_MSG_LIST_END:
        must(frame->length == 4 + TB_HASH_SIZE);
        break;
    case TB_MSG_FILE_BEGIN:
        must(frame->length == 12);
        break;
    case TB_MSG_FILE_DATA:
        must(frame->length > 0);
        break;
    case TB_MSG_FILE_END:
        must(frame->length == TB_HASH_SIZE);
        break;
    default:
        abort();
    }
}

/* Up to the nonce, which an earlier answer may come before. */
static void find_nonce(const uint8_t **data, size_t *length)
{
    while (*length > 0 && !host.whole) {
        uint8_t byte = *(*data)++;
        (*length)--;
        if (byte != host.nonce[host.matched])
            host.matched = 0;
        if (byte == host.nonce[host.matched] && ++host.matched == sizeof host.nonce)
            host.whole = true;
    }
}

static void hear(void)
{
    static uint8_t buffer[65536];
    ssize_t got;
    TbFrame frame;
    while ((got = recv(host.far, buffer, sizeof buffer, 0)) > 0) {
        const uint8_t *next = buffer;
        size_t left = (size_t)got;
        if (host.greeted)
            find_nonce(&next, &left);
        while (left > 0 && host.whole &&
               tb_frame_decoder_push(&host.decoder, &next, &left, &frame) == TB_FRAME_READY)
            got_frame(&frame);
        must(!host.decoder.bad);
        host.quiet = 0;
    }
}

/* ---- what the host says */

static void flush(void)
{
    while (host.pending_length > 0) {
        ssize_t sent = send(host.far, host.pending, host.pending_length, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        host.pending_length -= (size_t)sent;
        memmove(host.pending, host.pending + sent, host.pending_length);
    }
}

static void put(const void *data, size_t length)
{
    if (host.pending_length + length > PENDING)
        return;
    memcpy(host.pending + host.pending_length, data, length);
    host.pending_length += length;
}

static void say(uint8_t type, uint16_t stream, const void *payload, size_t length)
{
    uint8_t header[TB_FRAME_HEADER];
    tb_frame_header(header, type, stream, (uint32_t)length);
    put(header, sizeof header);
    if (length > 0)
        put(payload, length);
}

static void say_hello(uint8_t how)
{
    static uint8_t number;
    uint8_t payload[64];
    TbWriter writer = tb_writer(payload, sizeof payload);
    TbHelloMessage hello = {.version = how % 8 == 0 ? how : TB_PROTOCOL_VERSION};
    /* No two bytes of it are alike, so that it is found in one way. */
    number++;
    for (size_t i = 0; i < sizeof hello.nonce; i++)
        hello.nonce[i] = (uint8_t)(number + i * 16);
    tb_encode_hello(&writer, &hello);
    memcpy(host.nonce, hello.nonce, sizeof host.nonce);
    host.greeted = true;
    host.whole = false;
    host.matched = 0;
    tb_frame_decoder_reset(&host.decoder);
    if (how & 128) /* ends what is half sent */
        for (unsigned i = 0; i < TB_FRAME_PADDING / 8; i++)
            put("\0\0\0\0\0\0\0", 8);
    say(TB_MSG_HELLO, 0, payload, writer.length);
}

static void say_setup(uint8_t how)
{
    static const char *const names[] = {"box", "a.b", "-", "", "x y"};
    uint8_t payload[256];
    TbWriter writer = tb_writer(payload, sizeof payload);
    TbSetupMessage setup = {.seconds = 1700000000,
                            .uid = how % 16 == 0 ? 0 : 60000u + how % 2,
                            .gid = 60000,
                            .network = how % 16 == 1   ? TB_NETWORK_PROXY
                                       : how % 16 == 2 ? TB_NETWORK_CARD
                                                       : TB_NETWORK_NONE,
                            .hostname = names[how % 16 < 3 ? how / 16 % 5 : 0]};
    tb_encode_setup(&writer, &setup);
    say(TB_MSG_SETUP, 0, payload, writer.length);
}

static const char *const paths[] = {"a",    "a/b", "a/b/c", "dir/file", "..", "a/..", "/x",
                                    "a//b", ".",   "text",  "link",     "",   "dir",  "link/under"};

static void say_entry(uint8_t how, uint8_t more)
{
    uint8_t payload[512];
    TbWriter writer = tb_writer(payload, sizeof payload);
    TbEntry entry = {
        .kind = (uint8_t)(how % 8), .mode = more & 64 ? 04755 : 0644, .mtime_sec = more};
    const char *path = paths[more % (sizeof paths / sizeof *paths)];
    entry.path = (const uint8_t *)path;
    entry.path_length = strlen(path);
    if (entry.kind == TB_ENTRY_FILE)
        entry.size = how / 8 % 8 * 11;
    if (entry.kind == TB_ENTRY_SYMLINK) {
        const char *target = paths[how / 8 % 8];
        entry.target = (const uint8_t *)target;
        entry.target_length = strlen(target);
    }
    tb_encode_entry(&writer, &entry);
    say(TB_MSG_DELTA_ENTRY, 0, payload, writer.length);
}

static void say_mount(uint8_t how)
{
    static const char *const names[] = {"p", "p", "p", "..", "", "a/b", "q"};
    static const char *const kinds[] = {"none", "none", "erofs", "9p", "none", "ext4"};
    uint8_t payload[128];
    TbWriter writer = tb_writer(payload, sizeof payload);
    TbMountMessage mount_ = {.name = names[how % 7], .filesystem = kinds[how / 8 % 6]};
    tb_encode_mount(&writer, &mount_);
    say(TB_MSG_MOUNT, 0, payload, writer.length);
}

/* What the child does is in its first argument. */
static void say_exec(uint8_t how, uint8_t more)
{
    char what[4] = {(char)('a' + more % 8), (char)('a' + more / 8 % 8), 0};
    const char *argv[] = {what, "argument", NULL}, *env[] = {"A=B", NULL};
    uint8_t payload[256];
    TbWriter writer = tb_writer(payload, sizeof payload);
    TbExecMessage exec = {.as_root = how & 16,
                          .pty = (how & 96) == 96,
                          .has_stdin = how & 128,
                          .rows = 24,
                          .columns = 80,
                          .cwd = "/",
                          .argv = argv,
                          .env = env};
    if (host.children++ >= CHILDREN)
        return;
    tb_encode_exec(&writer, &exec);
    size_t cut = more & 128 ? writer.length / 2 : 0;
    uint16_t stream = tb_stream(how % 12, 0);
    if (cut > 0)
        say(TB_MSG_EXEC_PART, stream, payload, cut);
    say(TB_MSG_EXEC, stream, payload + cut, writer.length - cut);
}

static void say_numbers(uint8_t type, uint16_t stream, unsigned count, const uint32_t *numbers)
{
    uint8_t payload[64];
    TbWriter writer = tb_writer(payload, sizeof payload);
    for (unsigned i = 0; i < count; i++)
        tb_put_u32(&writer, numbers[i]);
    say(type, stream, payload, writer.length);
}

/* Within what the process has told, so that no number can overflow of itself. */
static void say_taken(uint8_t how, uint8_t more)
{
    unsigned process = how % TB_PROCESSES;
    uint32_t bytes = (uint32_t)more * 700;
    if (process > 0 && bytes > TB_SIDE_WINDOW - host.side_room[process])
        bytes = TB_SIDE_WINDOW - host.side_room[process];
    host.side_room[process] += process > 0 ? bytes : 0;
    say_numbers(TB_MSG_TAKEN, tb_stream(process, 0), 1, &bytes);
}

static void say_raw(uint8_t how, uint8_t more)
{
    static const uint8_t types[] = {TB_MSG_HELLO,       TB_MSG_SETUP,  TB_MSG_DELTA_ENTRY,
                                    TB_MSG_DELTA_DATA,  TB_MSG_MOUNT,  TB_MSG_EXEC_PART,
                                    TB_MSG_STDIN,       TB_MSG_WINDOW, TB_MSG_SIGNAL,
                                    TB_MSG_EXPORT_LIST, TB_MSG_SETTLE, TB_MSG_EXPORT_FILES};
    size_t length = more % 64 < host.left ? more % 64 : host.left;
    uint8_t type = how & 128 ? how : types[how % 12];
    /* An EXEC of any bytes is a program of any name: it is the child that is wrapped, not that. A
     * HELLO would have a nonce that is not waited for. */
    if (type == TB_MSG_HELLO && length >= 10)
        return;
    say(type, more & 64 ? how : 0, host.data, length);
    host.data += length;
    host.left -= length;
}

static void hang_up(bool again)
{
    flush();
    shutdown(host.far, SHUT_WR);
    hear();
    close(host.far);
    host.far = -1;
    host.again = again;
    host.pending_length = 0;
}

static void take_step(uint8_t op, uint8_t how, uint8_t more)
{
    static const uint8_t bytes[3000] = {'x', '\n'};
    uint16_t stream = tb_stream(how % 12, 0);
    const uint32_t numbers[] = {more % 8, how % 8, 60000};
    switch (op % 24) {
    case 0:
        say_hello(how);
        break;
    case 1:
    case 2:
        say_setup(op % 24 == 1 ? 5 : how);
        break;
    case 3:
        say(TB_MSG_DELTA_BEGIN, 0, NULL, 0);
        break;
    case 4:
    case 5:
    case 6:
        say_entry(how, more);
        break;
    case 7:
    case 8:
        say(TB_MSG_DELTA_DATA, 0, bytes, how % 12 * (more & 1 ? 11 : 7));
        break;
    case 9:
        say(TB_MSG_DELTA_END, 0, NULL, 0);
        break;
    case 10:
        say_mount(how);
        break;
    case 11:
    case 12:
        say_exec(how, more);
        break;
    case 13:
        say(TB_MSG_STDIN, stream, bytes, more % 4 ? more * 11u : 0);
        break;
    case 14:
        say(TB_MSG_WINDOW, stream, "\x18\0\x50\0", 4);
        break;
    case 15:
        say_numbers(TB_MSG_SIGNAL, stream, 1, (const uint32_t[]){more % 72});
        break;
    case 16:
        say_taken(how, more);
        break;
    case 17:
        say_numbers(how & 1 ? TB_MSG_EXPORT_UPPER : TB_MSG_EXPORT_LIST, 0, 1,
                    (const uint32_t[]){more & 1 ? 1000 : more % 16});
        break;
    case 18:
        say_numbers(TB_MSG_EXPORT_FILES, 0, how % 3, numbers);
        break;
    case 19:
        say_numbers(TB_MSG_SETTLE, 0, 2, (const uint32_t[]){how % 4 ? 60000 : 0, 60000});
        break;
    case 20:
        say(how & 1 ? TB_MSG_SEAL : TB_MSG_SHUTDOWN, 0, NULL, 0);
        break;
    case 21:
        hang_up(true);
        break;
    case 22: /* nothing: time goes by */
        break;
    default:
        say_raw(how, more);
    }
}

/* One or more steps, then what was answered. In the end it waits for what is still under way. */
static void host_turn(void)
{
    if (host.far < 0 || host.pending_length > PENDING / 2 || ++host.turns > TURNS) {
        if (host.far >= 0)
            hang_up(false);
        return;
    }
    if (host.left >= 3) {
        uint8_t op = host.data[0], how = host.data[1], more = host.data[2];
        host.data += 3;
        host.left -= 3;
        take_step(op, how, more);
    } else if (++host.quiet > QUIET_TURNS) {
        hang_up(false);
    }
    if (host.far >= 0) {
        flush();
        hear();
    }
}

/* The service waits. */
static bool turn(void)
{
    host_turn();
    return host.children > 0;
}

/* ---- a run */

static int connect_host(void)
{
    int ends[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    host.far = ends[1];
    host.greeted = host.whole = false;
    return ends[0];
}

static int reopen(int fd, void *data)
{
    (void)data;
    if (fd >= 0)
        close(fd);
    return host.again && host.turns <= TURNS ? (host.again = false, connect_host()) : -2;
}

/* The end of this machine: the host goes, whatever was to be said. */
static void power_off(void)
{
    if (host.far >= 0)
        hang_up(false);
    host.left = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t pending[PENDING];
    if (size > 2000)
        return 0;
    TbGuestConfig config = {.power_off = power_off, .reopen = reopen};
    machine_renew(&config);
    host = (Host){.data = data, .left = size, .far = -1, .pending = pending};
    machine_start(turn);
    must(tb_guest_serve(&config, connect_host()) == 0);
    machine_stop();
    if (host.far >= 0)
        close(host.far);
    return 0;
}
