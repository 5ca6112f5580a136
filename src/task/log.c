/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A task's log: the command's output as it came, so hostile bytes, never shown unescaped. A
 * command that prints for ever fills no disk: over the cap one marker line ends the file.
 */
#include "task/store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/hole.h"
#include "util/units.h"

struct TbTaskLog {
    int fd;
    uint64_t size, cap;
    bool full; /* the marker is written */
};

TbTaskLog *tb_task_log_open(TbTask *task, const char *name, uint64_t cap, GError **error)
{
    g_autofree char *id = g_strdup(task->id);
    tb_autofd fd =
        openat(task->dirfd, name, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        tb_error_set_errno(error, errno, "cannot open the log of task '%s'", id);
        return NULL;
    }
    TbTaskLog *log = g_new(TbTaskLog, 1);
    *log = (TbTaskLog){
        .fd = tb_steal_fd(&fd), .size = (uint64_t)st.st_size, .cap = cap ? cap : TB_TASK_LOG_CAP};
    log->full = log->size > log->cap;
    return log;
}

static bool write_marker(TbTaskLog *log, GError **error)
{
    g_autofree char *size = tb_size_format(log->cap);
    g_autofree char *line =
        g_strdup_printf("\n[taskbox: the log ends at %s, more output is not kept]\n", size);
    return tb_write_all(log->fd, line, strlen(line), "the task's log", error);
}

bool tb_task_log_append(TbTaskLog *log, const void *data, size_t length, GError **error)
{
    if (log->full)
        return true;
    uint64_t cap = tb_hole("log-cap") ? UINT64_MAX : log->cap;
    size_t room = (size_t)MIN(cap - log->size, (uint64_t)length);
    if (!tb_write_all(log->fd, data, room, "the task's log", error))
        return false;
    log->size += room;
    if (room == length)
        return true;
    log->full = true;
    return write_marker(log, error);
}

bool tb_task_log_is_full(const TbTaskLog *log)
{
    return log->full;
}

bool tb_task_log_finish(TbTaskLog *log, GError **error)
{
    if (fsync(log->fd) < 0)
        return tb_error_set_errno(error, errno, "cannot write the task's log to disk");
    return true;
}

void tb_task_log_free(TbTaskLog *log)
{
    if (!log)
        return;
    tb_clear_fd(&log->fd);
    g_free(log);
}
