/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The loop. Two rules keep it from ever blocking: bulk data (the task's output, an export) are
 * only produced while TB_ROOM_BULK is free in the queue, and requests are only read while
 * TB_ROOM_INPUT is, so an answer always fits. A child that does not read its input blocks nothing:
 * its credit runs out and the host stops sending.
 *
 * The host may go and come back at any time, and it may do so between two of our polls. So a new
 * connection is known by its HELLO, not by an end of file: before HELLO the stream is searched for
 * its mark, and padding before it ends any half-sent frame.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "guest/guest.h"

enum { REOPEN_MS = 50, READ_SIZE = 64 * 1024, FILES_LIMIT = 8192 };

size_t tb_guest_room(const TbGuest *guest)
{
    return TB_QUEUE_SIZE - guest->out.length;
}

void tb_guest_send(TbGuest *guest, TbMessageType type, uint16_t stream, const void *payload,
                   size_t length)
{
    TbQueue *out = &guest->out;
    if (length > TB_FRAME_MAX || TB_FRAME_HEADER + length > tb_guest_room(guest))
        return;
    if (out->start + out->length + TB_FRAME_HEADER + length > TB_QUEUE_SIZE) {
        memmove(out->data, out->data + out->start, out->length);
        out->start = 0;
    }
    uint8_t *at = out->data + out->start + out->length;
    tb_frame_header(at, (uint8_t)type, stream, (uint32_t)length);
    if (length > 0)
        memcpy(at + TB_FRAME_HEADER, payload, length);
    out->length += TB_FRAME_HEADER + length;
}

void tb_guest_send_ok(TbGuest *guest, TbMessageType type)
{
    uint8_t payload = (uint8_t)type;
    tb_guest_send(guest, TB_MSG_OK, 0, &payload, 1);
}

void tb_guest_send_fault(TbGuest *guest, uint16_t stream, const TbFault *fault)
{
    tb_guest_send(guest, TB_MSG_ERROR, stream, fault->text,
                  strnlen(fault->text, TB_ERROR_TEXT_LIMIT));
}

/* Forgets the conversation; a running task and a made list stay. */
static void lose_sync(TbGuest *guest)
{
    guest->synced = false;
    guest->out.start = guest->out.length = 0;
    guest->exec_length = 0;
    tb_frame_decoder_reset(&guest->decoder);
    tb_mark_finder_reset(&guest->finder, tb_hello_mark);
    tb_delta_clear(&guest->delta);
    tb_export_stop(guest->export);
    tb_task_forget_sides(guest);
}

static void host_left(TbGuest *guest)
{
    lose_sync(guest);
    int fd = guest->port;
    guest->port = guest->config->reopen(fd, guest->config->data);
}

/* The mark was found: it is the beginning of a HELLO frame. */
static void find_hello(TbGuest *guest, const uint8_t **data, size_t *length)
{
    if (!tb_mark_finder_push(&guest->finder, data, length))
        return;
    const uint8_t *mark = tb_hello_mark;
    size_t size = sizeof tb_hello_mark;
    TbFrame frame;
    tb_frame_decoder_reset(&guest->decoder);
    tb_frame_decoder_push(&guest->decoder, &mark, &size, &frame);
    guest->synced = true;
}

static void take_bytes(TbGuest *guest, const uint8_t *data, size_t length)
{
    while (length > 0) {
        if (!guest->synced) {
            find_hello(guest, &data, &length);
            continue;
        }
        TbFrame frame;
        TbFrameResult result = tb_frame_decoder_push(&guest->decoder, &data, &length, &frame);
        if (result == TB_FRAME_MORE)
            return;
        if (result == TB_FRAME_READY && tb_request_run(guest, &frame))
            continue;
        TbFault fault;
        tb_fault(&fault, "the host's frames make no sense");
        lose_sync(guest);
        tb_guest_send_fault(guest, 0, &fault);
    }
}

static bool would_wait(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static void read_port(TbGuest *guest)
{
    static uint8_t buffer[READ_SIZE];
    ssize_t n = read(guest->port, buffer, sizeof buffer);
    if (n > 0)
        take_bytes(guest, buffer, (size_t)n);
    else if (n == 0 || !would_wait())
        host_left(guest);
}

static void write_port(TbGuest *guest)
{
    TbQueue *out = &guest->out;
    while (out->length > 0) {
        ssize_t n = write(guest->port, out->data + out->start, out->length);
        if (n < 0) {
            if (!would_wait())
                host_left(guest);
            return;
        }
        out->start += (size_t)n;
        out->length -= (size_t)n;
    }
    out->start = 0;
}

static int earlier(int a, int b)
{
    return a < 0 ? b : b < 0 ? a : a < b ? a : b;
}

static void drain_signals(int fd)
{
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) > 0)
        continue;
}

