/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox cp: a file or directory out of a box that runs, or of what a task has left. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "run/control.h"
#include "task/copy-out.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/log.h"
#include "util/units.h"

#define GUEST_PROGRAM "/usr/lib/taskbox/taskbox-guest"
#define MOST          (UINT64_C(8) << 30)

typedef struct {
    TbCopyOut *copy;
    GString *said; /* on stderr, the beginning */
} Sink;

static bool on_output(int fd, const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Sink *sink = user_data;
    if (fd == STDOUT_FILENO)
        return tb_copy_out_take(sink->copy, data, length, error);
    g_string_append_len(sink->said, (const char *)data,
                        (gssize)MIN(length, 1000 - sink->said->len));
    return true;
}

/* The directory that the copy goes to, and its name there (g_free). */
static int open_place(const char *dest, const char *path, char **name, GError **error)
{
    struct stat st;
    bool into = stat(dest, &st) == 0 && S_ISDIR(st.st_mode);
    *name = g_path_get_basename(into ? path : dest);
    g_autofree char *dir = into ? g_strdup(dest) : g_path_get_dirname(dest);
    if (strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0 || strchr(*name, '/')) {
        tb_error_set(error, TB_ERROR_USAGE, "'%s' has no name of its own (say what DEST is to be)",
                     into ? path : dest);
        return -1;
    }
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        tb_error_set_errno(error, errno, "cannot open directory '%s'", dir);
    return fd;
}

static bool receive(TbSession *session, const char *path, Sink *sink, GError **error)
{
    const char *argv[] = {GUEST_PROGRAM, "copy", path, NULL};
    const TbExec what = {.argv = argv, .cwd = "", .stdin_fd = -1};
    const TbExecHandlers handlers = {.output = on_output, .data = sink};
    TbExecResult result;
    if (!tb_session_exec(session, &what, &handlers, 0, &result, error))
        return false;
    g_autofree char *said =
        tb_escape_terminal(g_strchomp(sink->said->str), strlen(sink->said->str), false);
    return result.code <= 1 ||
           tb_error_set(error, TB_ERROR_GUEST, "guest: the copy ended with code %d%s%s",
                        result.code, *said ? ": " : "", said);
}

/* What has been copied is said, and what has not. */
static void report(const TbCopyOut *copy)
{
    uint64_t files, bytes;
    const GPtrArray *notes = tb_copy_out_notes(copy);
    tb_copy_out_size(copy, &files, &bytes);
    for (guint i = 0; i < notes->len; i++)
        tb_info("note: %s", (const char *)notes->pdata[i]);
    g_autofree char *size = tb_size_format(bytes);
    tb_info("copied %" G_GUINT64_FORMAT " file%s, %s", files, files == 1 ? "" : "s", size);
}

static bool copy_out(TbTask *task, const char *path, int dirfd, const char *name, bool force,
                     uint64_t max, GError **error)
{
    bool ended = !tb_task_is_alive(task) && task->result_tree;
    g_autoptr(TbSession) session = ended ? NULL : tb_control_connect(task, error);
    g_autoptr(TbCopyOut) copy =
        session || ended ? tb_copy_out_new(dirfd, name, force, max, error) : NULL;
    g_autoptr(GString) said = g_string_new(NULL);
    Sink sink = {.copy = copy, .said = said};
    if (!copy || !(ended ? tb_copy_out_ended(copy, task, path, error)
                         : receive(session, path, &sink, error)))
        return false;
    if (!tb_copy_out_finish(copy, error))
        return false;
    report(copy);
    return true;
}

bool tb_cli_cp(TbCli *cli, int *status, GError **error)
{
    const char *const *words = tb_arguments_words(cli->arguments);
    const char *colon = words[0] ? strchr(words[0], ':') : NULL;
    const char *text = tb_arguments_value(cli->arguments, "max");
    uint64_t max = MOST;
    if (!colon || colon[1] == '\0' || !words[1] || words[2])
        return tb_error_set(error, TB_ERROR_USAGE, "cp takes TASK:PATH and DEST");
    if (text && !tb_size_parse(text, &max, error)) {
        g_prefix_error(error, "--max: ");
        return false;
    }
    g_autofree char *id = g_strndup(words[0], (size_t)(colon - words[0]));
    g_autofree char *name = NULL;
    tb_autofd dirfd = open_place(words[1], colon + 1, &name, error);
    g_autoptr(TbTask) task = dirfd >= 0 ? tb_task_open(cli->store, id, error) : NULL;
    return task && copy_out(task, colon + 1, dirfd, name,
                            tb_arguments_flag(cli->arguments, "force"), max, error);
}
