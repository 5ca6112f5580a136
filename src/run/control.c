/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Serving the control socket, from within the wait for the task's process: nothing here blocks.
 * Memory is bounded: one frame a client is being read; a side process is no further ahead than its
 * window, since TAKEN is only told when the client has taken it; while a client at the task's
 * terminal is behind, the guest's frames are left alone.
 */
#include "run/control.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/hole.h"

enum {
    CLIENTS = 12,
    READ_SIZE = 16 * 1024,
    BEHIND = 256 * 1024,
    RECENT = 16 * 1024, /* what one who takes the terminal is shown of the past, at most */
    STALLED_SECONDS = 10,
    LAST_WORDS_MS = 500,
    /* A full window of single bytes, and room. What is more than that has no window: frames that
     * say nothing, of a box that wants our memory. */
    SIDE_MOST = TB_SIDE_WINDOW * (TB_FRAME_HEADER + 1) + BEHIND,
};

typedef struct {
    int fd;
    bool greeted, attached, over; /* over: to be closed once all is sent */
    unsigned process;             /* its side process, 0: none */
    uint32_t owed;                /* OUTPUT of it that was not told as taken yet */
    int stalled;                  /* seconds without a byte taken */
    GByteArray *out, *exec;       /* exec: the parts so far */
    TbFrameDecoder decoder;
} Client;

struct TbControl {
    TbTask *task;
    int listen_fd;
    TbSession *session; /* NULL: the task does not run */
    const char *const *env;
    const char *cwd;
    bool terminal;
    Client *clients[CLIENTS];
    GByteArray *typed, *recent;
};

/* --- one client --------------------------------------------------------------------------------
 */

static void say(Client *client, TbMessageType type, unsigned fd, const void *payload, size_t length)
{
    uint8_t header[TB_FRAME_HEADER];
    tb_frame_header(header, (uint8_t)type, (uint16_t)fd, (uint32_t)length);
    g_byte_array_append(client->out, header, sizeof header);
    if (length > 0)
        g_byte_array_append(client->out, payload, (guint)length);
}

static void say_number(Client *client, TbMessageType type, uint32_t number)
{
    uint8_t payload[4];
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_put_u32(&writer, number);
    say(client, type, 0, payload, writer.length);
}

static void refuse(Client *client, const char *why)
{
    say(client, TB_MSG_ERROR, 0, why, MIN(strlen(why), TB_ERROR_TEXT_LIMIT));
    client->over = true;
}

static void tell_side(TbControl *control, Client *client, TbMessageType type, uint32_t number)
{
    uint8_t payload[4];
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_put_u32(&writer, number);
    if (control->session && client->process)
        tb_session_side_send(control->session, client->process, type, payload, writer.length);
}

static void client_free(TbControl *control, Client *client)
{
    /* Its process ends; what it still says is taken. */
    tell_side(control, client, TB_MSG_SIGNAL, SIGKILL);
    tb_clear_fd(&client->fd);
    g_byte_array_unref(client->out);
    g_byte_array_unref(client->exec);
    g_free(client);
}

static void drop(TbControl *control, size_t index)
{
    Client *client = control->clients[index];
    control->clients[index] = NULL;
    client_free(control, client);
}

