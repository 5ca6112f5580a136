/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox diff. The patch file is the truth; --stat and --name-only come from the two trees. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/output.h"
#include "task/finish.h"
#include "util/auto.h"
#include "util/error.h"

#define CHUNK 65536

static bool put(TbScreen *screen, const char *text, GError **error)
{
    return tb_screen_write(screen, text, strlen(text), error);
}

bool tb_print_patch(const TbTask *task, TbScreen *screen, GError **error)
{
    if (!task->has_patch)
        return tb_error_set(error, TB_ERROR_NOT_FOUND,
                            "task '%s' has no patch: it is %s (see 'taskbox show %s')", task->id,
                            tb_task_state_name(task->state), task->id);
    tb_autofd fd = openat(task->dirfd, "patch", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return tb_error_set_errno(error, errno, "cannot open the patch of task '%s'", task->id);
    g_autofree char *buffer = g_malloc(CHUNK);
    for (;;) {
        ssize_t got = read(fd, buffer, CHUNK);
        if (got < 0 && errno != EINTR)
            return tb_error_set_errno(error, errno, "cannot read the patch of task '%s'", task->id);
        if (got == 0)
            return true;
        if (got > 0 && !tb_screen_write(screen, buffer, (size_t)got, error))
            return false;
    }
}

static bool print_names(const GPtrArray *files, TbScreen *screen, GError **error)
{
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        if (!put(screen, file->path, error) || !put(screen, "\n", error))
            return false;
    }
    return true;
}

static const char *kind_of(const TbPatchFile *file)
{
    if (!file->old_mode)
        return "A";
    if (!file->new_mode)
        return "D";
    return "M";
}

static bool print_stat(const TbTask *task, const GPtrArray *files, TbScreen *screen, GError **error)
{
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        g_autofree char *lines = file->added < 0
                                     ? g_strdup("binary")
                                     : g_strdup_printf("+%" G_GINT64_FORMAT " -%" G_GINT64_FORMAT,
                                                       file->added, file->removed);
        g_autofree char *line = g_strdup_printf("%s %-12s ", kind_of(file), lines);
        if (!put(screen, line, error) || !put(screen, file->path, error) ||
            !put(screen, "\n", error))
            return false;
    }
    g_autofree char *sum = tb_stat_format(&task->stat);
    return put(screen, sum, error) && put(screen, "\n", error);
}

bool tb_cli_diff(TbCli *cli, int *status, GError **error)
{
    bool stat = tb_arguments_flag(cli->arguments, "stat");
    bool names = tb_arguments_flag(cli->arguments, "name-only");
    if (stat && names)
        return tb_error_set(error, TB_ERROR_USAGE, "--stat and --name-only do not go together");
    const char *name = tb_arguments_sole(cli->arguments, "a task", error);
    g_autoptr(TbTask) task = name ? tb_task_open(cli->store, name, error) : NULL;
    if (!task)
        return false;
    g_autoptr(TbScreen) screen = tb_screen_new(STDOUT_FILENO);
    if (!stat && !names)
        return tb_print_patch(task, screen, error);
    g_autoptr(GPtrArray) files = tb_task_files(task, error);
    return files &&
           (names ? print_names(files, screen, error) : print_stat(task, files, screen, error));
}
