/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connection to the box's proxy arrives at the other end of the port, and none does when that end
 * is gone. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../suite.h"
#include "channel/mux.h"
#include "guest/guest.h"

static int taken = -1;

static int on_open(void *data)
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    taken = ends[0];
    return ends[1];
}

static int connect_to(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        return fd;
    close(fd);
    return -1;
}

static void move(TbMux *mux, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        struct pollfd fds[TB_MUX_FDS];
        tb_mux_poll(mux, fds);
        poll(fds, TB_MUX_FDS, 100);
        ck_assert(tb_mux_step(mux, fds));
    }
}

START_TEST(there_and_back_and_gone)
{
    int port[2];
    char text[16] = "";
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, port), 0);
    int listener = tb_proxy_listen(0);
    ck_assert_int_ge(listener, 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    ck_assert_uint_eq(ntohl(address.sin_addr.s_addr), INADDR_LOOPBACK);
    pid_t pid = fork();
    if (pid == 0) {
        close(port[1]);
        tb_proxy_serve(listener, port[0]);
        _exit(0);
    }
    close(listener);
    close(port[0]);
    TbMux *mux = tb_mux_new(port[1], on_open, NULL);
    int fd = connect_to(&address);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "question", 8), 8);
    move(mux, 5);
    ck_assert_int_ge(taken, 0);
    ck_assert_int_eq(read(taken, text, sizeof text), 8);
    ck_assert_str_eq(text, "question");
    ck_assert_int_eq(write(taken, "answer", 6), 6);
    move(mux, 5);
    ck_assert_int_eq(read(fd, text, sizeof text), 6);
    tb_mux_free(mux);
    close(port[1]);
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(read(fd, text, sizeof text), 0);
    ck_assert_int_eq(connect_to(&address), -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
    close(fd);
    close(taken);
}
END_TEST

START_TEST(no_port_is_a_fault)
{
    const TbGuestConfig config = {.root = "/nonexistent"};
    TbFault fault;
    ck_assert(!tb_proxy_start(&config, &fault));
    ck_assert_str_eq(fault.text, "there is no port for the network");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("guest-proxy");
    TCase *tests = tcase_create("proxy");
    tcase_add_test(tests, there_and_back_and_gone);
    tcase_add_test(tests, no_port_is_a_fault);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