/* One round: wait, move bytes, work. */
static void serve_once(TbGuest *guest, int timeout)
{
    bool wants_input = tb_guest_room(guest) >= TB_ROOM_INPUT;
    short events = (short)((wants_input ? POLLIN : 0) | (guest->out.length > 0 ? POLLOUT : 0));
    struct pollfd fds[2 + TB_TASK_FDS] = {{.fd = guest->port, .events = events},
                                          {.fd = guest->signals, .events = POLLIN}};
    tb_task_poll(guest, fds + 2);
    if (poll(fds, 2 + TB_TASK_FDS, timeout) < 0)
        return;
    if (fds[1].revents)
        drain_signals(guest->signals);
    if (guest->port >= 0 && fds[0].revents & POLLOUT)
        write_port(guest);
    /* POLLHUP without wanting input: reading tells, and bytes that came before it are kept. */
    if (guest->port >= 0 && fds[0].revents & (POLLIN | POLLHUP | POLLERR))
        read_port(guest);
}

static int serve_step(TbGuest *guest)
{
    struct pollfd fds[TB_TASK_FDS];
    tb_task_poll(guest, fds);
    poll(fds, TB_TASK_FDS, 0);
    int wait = tb_task_step(guest, fds);
    tb_export_step(guest);
    if (guest->port < 0) {
        guest->port = guest->config->reopen(-1, guest->config->data);
        wait = earlier(wait, REOPEN_MS);
    }
    /* What was just produced can usually go at once, which saves a round. */
    if (guest->port >= 0 && guest->out.length > 0)
        write_port(guest);
    return tb_export_sending(guest->export) && tb_guest_room(guest) >= TB_ROOM_BULK ? 0 : wait;
}

static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* A deep tree holds two descriptors open for each level while it is walked. */
static void raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max < FILES_LIMIT ? limit.rlim_max : FILES_LIMIT;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static bool guest_init(TbGuest *guest, const TbGuestConfig *config, int port)
{
    struct utsname name;
    guest->config = config;
    guest->port = port;
    guest->delta.dir = guest->delta.file = -1;
    for (unsigned i = 0; i < TB_PROCESSES; i++) {
        guest->tasks[i].number = i;
        tb_task_init(&guest->tasks[i]);
    }
    raise_limits();
    uname(&name);
    memcpy(guest->kernel, name.release, strnlen(name.release, sizeof guest->kernel - 1));
    tb_mount_filesystems(guest->filesystems, sizeof guest->filesystems);
    guest->signals = open_signals();
    guest->exec = malloc(TB_EXEC_LIMIT);
    guest->export = tb_export_new();
    if (!guest->exec || !guest->export || guest->signals < 0)
        return false;
    lose_sync(guest);
    tb_guest_send(guest, TB_MSG_BOOT, 0, NULL, 0);
    return fcntl(port, F_SETFL, O_NONBLOCK) == 0;
}

int tb_guest_serve(const TbGuestConfig *config, int port)
{
    TbGuest *guest = calloc(1, sizeof *guest);
    if (!guest || !guest_init(guest, config, port))
        return 1;
    int wait = 0;
    while (guest->port != -2) {
        serve_once(guest, wait);
        if (guest->port != -2)
            wait = serve_step(guest);
    }
    tb_task_kill_all(guest);
    lose_sync(guest);
    tb_close(&guest->signals);
    for (unsigned i = 0; i < TB_PROCESSES; i++)
        tb_task_close(&guest->tasks[i]);
    tb_export_free(guest->export);
    free(guest->exec);
    free(guest);
    return 0;
}