/* False: it is gone. */
static bool flush(TbControl *control, Client *client)
{
    while (client->out->len > 0) {
        ssize_t n = send(client->fd, client->out->data, client->out->len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        client->stalled = 0;
        g_byte_array_remove_range(client->out, 0, (guint)n);
    }
    if (client->owed > 0)
        tell_side(control, client, TB_MSG_TAKEN, client->owed);
    client->owed = 0;
    return !client->over;
}

/* --- what a client may ask ---------------------------------------------------------------------
 */

static bool greet(Client *client, const TbFrame *frame)
{
    TbHelloMessage hello;
    uint8_t payload[256];
    if (!tb_decode_hello(frame->payload, frame->length, &hello))
        return false;
    const TbGuestHelloMessage answer = {
        .version = TB_PROTOCOL_VERSION, .kernel = "taskbox", .filesystems = "none"};
    TbGuestHelloMessage mine = answer;
    memcpy(mine.nonce, hello.nonce, sizeof mine.nonce);
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_encode_guest_hello(&writer, &mine);
    g_byte_array_append(client->out, hello.nonce, sizeof hello.nonce);
    say(client, TB_MSG_GUEST_HELLO, 0, payload, writer.length);
    client->greeted = true;
    return true;
}

/* What the guest is asked: the client's process with the task's environment and place. */
static unsigned start_side(TbControl *control, const TbExecMessage *asked)
{
    g_autofree uint8_t *payload = g_malloc(TB_EXEC_LIMIT);
    g_autoptr(GPtrArray) env = g_ptr_array_new();
    for (const char *const *own = control->env; own && *own; own++)
        g_ptr_array_add(env, (char *)(uintptr_t)*own);
    for (size_t i = 0; i < asked->envc; i++)
        g_ptr_array_add(env, (char *)(uintptr_t)asked->env[i]);
    g_ptr_array_add(env, NULL);
    TbExecMessage message = *asked;
    message.as_root = false;
    message.env = (const char **)env->pdata;
    if (*message.cwd == '\0')
        message.cwd = control->cwd;
    TbWriter writer = tb_writer(payload, TB_EXEC_LIMIT);
    tb_encode_exec(&writer, &message);
    return writer.failed ? 0 : tb_session_side_start(control->session, payload, writer.length);
}

static bool run_exec(TbControl *control, Client *client, const TbFrame *frame)
{
    if (client->process || client->attached || frame->length > TB_EXEC_LIMIT - client->exec->len)
        return false;
    g_byte_array_append(client->exec, frame->payload, frame->length);
    if (frame->type == TB_MSG_EXEC_PART)
        return true;
    TbExecMessage message;
    if (!tb_decode_exec(client->exec->data, client->exec->len, &message))
        return false;
    client->process = start_side(control, &message);
    tb_exec_message_clear(&message);
    g_byte_array_set_size(client->exec, 0);
    if (!client->process)
        refuse(client, "too many processes run in the box already");
    return true;
}

static bool attach(TbControl *control, Client *client, const TbFrame *frame)
{
    TbReader reader = tb_reader(frame->payload, frame->length);
    uint16_t rows = tb_get_u16(&reader), columns = tb_get_u16(&reader);
    if (!tb_reader_done(&reader) || client->process || client->attached)
        return false;
    if (!control->terminal) {
        refuse(client, "the task has no terminal");
        return true;
    }
    client->attached = true;
    say(client, TB_MSG_STARTED, 0, NULL, 0);
    say(client, TB_MSG_OUTPUT, 1, control->recent->data, control->recent->len);
    say_number(client, TB_MSG_CREDIT, TB_STDIN_WINDOW);
    tb_session_window(control->session, rows, columns > 1 ? columns - 1u : 2); /* it draws anew */
    tb_session_window(control->session, rows, columns);
    return true;
}

static bool take_input(TbControl *control, Client *client, const TbFrame *frame)
{
    if (client->process) {
        tb_session_side_send(control->session, client->process, TB_MSG_STDIN, frame->payload,
                             frame->length);
        return true;
    }
    if (!client->attached || frame->length > TB_STDIN_WINDOW)
        return client->over;
    if (control->typed->len + frame->length <= CLIENTS * TB_STDIN_WINDOW)
        g_byte_array_append(control->typed, frame->payload, frame->length);
    if (frame->length > 0)
        say_number(client, TB_MSG_CREDIT, frame->length);
    return true;
}

static bool set_window(TbControl *control, Client *client, const TbFrame *frame)
{
    TbReader reader = tb_reader(frame->payload, frame->length);
    uint16_t rows = tb_get_u16(&reader), columns = tb_get_u16(&reader);
    if (!tb_reader_done(&reader))
        return false;
    if (client->process)
        tb_session_side_send(control->session, client->process, TB_MSG_WINDOW, frame->payload,
                             frame->length);
    else if (client->attached)
        tb_session_window(control->session, rows, columns);
    return true;
}

/* As if the user had hit Ctrl-C, or killed us: the same ways of ending for all. */
static bool stop(Client *client, const TbFrame *frame)
{
    TbReader reader = tb_reader(frame->payload, frame->length);
    bool now = tb_get_u8(&reader) != 0;
    uint8_t type = TB_MSG_STOP;
    if (!tb_reader_done(&reader))
        return false;
    say(client, TB_MSG_OK, 0, &type, 1);
    raise(now ? SIGTERM : SIGINT);
    return true;
}

/* False: it makes no sense. */
static bool obey(TbControl *control, Client *client, const TbFrame *frame)
{
    if (!client->greeted)
        return frame->type == TB_MSG_HELLO && greet(client, frame);
    switch ((TbMessageType)frame->type) {
    case TB_MSG_EXEC_PART:
    case TB_MSG_EXEC:
        return run_exec(control, client, frame);
    case TB_MSG_ATTACH:
        return attach(control, client, frame);
    case TB_MSG_STOP:
        return stop(client, frame);
    case TB_MSG_STDIN:
        return take_input(control, client, frame);
    case TB_MSG_WINDOW:
        return set_window(control, client, frame);
    case TB_MSG_SIGNAL:
        if (frame->length == 4 && client->process)
            tb_session_side_send(control->session, client->process, TB_MSG_SIGNAL, frame->payload,
                                 4);
        return frame->length == 4;
    default:
        return false;
    }
}

/* False: it is to be dropped. */
static bool read_client(TbControl *control, Client *client)
{
    uint8_t buffer[READ_SIZE];
    ssize_t n = recv(client->fd, buffer, sizeof buffer, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0)
        return false;
    const uint8_t *data = buffer;
    size_t length = (size_t)n;
    for (;;) {
        TbFrame frame;
        TbFrameResult result = tb_frame_decoder_push(&client->decoder, &data, &length, &frame);
        if (result == TB_FRAME_MORE)
            return true;
        if (result == TB_FRAME_BAD || (!client->over && !obey(control, client, &frame)))
            return false;
    }
}

/* --- all of them -------------------------------------------------------------------------------
 */

TbControl *tb_control_open(TbTask *task, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/" TB_TASK_CONTROL,
             task->dirfd);
    if (tb_hole("control-socket"))
        (void)fchmod(task->dirfd, 0755);
    tb_autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        fchmodat(task->dirfd, TB_TASK_CONTROL, tb_hole("control-socket") ? 0666 : 0600, 0) < 0 ||
        listen(fd, CLIENTS) < 0) {
        tb_error_set_errno(error, errno, "cannot make the control socket of task '%s'", task->id);
        return NULL;
    }
    TbControl *control = g_new0(TbControl, 1);
    control->task = task;
    control->listen_fd = tb_steal_fd(&fd);
    control->typed = g_byte_array_new();
    control->recent = g_byte_array_new();
    return control;
}

