/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The control socket, a frame at a time. What a client is for is in the vm test detach. */
#include "../task/fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "channel/frame.h"
#include "channel/messages.h"
#include "run/control.h"

static TbTask *task;
static TbControl *control;
static TbSession *session;
static int guest;
static const char *const env[] = {"A=b", NULL};

static void begin(bool terminal)
{
    int fds[2];
    task = new_task();
    control = tb_control_open(task, NULL);
    ck_assert_ptr_nonnull(control);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    session = tb_session_new(fds[0]);
    guest = fds[1];
    tb_control_serve(control, session, env, "/workspace/p", terminal);
}

static void end(void)
{
    tb_control_free(control);
    tb_session_free(session);
    close(guest);
    g_autofree char *path = tb_task_path(task, TB_TASK_CONTROL);
    ck_assert_int_ne(access(path, F_OK), 0);
    tb_task_free(task);
}

static int client(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/" TB_TASK_CONTROL,
             task->dirfd);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Serves until nothing is left to be done. */
static void serve(void)
{
    struct pollfd fds[TB_EXEC_POLL];
    for (;;) {
        size_t count = tb_control_poll(control, fds, TB_EXEC_POLL);
        if (poll(fds, count, 20) <= 0)
            return;
        tb_control_polled(control, fds, count);
    }
}

static void put(int fd, uint8_t type, const void *payload, size_t length)
{
    uint8_t header[TB_FRAME_HEADER];
    tb_frame_header(header, type, 0, (uint32_t)length);
    ck_assert_int_eq(write(fd, header, sizeof header), sizeof header);
    ck_assert_int_eq(write(fd, payload, length), (ssize_t)length);
    serve();
}

static void put_hello(int fd)
{
    uint8_t payload[64], answer[512];
    TbHelloMessage hello = {.version = TB_PROTOCOL_VERSION, .nonce = "0123456789abcde"};
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_encode_hello(&writer, &hello);
    put(fd, TB_MSG_HELLO, payload, writer.length);
    ssize_t n = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
    ck_assert_int_gt(n, 16 + TB_FRAME_HEADER);
    ck_assert_mem_eq(answer, hello.nonce, 16);
    ck_assert_uint_eq(answer[16], TB_MSG_GUEST_HELLO);
}

/* The type and payload of the next frame that the client has; 0: none; -1: it was dropped. */
static int got(int fd, char *text, size_t size)
{
    uint8_t header[TB_FRAME_HEADER];
    ssize_t n = recv(fd, header, sizeof header, MSG_DONTWAIT);
    if (n == 0)
        return -1;
    if (n < 0)
        return 0;
    ck_assert_int_eq(n, sizeof header);
    size_t length = header[4] | (size_t)header[5] << 8 | (size_t)header[6] << 16;
    ck_assert_uint_lt(length, size);
    if (length > 0)
        ck_assert_int_eq(recv(fd, text, length, MSG_WAITALL), (ssize_t)length);
    text[length] = '\0';
    return header[0];
}

static void put_exec(int fd, const char *line)
{
    uint8_t payload[1024];
    const char *argv[] = {"sh", "-c", line, NULL}, *more[] = {"TERM=vt100", NULL};
    TbExecMessage exec = {.as_root = true, .cwd = "", .argv = argv, .env = more};
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_encode_exec(&writer, &exec);
    put(fd, TB_MSG_EXEC, payload, writer.length);
}

static void side(unsigned process, uint8_t type, const void *payload, size_t length)
{
    TbFrame frame = {.type = type,
                     .stream = tb_stream(process, type == TB_MSG_OUTPUT ? 2 : 0),
                     .payload = payload,
                     .length = (uint32_t)length};
    tb_control_side(control, process, &frame);
    serve();
}

START_TEST(private_socket)
{
    begin(false);
    struct stat st;
    ck_assert_int_eq(fstatat(task->dirfd, TB_TASK_CONTROL, &st, AT_SYMLINK_NOFOLLOW), 0);
    ck_assert(S_ISSOCK(st.st_mode));
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    end();
}
END_TEST

