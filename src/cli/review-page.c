/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox review --html: the page is written beside its place and renamed, so that it is whole. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/review-page.h"
#include "cli/show.h"
#include "review/page.h"
#include "task/findings.h"
#include "task/finish.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"

#define LOG_TAIL 65536

static bool read_tail(const TbTask *task, char *buffer, size_t *length, uint64_t *left_out,
                      GError **error)
{
    tb_autofd fd = openat(task->dirfd, "log", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    *length = 0;
    *left_out = 0;
    if (fd < 0 && errno == ENOENT)
        return true;
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return tb_error_set_errno(error, errno, "cannot open the log of task '%s'", task->id);
    *left_out = st.st_size > LOG_TAIL ? (uint64_t)(st.st_size - LOG_TAIL) : 0;
    ssize_t got = pread(fd, buffer, LOG_TAIL, (off_t)*left_out);
    if (got < 0)
        return tb_error_set_errno(error, errno, "cannot read the log of task '%s'", task->id);
    *length = (size_t)got;
    return true;
}

static bool write_page(const char *path, const GString *page, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    tb_autofd fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return tb_error_set_errno(error, errno, "cannot open '%s'", dir);
    return tb_write_atomic(fd, name, page->str, page->len, 0600, error);
}

bool tb_review_page(const TbTask *task, const char *path, GError **error)
{
    g_autoptr(TbFindings) findings = tb_task_findings(task, error);
    g_autoptr(TbGit) git = findings ? tb_task_objects(task, error) : NULL;
    g_autofree char *tail = g_malloc(LOG_TAIL);
    size_t length = 0;
    uint64_t left_out = 0;
    if (!git || !read_tail(task, tail, &length, &left_out, error))
        return false;
    g_autofree char *command = task->command ? g_strjoinv(" ", task->command) : NULL;
    g_autoptr(GString) outcome = g_string_new(NULL);
    g_autoptr(GString) made = g_string_new(NULL);
    tb_show_outcome(outcome, task);
    tb_show_made(made, task);
    tb_show_places(made, task);
    TbPageContent content = {.title = task->id,
                             .prompt = task->prompt ? task->prompt : command,
                             .outcome = outcome->str,
                             .findings = findings,
                             .git = git,
                             .base_tree = task->base_tree,
                             .result_tree = task->result_tree,
                             .notes = task->notes,
                             .log = tail,
                             .log_length = length,
                             .log_left_out = left_out,
                             .made = made->str};
    g_autoptr(GString) page = tb_page_new(&content, error);
    return page && write_page(path, page, error);
}