void tb_control_free(TbControl *control)
{
    if (!control)
        return;
    unlinkat(control->task->dirfd, TB_TASK_CONTROL, 0);
    tb_clear_fd(&control->listen_fd);
    control->session = NULL;
    for (size_t i = 0; i < CLIENTS; i++)
        if (control->clients[i])
            drop(control, i);
    g_byte_array_unref(control->typed);
    g_byte_array_unref(control->recent);
    g_free(control);
}

void tb_control_serve(TbControl *control, TbSession *session, const char *const *env,
                      const char *cwd, bool terminal)
{
    control->session = session;
    control->env = env;
    control->cwd = cwd;
    control->terminal = terminal;
}

void tb_control_adopt(TbControl *control, int fd)
{
    size_t i = 0;
    while (i < CLIENTS && control->clients[i])
        i++;
    Client *client = g_new0(Client, 1);
    *client = (Client){.fd = fd, .out = g_byte_array_new(), .exec = g_byte_array_new()};
    if (i == CLIENTS)
        client_free(control, client);
    else
        control->clients[i] = client;
}

/* Only ourselves, and root, who could do anything anyway. */
static void accept_client(TbControl *control)
{
    struct ucred peer = {0};
    socklen_t length = sizeof peer;
    tb_autofd fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
        (peer.uid == geteuid() || peer.uid == 0 || tb_hole("control-socket")))
        tb_control_adopt(control, tb_steal_fd(&fd));
}

size_t tb_control_poll(const TbControl *control, struct pollfd *fds, size_t room)
{
    size_t count = 0;
    if (!control->session || room < CLIENTS + 1)
        return 0;
    for (; count < CLIENTS; count++) {
        const Client *client = control->clients[count];
        short events = (short)(POLLIN | (client && client->out->len > 0 ? POLLOUT : 0));
        fds[count] = (struct pollfd){.fd = client ? client->fd : -1, .events = events};
    }
    fds[count++] = (struct pollfd){.fd = control->listen_fd, .events = POLLIN};
    return count;
}

