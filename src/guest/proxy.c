/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The box's way out: 127.0.0.1:3128 in the box, and behind it the host's proxy. Here nothing is
 * known of HTTP; each connection becomes a stream over the egress port.
 *
 * It is a process of its own, forked by SETUP when the task has a network at all (no exec, a few
 * milliseconds), so that the network's bytes never hold up the conversation with the host. When the
 * host's end of the port is gone it ends, and connections are refused.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/close_range.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "channel/mux.h"
#include "guest/guest.h"

enum { BACKLOG = 128, PORT = 3, LISTENER = 4 };

int tb_proxy_listen(uint16_t number)
{
    static const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(number),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, BACKLOG) != 0)
        tb_close(&fd);
    return fd;
}

static void take_connections(TbMux *mux, int listener)
{
    static const int on = 1;
    while (!tb_mux_full(mux)) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        tb_mux_open(mux, fd);
    }
}

void tb_proxy_serve(int listener, int port)
{
    TbMux *mux = tb_mux_new(port, NULL, NULL);
    struct pollfd fds[TB_MUX_FDS + 1];
    struct pollfd *waiting = &fds[TB_MUX_FDS];
    for (bool alive = mux != NULL; alive;) {
        tb_mux_poll(mux, fds);
        *waiting = (struct pollfd){.fd = tb_mux_full(mux) ? -1 : listener, .events = POLLIN};
        if (poll(fds, TB_MUX_FDS + 1, -1) < 0)
            continue;
        if (waiting->revents)
            take_connections(mux, listener);
        alive = tb_mux_step(mux, fds);
    }
    tb_mux_free(mux);
}

/* The child keeps nothing of the service's: a port that it held could not be opened again. */
_Noreturn static void run_child(int listener, int port)
{
    prctl(PR_SET_NAME, "taskbox-proxy");
    if (dup2(port, 1) >= 0 && dup2(listener, 2) >= 0 && dup2(1, PORT) == PORT &&
        dup2(2, LISTENER) == LISTENER) {
        syscall(SYS_close_range, (unsigned)LISTENER + 1, ~0U, 0U);
        tb_proxy_serve(LISTENER, PORT);
    }
    _exit(0);
}

/* apt under sudo sees no environment. */
static bool configure_apt(const TbGuestConfig *config, TbFault *fault)
{
    static const char text[] = "Acquire::http::Proxy \"http://127.0.0.1:3128\";\n"
                               "Acquire::https::Proxy \"http://127.0.0.1:3128\";\n";
    char path[TB_PATH_SIZE];
    snprintf(path, sizeof path, "%s/etc/apt/apt.conf.d", config->root);
    if (access(path, F_OK) != 0)
        return true;
    snprintf(path, sizeof path, "%s/etc/apt/apt.conf.d/95taskbox", config->root);
    return tb_replace_file(path, text, sizeof text - 1, 0644, fault);
}

bool tb_proxy_start(const TbGuestConfig *config, TbFault *fault)
{
    tb_auto_fd port = config->open_egress ? config->open_egress() : -1;
    if (port < 0)
        return tb_fault(fault, "there is no port for the network");
    tb_auto_fd listener = tb_proxy_listen(TB_PROXY_PORT);
    if (listener < 0)
        return tb_fault_errno(fault, "cannot listen on 127.0.0.1:%d", TB_PROXY_PORT);
    if (!configure_apt(config, fault))
        return false;
    pid_t pid = fork();
    if (pid == 0)
        run_child(listener, port);
    return pid > 0 || tb_fault_errno(fault, "cannot start the proxy");
}
