/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The child keeps stderr until the box runs, so that what goes wrong until then is said where it
 * was asked for. After that it has nothing of the terminal: a logout does not reach it.
 */
#include "cli/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/output.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/interrupt.h"
#include "util/log.h"

static bool to_null(int first, int last, GError **error)
{
    tb_autofd null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = first; fd <= last; fd++)
        if (null < 0 || dup2(null, fd) < 0)
            return tb_error_set_errno(error, errno, "cannot open '/dev/null'");
    return true;
}

/* Until then a Ctrl-C is meant for both. */
static char *await_id(pid_t child, int fd, int *status)
{
    char id[128];
    size_t length = 0;
    for (ssize_t n = 1; n != 0 && length < sizeof id - 1; length += (size_t)MAX(n, 0)) {
        n = read(fd, id + length, sizeof id - 1 - length);
        if (n < 0 && errno != EINTR)
            break;
        if (tb_interrupt_pending() > 0) {
            kill(child, SIGTERM);
            tb_interrupt_acknowledge();
        }
    }
    id[length] = '\0';
    if (length > 0)
        return g_strdup(id);
    int how = 0;
    while (waitpid(child, &how, 0) < 0 && errno == EINTR)
        continue;
    *status = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
    return NULL;
}

bool tb_detach_begin(TbDetach *detach, bool *left_behind, char **id, int *status, GError **error)
{
    int fds[2];
    fflush(NULL);
    pid_t child = pipe2(fds, O_CLOEXEC) == 0 ? fork() : -1;
    if (child < 0)
        return tb_error_set_errno(error, errno, "cannot start a process of its own");
    *left_behind = child > 0;
    if (*left_behind) {
        tb_autofd reader = fds[0];
        close(fds[1]);
        *id = await_id(child, reader, status);
        return true;
    }
    close(fds[0]);
    detach->told = fds[1];
    setsid();
    tb_interrupt_forked();
    return to_null(STDIN_FILENO, STDIN_FILENO, error);
}

bool tb_detach_started(TbDetach *detach, const TbTask *task, GError **error)
{
    if (detach->told < 0)
        return true;
    tb_status_done();
    if (!to_null(STDIN_FILENO, STDERR_FILENO, error))
        return false;
    if (!tb_write_all(detach->told, task->id, strlen(task->id), "the pipe", NULL))
        tb_debug("nobody waits for the id any more");
    tb_clear_fd(&detach->told);
    return true;
}
