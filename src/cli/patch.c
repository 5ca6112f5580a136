/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox patch and taskbox patch verify */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/output.h"
#include "task/commits.h"
#include "task/verify.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"

static bool cannot(const char *what, const char *path, GError **error)
{
    int err = errno;
    g_autofree char *name = tb_escape_name(path);
    return tb_error_set_errno(error, err, "cannot %s '%s'", what, name);
}

static bool write_file(int from, const char *path, GError **error)
{
    tb_autofd to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
    if (to < 0)
        return cannot("create", path, error);
    if (!tb_copy_file(from, to, path, error))
        return false;
    int fd = tb_steal_fd(&to);
    return close(fd) == 0 || cannot("write", path, error);
}

bool tb_cli_patch(TbCli *cli, int *status, GError **error)
{
    const char *name = tb_arguments_sole(cli->arguments, "a task", error);
    g_autoptr(TbTask) task = name ? tb_task_open(cli->store, name, error) : NULL;
    if (!task)
        return false;
    bool series = tb_arguments_flag(cli->arguments, "series");
    tb_autofd fd = series ? tb_task_series_mails(task, error) : tb_open_patch(task, error);
    if (fd < 0)
        return false;
    const char *path = tb_arguments_value(cli->arguments, "output");
    if (path && strcmp(path, "-") != 0)
        return write_file(fd, path, error);
    TbStyle style = tb_style_of(STDOUT_FILENO);
    g_autoptr(TbScreen) screen = tb_screen_new(STDOUT_FILENO);
    g_autoptr(TbPatchView) view = tb_patch_view_new(screen, &style);
    return tb_print_patch(fd, view, error);
}

bool tb_cli_patch_verify(TbCli *cli, int *status, GError **error)
{
    const char *path = tb_arguments_sole(cli->arguments, "a patch file", error);
    if (!path)
        return false;
    tb_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return cannot("open", path, error);
    const char *dir = tb_arguments_value(cli->arguments, "directory");
    bool from_files = false;
    g_autoptr(TbPatchInfo) info = tb_verify_patch(fd, dir ? dir : ".", &from_files, error);
    return info && tb_print_format(error,
                                   "verified: on base tree %s%s the patch gives result tree %s\n"
                                   "it says it is of task %s, image %s\n",
                                   info->base_tree, from_files ? " (the files as they are)" : "",
                                   info->result_tree, info->task_id,
                                   info->image_digest ? info->image_digest : "unknown");
}