START_TEST(side_process)
{
    char text[2000];
    begin(false);
    int one = client(), other = client();
    put_hello(one);
    put_hello(other);
    put_exec(one, "one");
    put_exec(other, "other");
    side(1, TB_MSG_STARTED, NULL, 0);
    ck_assert_int_eq(got(one, text, sizeof text), TB_MSG_STARTED);
    ck_assert_int_eq(got(other, text, sizeof text), 0);
    side(2, TB_MSG_OUTPUT, "hello", 5);
    ck_assert_int_eq(got(other, text, sizeof text), TB_MSG_OUTPUT);
    ck_assert_str_eq(text, "hello");
    side(2, TB_MSG_EXIT, "\3\0\0\0\0\0\0\0", 8);
    ck_assert_int_eq(got(other, text, sizeof text), TB_MSG_EXIT);
    ck_assert_int_eq(got(other, text, sizeof text), -1);
    ck_assert_int_eq(got(one, text, sizeof text), 0);
    close(one);
    close(other);
    serve();
    side(1, TB_MSG_OUTPUT, "to nobody", 9); /* whose client is gone */
    end();
}
END_TEST

START_TEST(terminal)
{
    char text[2000];
    uint8_t typed[16];
    begin(true);
    tb_control_output(control, "before\n", 7);
    int fd = client();
    put_hello(fd);
    put(fd, TB_MSG_ATTACH, "\x18\0\x50\0", 4);
    ck_assert_int_eq(got(fd, text, sizeof text), TB_MSG_STARTED);
    ck_assert_int_eq(got(fd, text, sizeof text), TB_MSG_OUTPUT);
    ck_assert_str_eq(text, "before\n");
    ck_assert_int_eq(got(fd, text, sizeof text), TB_MSG_CREDIT);
    tb_control_output(control, "more", 4);
    serve();
    ck_assert_int_eq(got(fd, text, sizeof text), TB_MSG_OUTPUT);
    ck_assert_str_eq(text, "more");
    put(fd, TB_MSG_STDIN, "keys", 4);
    ck_assert_uint_eq(tb_control_typed(control, typed, 3), 3);
    ck_assert_uint_eq(tb_control_typed(control, typed + 3, 13), 1);
    ck_assert_mem_eq(typed, "keys", 4);
    tb_control_end(control, 7, 0);
    ck_assert_int_eq(got(fd, text, sizeof text), TB_MSG_CREDIT);
    ck_assert_int_eq(got(fd, text, sizeof text), TB_MSG_EXIT);
    ck_assert_int_eq(text[0], 7);
    close(fd);
    end();
}
END_TEST

START_TEST(terminal_that_is_none)
{
    char text[2000];
    begin(false);
    int fd = client();
    put_hello(fd);
    put(fd, TB_MSG_ATTACH, "\x18\0\x50\0", 4);
    ck_assert_int_eq(got(fd, text, sizeof text), TB_MSG_ERROR);
    ck_assert_str_eq(text, "the task has no terminal");
    ck_assert_int_eq(got(fd, text, sizeof text), -1);
    close(fd);
    end();
}
END_TEST

/* The task is held while a client is behind, and a client that stays behind is dropped. */
START_TEST(slow_client)
{
    static char much[60000];
    begin(true);
    int fd = client();
    put_hello(fd);
    put(fd, TB_MSG_ATTACH, "\x18\0\x50\0", 4);
    ck_assert(!tb_control_hold(control));
    for (int i = 0; i < 100 && !tb_control_hold(control); i++) {
        tb_control_output(control, much, sizeof much);
        serve();
    }
    ck_assert(tb_control_hold(control));
    for (int seconds = 0; seconds < 12; seconds++)
        tb_control_tick(control);
    ck_assert(!tb_control_hold(control));
    close(fd);
    end();
}
END_TEST

