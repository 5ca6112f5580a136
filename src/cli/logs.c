/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox logs [-f|--net|--verify|--raw] */
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
#include "util/fs.h"
#include "util/log.h"
#include "util/table.h"

#define CHUNK       65536
#define STEP_MS     200
#define NET_LOG_MAX (32 * 1024 * 1024)

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

/* Moves to where the last `lines` lines begin. */
static bool seek_tail(int fd, uint64_t lines, GError **error)
{
    g_autofree char *buffer = g_malloc(CHUNK);
    off_t at = lseek(fd, 0, SEEK_END);
    bool last = true; /* the newline at the very end ends a line and begins none */
    while (at > 0 && lines > 0) {
        size_t part = (size_t)MIN((off_t)CHUNK, at);
        at -= (off_t)part;
        if (pread(fd, buffer, part, at) != (ssize_t)part)
            return tb_error_set_errno(error, errno, "cannot read the log");
        for (size_t i = part; i-- > 0; last = false)
            if (buffer[i] == '\n' && !last && lines-- <= 1)
                return lseek(fd, at + (off_t)i + 1, SEEK_SET) >= 0;
    }
    return lines == 0 || lseek(fd, 0, SEEK_SET) == 0;
}

static void pause_a_moment(void)
{
    struct pollfd interrupt = {.fd = tb_interrupt_fd(), .events = POLLIN};
    poll(&interrupt, 1, STEP_MS);
}

bool tb_cli_print_log(TbTask *task, bool follow, uint64_t tail, int *status, GError **error)
{
    if (!follow)
        tb_pager_start();
    g_autoptr(TbScreen) screen = tb_screen_new(STDOUT_FILENO);
    tb_autofd fd = -1;
    for (;;) {
        bool more = follow && tb_task_is_alive(task); /* asked first: then nothing is missed */
        if (fd < 0)
            fd = openat(task->dirfd, "log", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && errno != ENOENT)
            return tb_error_set_errno(error, errno, "cannot open the log of task '%s'", task->id);
        if (fd >= 0 && tail != UINT64_MAX && !seek_tail(fd, tail, error))
            return false;
        if (fd >= 0)
            tail = UINT64_MAX;
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

static void add_event(TbTable *table, const TbNetEvent *event)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(event->time / 1000);
    g_autofree char *when =
        event->time && time ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S") : NULL;
    g_autofree char *target =
        event->port ? g_strdup_printf("%s:%u", event->host, event->port) : g_strdup(event->host);
    g_autofree char *sent = g_strdup_printf("%" G_GUINT64_FORMAT, event->sent);
    g_autofree char *received = g_strdup_printf("%" G_GUINT64_FORMAT, event->received);
    tb_table_add_row(table,
                     (const char *[]){when, event->what, target, tb_verdict_name(event->verdict),
                                      sent, received, event->reason});
}

/* The lines were written by us, of what a hostile process has told: each is judged again. */
static bool print_network(TbTask *task, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GBytes) bytes = tb_read_file_at(task->dirfd, TB_TASK_NETWORK, NET_LOG_MAX, &why);
    if (!bytes && g_error_matches(why, TB_ERROR, TB_ERROR_NOT_FOUND)) {
        tb_info("task %s had no network", task->id);
        return true;
    }
    if (!bytes) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    gsize length = 0;
    const char *data = g_bytes_get_data(bytes, &length);
    g_autofree char *text = g_strndup(data, length);
    tb_pager_start();
    g_autoptr(TbTable) table =
        tb_table_new("TIME", "WHAT", "HOST", "VERDICT", "SENT", "RECEIVED", "WHY", NULL);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(TbNetEvent) event = {0};
        if (tb_net_event_parse(*line, &event))
            add_event(table, &event);
    }
    tb_table_print(table, stdout);
    return true;
}

/* A log besides the task's own; `none` says what it means that it is not there. */
static bool print_other(TbTask *task, const char *path, const char *none, GError **error)
{
    tb_autofd fd = openat(task->dirfd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT)
        return tb_error_set_errno(error, errno, "cannot open the log of task '%s'", task->id);
    if (fd < 0) {
        tb_info("task %s %s", task->id, none);
        return true;
    }
    tb_pager_start();
    g_autoptr(TbScreen) screen = tb_screen_new(STDOUT_FILENO);
    return copy_rest(fd, screen, error);
}

bool tb_cli_logs(TbCli *cli, int *status, GError **error)
{
    const char *name = tb_arguments_sole(cli->arguments, "a task", error);
    g_autoptr(TbTask) task = name ? tb_task_open(cli->store, name, error) : NULL;
    if (task && tb_arguments_flag(cli->arguments, "net"))
        return print_network(task, error);
    if (task && tb_arguments_flag(cli->arguments, "verify"))
        return print_other(task, TB_TASK_TRIAL "/" TB_TASK_LOG,
                           "has a patch that no command has tried", error);
    if (task && tb_arguments_flag(cli->arguments, "raw"))
        return print_other(task, TB_TASK_STREAM, "has no output but what 'taskbox logs' prints",
                           error);
    return task && tb_cli_print_log(task, tb_arguments_flag(cli->arguments, "follow"), UINT64_MAX,
                                    status, error);
}
