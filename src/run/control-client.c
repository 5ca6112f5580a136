/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reaching a task that another taskbox works on. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "run/control.h"
#include "util/auto.h"
#include "util/error.h"

#define HELLO_DEADLINE (20 * G_USEC_PER_SEC)

static bool not_running(const TbTask *task, GError **error)
{
    return tb_error_set(error, TB_ERROR_CONFLICT, "task '%s' does not run: it is %s%s", task->id,
                        tb_task_state_name(task->state),
                        task->state < TB_TASK_RUNNING ? " (taskbox attach waits for it)" : "");
}

/* -1 without an error: nobody listens. */
static int connect_to(const TbTask *task, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/" TB_TASK_CONTROL,
             task->dirfd);
    tb_autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return tb_steal_fd(&fd);
    if (errno != ENOENT && errno != ECONNREFUSED)
        tb_error_set_errno(error, errno, "cannot reach task '%s'", task->id);
    return -1;
}

TbSession *tb_control_connect(TbTask *task, GError **error)
{
    g_autoptr(GError) why = NULL;
    bool runs = tb_task_reload(task, &why) && task->state == TB_TASK_RUNNING;
    int fd = runs ? connect_to(task, &why) : -1;
    if (fd < 0) {
        if (why)
            g_propagate_error(error, g_steal_pointer(&why));
        else
            not_running(task, error);
        return NULL;
    }
    g_autoptr(TbSession) session = tb_session_new(fd);
    g_autofree char *name = g_strdup_printf("task '%s'", task->id);
    TbGuestInfo info;
    tb_session_set_peer(session, name);
    if (tb_session_hello(session, g_get_monotonic_time() + HELLO_DEADLINE, &info, &why))
        return g_steal_pointer(&session);
    if (g_error_matches(why, TB_ERROR, TB_ERROR_GUEST)) /* it came to its end meanwhile */
        not_running(task, error);
    else
        g_propagate_prefixed_error(error, g_steal_pointer(&why), "%s: ", name);
    return NULL;
}

/* Whoever listens is alive as long as the connection is, so its pid is not another's. */
static bool signal_listener(int fd, int number, GError **error)
{
    struct ucred peer = {0};
    socklen_t length = sizeof peer;
    struct pollfd alive = {.fd = fd, .events = POLLIN};
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
        return tb_error_set_errno(error, errno, "cannot ask who works on it");
    tb_autofd process = (int)syscall(SYS_pidfd_open, peer.pid, 0);
    bool gone = process < 0 || (poll(&alive, 1, 0) > 0 && alive.revents & (POLLHUP | POLLERR));
    return gone || syscall(SYS_pidfd_send_signal, process, number, NULL, 0) == 0 ||
           tb_error_set_errno(error, errno, "cannot signal process %d", (int)peer.pid);
}

bool tb_control_signal(TbTask *task, int number, GError **error)
{
    g_autoptr(GError) why = NULL;
    tb_autofd fd = connect_to(task, &why);
    if (fd >= 0)
        return signal_listener(fd, number, error);
    if (!why)
        return not_running(task, error);
    g_propagate_error(error, g_steal_pointer(&why));
    return false;
}