void tb_control_polled(TbControl *control, const struct pollfd *fds, size_t count)
{
    if (count == 0)
        return;
    for (size_t i = 0; i < CLIENTS; i++) {
        Client *client = control->clients[i];
        if (!client)
            continue;
        bool stays =
            !(fds[i].revents & (POLLIN | POLLHUP | POLLERR)) || read_client(control, client);
        if (!stays || !flush(control, client))
            drop(control, i);
    }
    if (fds[CLIENTS].revents)
        accept_client(control);
}

void tb_control_side(TbControl *control, unsigned process, const TbFrame *frame)
{
    Client *client = NULL;
    size_t index = 0;
    for (; index < CLIENTS && !client; index += !client)
        if (control->clients[index] && control->clients[index]->process == process)
            client = control->clients[index];
    bool output = frame->type == TB_MSG_OUTPUT;
    if (!client) { /* whose it was is gone; so that it comes to its end */
        uint8_t payload[4];
        TbWriter writer = tb_writer(payload, sizeof payload);
        tb_put_u32(&writer, frame->length);
        if (output)
            tb_session_side_send(control->session, process, TB_MSG_TAKEN, payload, writer.length);
        return;
    }
    client->owed += output ? frame->length : 0;
    say(client, (TbMessageType)frame->type, tb_stream_fd(frame->stream), frame->payload,
        frame->length);
    if (frame->type == TB_MSG_EXIT || frame->type == TB_MSG_ERROR) {
        client->process = 0;
        client->over = true;
    }
    if (client->out->len > SIDE_MOST)
        drop(control, index);
}

/* The past begins with a whole line. */
static void remember(GByteArray *recent, const void *data, size_t length)
{
    size_t part = MIN(length, RECENT);
    g_byte_array_append(recent, (const guint8 *)data + (length - part), (guint)part);
    if (recent->len <= RECENT)
        return;
    size_t start = recent->len - RECENT / 2;
    const uint8_t *line = memchr(recent->data + start, '\n', recent->len - start);
    if (line)
        start = (size_t)(line - recent->data) + 1;
    g_byte_array_remove_range(recent, 0, (guint)start);
}

void tb_control_output(TbControl *control, const void *data, size_t length)
{
    if (!control->terminal)
        return;
    remember(control->recent, data, length);
    for (size_t i = 0; i < CLIENTS; i++) {
        Client *client = control->clients[i];
        if (client && client->attached && !client->over)
            say(client, TB_MSG_OUTPUT, 1, data, length);
    }
}

size_t tb_control_typed(TbControl *control, uint8_t *bytes, size_t room)
{
    size_t length = MIN(control->typed->len, room);
    if (length == 0)
        return 0;
    memcpy(bytes, control->typed->data, length);
    g_byte_array_remove_range(control->typed, 0, (guint)length);
    return length;
}

bool tb_control_hold(const TbControl *control)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        const Client *client = control->clients[i];
        if (client && client->attached && client->out->len > BEHIND)
            return true;
    }
    return false;
}

void tb_control_tick(TbControl *control)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        Client *client = control->clients[i];
        if (client && client->attached && client->out->len > BEHIND &&
            ++client->stalled > STALLED_SECONDS)
            drop(control, i);
    }
}

/* Who is at the terminal gets to know how it ended; it has a moment to take the last words. */
void tb_control_end(TbControl *control, int code, int number)
{
    int64_t deadline = g_get_monotonic_time() + LAST_WORDS_MS * 1000;
    control->session = NULL;
    for (size_t i = 0; i < CLIENTS; i++) {
        Client *client = control->clients[i];
        uint8_t payload[8];
        TbWriter writer = tb_writer(payload, sizeof payload);
        tb_put_u32(&writer, (uint32_t)code);
        tb_put_u32(&writer, (uint32_t)number);
        if (client && client->attached && !client->over)
            say(client, TB_MSG_EXIT, 0, payload, writer.length);
        else if (client && !client->over)
            refuse(client, "the task has ended");
        while (client && client->out->len > 0 && flush(control, client) &&
               g_get_monotonic_time() < deadline) {
            struct pollfd fd = {.fd = client->fd, .events = POLLOUT};
            poll(&fd, 1, 50);
        }
        if (client)
            drop(control, i);
    }
}
