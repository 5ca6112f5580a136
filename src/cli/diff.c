/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox diff. The patch file is the truth; --stat and --name-only come from the two trees. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/log.h"
#include "cli/output.h"
#include "cli/pager.h"
#include "task/finish.h"
#include "util/auto.h"
#include "util/error.h"

#define CHUNK 65536

static bool put(TbScreen *screen, const char *text, GError **error)
{
    return tb_screen_write(screen, text, strlen(text), error);
}

int tb_open_patch(const TbTask *task, GError **error)
{
    if (!task->has_patch) {
        tb_error_set(error, TB_ERROR_NOT_FOUND,
                     "task '%s' has no patch: it is %s (see 'taskbox show %s')", task->id,
                     tb_task_state_name(task->state), task->id);
        return -1;
    }
    int fd = openat(task->dirfd, "patch", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        tb_error_set_errno(error, errno, "cannot open the patch of task '%s'", task->id);
    return fd;
}

bool tb_print_patch(int fd, TbPatchView *view, GError **error)
{
    g_autofree char *buffer = g_malloc(CHUNK);
    for (;;) {
        ssize_t got = read(fd, buffer, CHUNK);
        if (got < 0 && errno != EINTR)
            return tb_error_set_errno(error, errno, "cannot read the patch");
        if (got == 0)
            return true;
        if (got > 0 && !tb_patch_view_write(view, buffer, (size_t)got, error))
            return false;
    }
}

static bool print_whole(const TbTask *task, TbPatchView *view, GError **error)
{
    tb_autofd fd = tb_open_patch(task, error);
    return fd >= 0 && tb_print_patch(fd, view, error);
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

static bool print_stat(const GPtrArray *files, TbScreen *screen, GError **error)
{
    TbPatchStat total = {.files = files->len};
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        total.added += (uint64_t)MAX(file->added, 0);
        total.removed += (uint64_t)MAX(file->removed, 0);
        g_autofree char *lines = file->added < 0
                                     ? g_strdup("binary")
                                     : g_strdup_printf("+%" G_GINT64_FORMAT " -%" G_GINT64_FORMAT,
                                                       file->added, file->removed);
        g_autofree char *line = g_strdup_printf("%s %-12s ", tb_file_kind(file), lines);
        if (!put(screen, line, error) || !put(screen, file->path, error) ||
            !put(screen, "\n", error))
            return false;
    }
    g_autofree char *sum = tb_stat_format(&total);
    return put(screen, sum, error) && put(screen, "\n", error);
}

/* The files that `paths` name; each path must name one at least. */
static GPtrArray *files_in(const TbTask *task, const char *const *paths, GError **error)
{
    g_autoptr(GPtrArray) files = tb_task_files(task, error);
    if (!files)
        return NULL;
    for (const char *const *path = paths; *path; path++) {
        const char *const one[] = {*path, NULL};
        bool any = false;
        for (guint i = 0; i < files->len && !any; i++)
            any = tb_patch_path_in(((TbPatchFile *)files->pdata[i])->path, one);
        if (!any) {
            tb_error_set(error, TB_ERROR_NOT_FOUND,
                         "'%s' names no file of the patch (see 'taskbox diff %s --name-only')",
                         *path, task->id);
            return NULL;
        }
    }
    for (guint i = files->len; i-- > 0;)
        if (!tb_patch_path_in(((TbPatchFile *)files->pdata[i])->path, paths))
            g_ptr_array_remove_index(files, i);
    return g_steal_pointer(&files);
}

static bool on_diff(const uint8_t *data, size_t length, void *user_data, GError **error)
{
    return tb_patch_view_write(user_data, data, length, error);
}

static bool print_part(const TbTask *task, const GPtrArray *files, TbPatchView *view,
                       GError **error)
{
    g_autoptr(TbGit) git = tb_task_objects(task, error);
    return git &&
           tb_patch_diff(git, task->base_tree, task->result_tree, files, on_diff, view, error);
}

bool tb_cli_diff(TbCli *cli, int *status, GError **error)
{
    bool stat = tb_arguments_flag(cli->arguments, "stat");
    bool names = tb_arguments_flag(cli->arguments, "name-only");
    bool log = tb_arguments_flag(cli->arguments, "log");
    bool patch = tb_arguments_flag(cli->arguments, "patch");
    if (stat + names + log > 1)
        return tb_error_set(error, TB_ERROR_USAGE,
                            "--stat, --name-only and --log do not go together");
    const char *const *words = tb_arguments_words(cli->arguments);
    if (patch && !log)
        return tb_error_set(error, TB_ERROR_USAGE, "--patch is for --log");
    if (log && words[0] && words[1])
        return tb_error_set(error, TB_ERROR_USAGE, "--log takes no paths");
    if (!words[0])
        return tb_error_set(error, TB_ERROR_USAGE, "a task is missing");
    g_autoptr(TbTask) task = tb_task_open(cli->store, words[0], error);
    if (!task)
        return false;
    tb_pager_start();
    if (log)
        return tb_print_log(task, patch, error);
    TbStyle style = tb_style_of(STDOUT_FILENO);
    g_autoptr(TbScreen) screen = tb_screen_new(STDOUT_FILENO);
    g_autoptr(TbPatchView) view = tb_patch_view_new(screen, &style);
    const char *const *paths = words + 1;
    if (!stat && !names && !paths[0])
        return print_whole(task, view, error);
    g_autoptr(GPtrArray) files = files_in(task, paths, error);
    if (!files)
        return false;
    return names  ? print_names(files, screen, error)
           : stat ? print_stat(files, screen, error)
                  : print_part(task, files, view, error);
}
