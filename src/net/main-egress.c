/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * taskbox-egress: the network and nothing else. It sees no project, no image and no store; what it
 * may do comes in as a sealed policy, what the box wants comes in over the box's port.
 *
 * Two threads: one moves bytes between the port and a socket pair a stream (channel/mux.h), the
 * main one speaks HTTP on those sockets. It ends when the port does, when taskbox is gone or says
 * stop, and when anything is not as it must be; then the box has no network.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel/mux.h"
#include "net/confine.h"
#include "net/egress.h"
#include "net/proxy.h"
#include "net/secret.h"
#include "util/auto.h"
#include "util/error.h"

#define POLICY_MAX (1024 * 1024)
#define ALL_SEALS  (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define MEMORY     (UINT64_C(2) << 30)
#define REPORT_MS  1000

typedef struct {
    GMainLoop *loop;
    TbProxy *proxy;
    int port;
} Egress;

/* All of a sealed memory file; `what` is for the message. The caller's to wipe. */
static char *read_sealed(int fd, const char *what, GError **error)
{
    struct stat st;
    if (fcntl(fd, F_GET_SEALS) != ALL_SEALS || fstat(fd, &st) < 0 || st.st_size > POLICY_MAX) {
        tb_error_set(error, TB_ERROR_CONFIG, "there is no %s (it is started by taskbox only)",
                     what);
        return NULL;
    }
    char *text = g_malloc0((gsize)st.st_size + 1);
    if (pread(fd, text, (size_t)st.st_size, 0) == st.st_size && strlen(text) == (size_t)st.st_size)
        return text;
    tb_secret_wipe(text);
    tb_error_set(error, TB_ERROR_CONFIG, "the %s cannot be read", what);
    return NULL;
}

/* Waits a moment when there is no room, so that no flood of refusals hides one of them; but not for
 * long: a taskbox that does not listen must not hold up anything. */
static void report(const char *line, void *data)
{
    struct pollfd room = {.fd = TB_EGRESS_CONTROL, .events = POLLOUT};
    size_t length = strlen(line);
    if (send(TB_EGRESS_CONTROL, line, length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EAGAIN &&
        poll(&room, 1, REPORT_MS) > 0)
        (void)send(TB_EGRESS_CONTROL, line, length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Without that descriptor there are none, and all is well. */
static bool open_vault(TbVault **vault, GError **error)
{
    if (fcntl(TB_EGRESS_SECRETS, F_GETFD) < 0)
        return true;
    char *text = read_sealed(TB_EGRESS_SECRETS, "secrets", error);
    close(TB_EGRESS_SECRETS);
    GPtrArray *secrets = text ? tb_secrets_parse(text, error) : NULL;
    tb_secret_wipe(text);
    if (!secrets || !(*vault = tb_vault_new(secrets, error)))
        return false;
    g_autofree char *packet =
        g_strconcat(TB_EGRESS_PEM, tb_authority_pem((*vault)->authority), NULL);
    report(packet, NULL);
    return true;
}

/* ---- the port's thread */

typedef struct {
    Egress *egress;
    int fd;
} Arrival;

/* In the main thread. */
static gboolean take(gpointer data)
{
    Arrival *arrival = data;
    (void)tb_proxy_take(arrival->egress->proxy, arrival->fd, NULL); /* else it is closed */
    return G_SOURCE_REMOVE;
}

static int on_opened(void *data)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -1;
    Arrival arrival = {.egress = data, .fd = ends[0]};
    g_main_context_invoke_full(NULL, G_PRIORITY_DEFAULT, take, g_memdup2(&arrival, sizeof arrival),
                               g_free);
    return ends[1];
}

static gboolean stop(gpointer data)
{
    Egress *egress = data;
    g_main_loop_quit(egress->loop);
    return G_SOURCE_REMOVE;
}

static void *serve_port(void *data)
{
    Egress *egress = data;
    TbMux *mux = tb_mux_new(egress->port, on_opened, egress);
    struct pollfd fds[TB_MUX_FDS];
    for (bool alive = mux != NULL; alive;) {
        tb_mux_poll(mux, fds);
        if (poll(fds, TB_MUX_FDS, -1) >= 0)
            alive = tb_mux_step(mux, fds);
    }
    tb_mux_free(mux);
    g_main_context_invoke(NULL, stop, egress);
    return NULL;
}

/* ---- taskbox's words */

/* -1: none, or taskbox wants us to end. */
static int receive_port(void)
{
    char byte;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    int fd = -1;
    if (recvmsg(TB_EGRESS_CONTROL, &message, MSG_CMSG_CLOEXEC) != 1)
        return -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

static gboolean on_control(gint fd, GIOCondition condition, gpointer data)
{
    Egress *egress = data;
    int port = receive_port();
    if (port < 0 || egress->port >= 0) {
        stop(egress);
        return G_SOURCE_REMOVE;
    }
    egress->port = port;
    g_thread_unref(g_thread_new("port", serve_port, egress));
    return G_SOURCE_CONTINUE;
}

static bool run(GError **error)
{
    g_autofree char *text = read_sealed(TB_EGRESS_CONFIG, "policy", error);
    g_autoptr(TbNetPolicy) policy = text ? tb_net_policy_parse(text, error) : NULL;
    g_autoptr(TbVault) vault = NULL;
    if (!policy || !tb_confine(error) || !open_vault(&vault, error))
        return false;
    Egress egress = {.loop = g_main_loop_new(NULL, FALSE), .port = -1};
    egress.proxy = tb_proxy_new(policy, vault, report, NULL);
    g_unix_fd_add(TB_EGRESS_CONTROL, G_IO_IN | G_IO_HUP, on_control, &egress);
    report(TB_EGRESS_READY, NULL);
    g_main_loop_run(egress.loop);
    tb_proxy_free(egress.proxy);
    tb_vault_free(g_steal_pointer(&vault));
    /* The port's thread may be at work still: it ends with the process, and so does its memory. */
    _exit(EXIT_SUCCESS);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    g_setenv("SOUP_FORCE_HTTP1", "1", TRUE); /* what is looked through is HTTP/1.1 */
    g_setenv("LOCALDOMAIN", ".", TRUE); /* a name is asked for as it was judged, no longer one */
    /* Not where a sanitizer maps terabytes. */
#ifndef __SANITIZE_ADDRESS__
    const struct rlimit memory = {MEMORY, MEMORY};
    setrlimit(RLIMIT_AS, &memory);
#endif
    fcntl(TB_EGRESS_CONTROL, F_SETFD, FD_CLOEXEC);
    if (argc != 1 || !run(&error))
        fprintf(stderr, "taskbox-egress: %s\n",
                error ? error->message : "it is started by taskbox only");
    return EXIT_FAILURE;
}
