/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A series as an mbox, a mail a commit, for `git am`. Each is made and proved as the patch is: its
 * diff is git's between two trees, and as it lies on the disk it turns the one into the other. So
 * all of them in a row turn the base tree into the result tree.
 */
#include "patch/series.h"

#include <string.h>
#include <unistd.h>

#include "patch/mail.h"
#include "patch/sink.h"
#include "util/error.h"

#define MAIL_INDEX "taskbox-mail-index"

/* Where the diff part of a mail is. */
typedef struct {
    uint64_t offset, length;
} Part;

static bool write_mail(TbGit *git, const TbSeriesMail *mail, unsigned number, unsigned count,
                       Sink *sink, Part *part, GError **error)
{
    g_autofree char *head = mail_series_head(mail, number, count);
    if (!sink_text(sink, head, error) || !sink_text(sink, mail->note ? mail->note : "", error))
        return false;
    part->offset = sink->written;
    if (!sink_diff(sink, git, mail->from_tree, mail->to_tree, error))
        return false;
    part->length = sink->written - part->offset;
    return sink_text(sink, SINK_END, error);
}

static bool prove(TbGit *git, const TbSeriesMail *mail, const char *index, const Part *part, int fd,
                  GError **error)
{
    const TbPatchInfo info = {.base_tree = (char *)(uintptr_t)mail->from_tree,
                              .result_tree = (char *)(uintptr_t)mail->to_tree,
                              .offset = part->offset,
                              .length = part->length};
    return tb_git_read_tree(git, mail->from_tree, index, error) &&
           tb_patch_prove(git, index, &info, fd, error);
}

static bool changes_something(const TbSeriesMail *mail)
{
    return strcmp(mail->from_tree, mail->to_tree) != 0;
}

bool tb_series_mails_write(TbGit *git, const TbSeriesMail *mails, size_t count,
                           const TbPatchLimits *limits, int fd, GError **error)
{
    Sink sink = {.fd = fd, .limit = limits ? limits->max_patch : tb_patch_limits_default.max_patch};
    g_autofree Part *parts = g_new0(Part, MAX(count, 1));
    g_autofree char *index = g_build_filename(tb_git_path(git), MAIL_INDEX, NULL);
    unsigned all = 0, number = 0;
    bool done = true;
    for (size_t i = 0; i < count; i++)
        all += changes_something(&mails[i]);
    for (size_t i = 0; i < count && done; i++)
        if (changes_something(&mails[i]))
            done = write_mail(git, &mails[i], ++number, all, &sink, &parts[i], error);
    for (size_t i = 0; i < count && done; i++)
        if (changes_something(&mails[i]))
            done = prove(git, &mails[i], index, &parts[i], fd, error);
    (void)unlink(index);
    return done;
}
