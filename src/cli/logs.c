/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox logs [-f] */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/exit.h"
#include "cli/output.h"
#include "cli/pager.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/interrupt.h"
#include "util/log.h"

#define CHUNK   65536
#define STEP_MS 200

/* Everything from where `fd` stands to the present end. */
static bool copy_rest(int fd, TbScreen *screen, GError **error)
{
    g_autofree char *buffer = g_malloc(CHUNK);
    for (;;) {
        ssize_t got = read(fd, buffer, CHUNK);
        if (got < 0 && errno != EINTR)
            return tb_error_set_errno(error, errno, "cannot read the log");
        if (got == 0)
            return true;
        if (got > 0 && !tb_screen_write(screen, buffer, (size_t)got, error))
            return false;
    }
}

/* Whether a taskbox still works on it; the record tells, and when that one died, the lock. */
static bool still_runs(TbTask *task)
{
    if (!tb_task_reload(task, NULL) || !tb_task_state_unfinished(task->state))
        return false;
    if (tb_task_is_locked(task))
        return true;
    return tb_task_reload(task, NULL) && tb_task_state_unfinished(task->state) &&
           tb_task_is_locked(task);
}

static void pause_a_moment(void)
{
    struct pollfd interrupt = {.fd = tb_interrupt_fd(), .events = POLLIN};
    poll(&interrupt, 1, STEP_MS);
}

static bool print_log(TbTask *task, bool follow, int *status, GError **error)
{
    if (!follow)
        tb_pager_start();
    g_autoptr(TbScreen) screen = tb_screen_new(STDOUT_FILENO);
    tb_autofd fd = -1;
    for (;;) {
        bool more = follow && still_runs(task); /* asked first: then nothing is missed */
        if (fd < 0)
            fd = openat(task->dirfd, "log", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && errno != ENOENT)
            return tb_error_set_errno(error, errno, "cannot open the log of task '%s'", task->id);
        if (fd >= 0 && !copy_rest(fd, screen, error))
            return false;
        if (!more)
            break;
        pause_a_moment();
        if (tb_interrupt_pending() > 0) {
            *status = 128 + tb_interrupt_signal();
            return true;
        }
    }
    if (fd < 0)
        tb_info("task %s has no log: it is %s and ran no command", task->id,
                tb_task_state_name(task->state));
    return true;
}

bool tb_cli_logs(TbCli *cli, int *status, GError **error)
{
    const char *name = tb_arguments_sole(cli->arguments, "a task", error);
    g_autoptr(TbTask) task = name ? tb_task_open(cli->store, name, error) : NULL;
    return task && print_log(task, tb_arguments_flag(cli->arguments, "follow"), status, error);
}