/* Takes `most` bytes, or all until the client is dropped; how many. */
static size_t drain(int fd, size_t most)
{
    static char text[65536];
    size_t total = 0;
    while (total < most) {
        ssize_t n = recv(fd, text, MIN(sizeof text, most - total), MSG_DONTWAIT);
        if (n == 0)
            break;
        if (n < 0)
            serve();
        else
            total += (size_t)n;
    }
    return total;
}

/* A box cannot fill our memory through a client that sleeps; one whose window is full of single
 * bytes keeps them all. */
START_TEST(box_that_says_nothing_at_length)
{
    begin(false);
    int fd = client();
    put_hello(fd);
    put_exec(fd, "one");
    TbFrame bytes = {
        .type = TB_MSG_OUTPUT, .stream = tb_stream(1, 1), .payload = (uint8_t *)"x", .length = 1};
    for (unsigned i = 0; i < TB_SIDE_WINDOW; i++)
        tb_control_side(control, 1, &bytes);
    size_t frame_size = TB_FRAME_HEADER + 1, size = TB_SIDE_WINDOW * frame_size;
    ck_assert_uint_eq(drain(fd, size), size);
    TbFrame nothing = {.type = TB_MSG_CREDIT, .payload = (uint8_t *)"\1\0\0\0", .length = 4};
    for (unsigned i = 0; i < 1000000; i++)
        tb_control_side(control, 1, &nothing);
    ck_assert_uint_lt(drain(fd, SIZE_MAX), 4 << 20);
    close(fd);
    end();
}
END_TEST

static volatile sig_atomic_t last;
static void on_signal(int number)
{
    last = number;
}

START_TEST(asked_to_stop)
{
    char text[2000];
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    begin(false);
    int fd = client();
    put_hello(fd);
    put(fd, TB_MSG_STOP, "\0", 1);
    ck_assert_int_eq(got(fd, text, sizeof text), TB_MSG_OK);
    ck_assert_int_eq(last, SIGINT);
    put(fd, TB_MSG_STOP, "\1", 1);
    ck_assert_int_eq(last, SIGTERM);
    close(fd);
    end();
}
END_TEST

/* Each is dropped, and the next one is served. */
START_TEST(nonsense)
{
    char text[2000];
    begin(true);
    int fd = client();
    if (_i > 0)
        put_hello(fd);
    switch (_i) {
    case 0: /* no hello */
        put(fd, TB_MSG_ATTACH, "\x18\0\x50\0", 4);
        break;
    case 1:
        put(fd, TB_MSG_ATTACH, "\x18\0\x50", 3);
        break;
    case 2:
        put(fd, TB_MSG_EXEC, "x", 1);
        break;
    case 3:
        put(fd, TB_MSG_SETUP, "x", 1);
        break;
    case 4:
        put(fd, TB_MSG_STOP, "xx", 2);
        break;
    case 5:
        put(fd, TB_MSG_STDIN, "x", 1);
        break;
    default:
        ck_assert_int_eq(write(fd, "\x09\x01\0\0\xff\xff\xff\xff", 8), 8);
        serve();
    }
    while (got(fd, text, sizeof text) > 0)
        continue;
    ck_assert_int_eq(got(fd, text, sizeof text), -1);
    close(fd);
    fd = client();
    put_hello(fd);
    close(fd);
    end();
}
END_TEST

START_TEST(many_clients)
{
    int fds[40];
    begin(false);
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        if (i % 10 == 0)
            serve();
        fds[i] = client();
    }
    serve();
    int dropped = 0;
    char text[100];
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
        dropped += got(fds[i], text, sizeof text) == -1;
    ck_assert_int_eq(dropped, 40 - 12);
    put_hello(fds[0]);
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
        close(fds[i]);
    end();
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("control");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, private_socket);
    tcase_add_test(cases, side_process);
    tcase_add_test(cases, terminal);
    tcase_add_test(cases, terminal_that_is_none);
    tcase_add_test(cases, slow_client);
    tcase_add_test(cases, box_that_says_nothing_at_length);
    tcase_add_test(cases, asked_to_stop);
    tcase_add_loop_test(cases, nonsense, 0, 7);
    tcase_add_test(cases, many_clients);
    return suite_run_case("task control", cases);
}
