/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The steps of a task's series as commits are made of them: who wrote what, and all of them as
 * mails. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "patch/commit.h"
#include "review/words.h"
#include "task/commits.h"
#include "task/repository.h"
#include "task/write-project.h"
#include "util/auto.h"
#include "util/error.h"

#define AUTHOR       "AI Agent <agent@internal.sandbox>"
#define REST_SUBJECT "What was not committed"

char *tb_task_subject(const TbTask *task)
{
    if (task->prompt || !task->command)
        return g_strdup(task->prompt);
    return g_strjoinv(" ", task->command);
}

TbPatchHeader tb_task_patch_header(const TbTask *task, const char *subject, const char *result_tree,
                                   int64_t seconds)
{
    return (TbPatchHeader){.subject = subject,
                           .task_id = task->id,
                           .image_digest = task->image_digest,
                           .base_tree = task->base_tree,
                           .result_tree = result_tree,
                           .author = AUTHOR,
                           .time = seconds};
}

void tb_task_words(const TbTask *task, const TbSeriesStep *step, const char *target, char **author,
                   char **message)
{
    if (step && step->commit) {
        *author = tb_clean_author(step->author, step->encoding);
        *message = tb_clean_message(step->message, step->encoding);
        return;
    }
    int64_t seconds = (task->ended ? task->ended : task->created) / 1000;
    g_autofree char *subject = step ? g_strdup(REST_SUBJECT) : tb_task_subject(task);
    TbPatchHeader header = tb_task_patch_header(task, subject, target, seconds);
    *author = g_strdup_printf(AUTHOR " %" G_GINT64_FORMAT " +0000", seconds);
    *message = tb_patch_message(&header);
}

static void mail_clear(void *data)
{
    TbSeriesMail *mail = data;
    g_free((char *)(uintptr_t)mail->author);
    g_free((char *)(uintptr_t)mail->message);
    g_free((char *)(uintptr_t)mail->note);
}

static GArray *mails_of(const TbTask *task, const GPtrArray *series)
{
    GArray *mails = g_array_new(FALSE, FALSE, sizeof(TbSeriesMail));
    g_array_set_clear_func(mails, mail_clear);
    const char *from = task->base_tree;
    for (guint i = 0; i < series->len; i++) {
        const TbSeriesStep *step = series->pdata[i];
        char *author = NULL, *message = NULL;
        tb_task_words(task, step, task->result_tree, &author, &message);
        TbSeriesMail mail = {.from_tree = from,
                             .to_tree = step->tree,
                             .author = author,
                             .message = message,
                             .note = g_strdup_printf("Taskbox-Task: %s\nTaskbox-Commit: %s\n"
                                                     "Taskbox-Tree: %s\n",
                                                     task->id, step->commit ? step->commit : "none",
                                                     step->tree)};
        g_array_append_val(mails, mail);
        from = step->tree;
    }
    return mails;
}

/* A file without a name in the task's directory. */
static int scratch_file(const TbTask *task, GError **error)
{
    g_autofree char *name = g_strdup_printf(".series.tmp-%d", (int)getpid());
    tb_autofd fd =
        openat(task->dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || unlinkat(task->dirfd, name, 0) != 0) {
        tb_error_set_errno(error, errno, "cannot create '%s'", name);
        return -1;
    }
    return tb_steal_fd(&fd);
}

int tb_task_series_mails(const TbTask *task, GError **error)
{
    g_autoptr(TbGit) git = tb_task_objects(task, error);
    g_autoptr(GPtrArray) series = git ? tb_task_series(task, error) : NULL;
    if (!series)
        return -1;
    if (series->len == 0) {
        tb_error_set(error, TB_ERROR_NOT_FOUND,
                     "no commits came along with task '%s' ('taskbox patch %s' prints the whole)",
                     task->id, task->id);
        return -1;
    }
    g_autoptr(GArray) mails = mails_of(task, series);
    tb_autofd fd = scratch_file(task, error);
    if (fd < 0 || !tb_series_mails_write(git, (const TbSeriesMail *)(const void *)mails->data,
                                         mails->len, NULL, fd, error))
        return -1;
    if (lseek(fd, 0, SEEK_SET) != 0) {
        tb_error_set_errno(error, errno, "cannot read the series");
        return -1;
    }
    return tb_steal_fd(&fd);
}
