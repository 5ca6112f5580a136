/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The patch file. It is streamed to a temporary file, read back and proved there (verify.c), and
 * only then takes its name: a patch that exists has been shown to turn the base tree into the
 * result tree. The limit on its
 * size fails the whole; a patch is never cut.
 *
 * diff-tree runs in a directory without a work tree, so no .gitattributes has a say in what is
 * text and what is binary, and every option that configuration could set is given.
 *
 * git am takes carriage returns off line ends unless --keep-cr is given; git apply does not.
 */
#include "patch/patch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "patch/files.h"
#include "patch/mail.h"
#include "patch/sink.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/units.h"

bool sink_write(const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Sink *sink = user_data;
    if (length > sink->limit - sink->written) {
        g_autofree char *limit = tb_size_format(sink->limit);
        return tb_error_set(error, TB_ERROR_LIMIT, "cannot write the patch: larger than %s", limit);
    }
    sink->written += length;
    if (sink->sum)
        g_checksum_update(sink->sum, data, (gssize)length);
    return tb_write_all(sink->fd, data, length, "the patch", error);
}

bool sink_text(Sink *sink, const char *text, GError **error)
{
    return sink_write((const uint8_t *)text, strlen(text), sink, error);
}

bool sink_diff(Sink *sink, TbGit *git, const char *from_tree, const char *to_tree, GError **error)
{
    g_autoptr(TbCommand) command = tb_git_command(git, "diff-tree", NULL, NULL);
    tb_command_add(command, "-r", "-p", "--patch-with-stat", "--summary", "--binary",
                   "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color",
                   "--no-relative", "--no-indent-heuristic", "--diff-algorithm=myers", "-U3",
                   "--inter-hunk-context=0", "--ignore-submodules=none", "--submodule=short",
                   "-O/dev/null", "--src-prefix=a/", "--dst-prefix=b/", from_tree, to_tree, "--",
                   NULL);
    tb_command_set_stdout_fn(command, sink_write, sink);
    tb_command_set_stdout_limit(command, SIZE_MAX);
    return tb_command_run(command, NULL, error);
}

/* The hash goes to the head once the diff is written. */
static bool write_patch(TbGit *git, const TbPatchHeader *header, bool empty, Sink *sink,
                        GError **error)
{
    size_t hash_at = 0;
    g_autofree char *head = mail_head(header, &hash_at);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    if (!sink_text(sink, head, error))
        return false;
    sink->sum = sum;
    bool done = empty || sink_diff(sink, git, header->base_tree, header->result_tree, error);
    sink->sum = NULL;
    if (!done || !sink_text(sink, SINK_END, error))
        return false;
    const char *digits = g_checksum_get_string(sum);
    if (pwrite(sink->fd, digits, MAIL_HASH_DIGITS, (off_t)hash_at) != MAIL_HASH_DIGITS)
        return tb_error_set_errno(error, errno, "cannot write the patch");
    return true;
}

/* Read back from the disk: it says what it should, and is what it says. */
static bool prove(TbGit *git, const TbPatchHeader *header, const GPtrArray *files, int fd,
                  GError **error)
{
    g_autoptr(TbPatchInfo) info =
        tb_patch_info_read(fd, &(TbPatchLimits){.max_patch = UINT64_MAX}, error);
    if (!info)
        return false;
    if (strcmp(info->base_tree, header->base_tree) != 0 ||
        strcmp(info->result_tree, header->result_tree) != 0)
        return tb_error_set(error, TB_ERROR_VERIFY, "the patch names other trees than the task's");
    return tb_patch_prove_files(git, info, fd, files, error);
}

static void add_up(const GPtrArray *files, TbPatchStat *stat)
{
    *stat = (TbPatchStat){.files = files->len};
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        if (file->added < 0) {
            stat->binary++;
            continue;
        }
        stat->added += (uint64_t)file->added;
        stat->removed += (uint64_t)file->removed;
    }
}

static bool publish(int fd, int dirfd, const char *temporary, const char *name, GError **error)
{
    if (fsync(fd) != 0)
        return tb_error_set_errno(error, errno, "cannot store the patch");
    if (renameat(dirfd, temporary, dirfd, name) != 0)
        return tb_error_set_errno(error, errno, "cannot rename the patch to '%s'", name);
    if (fsync(dirfd) != 0)
        return tb_error_set_errno(error, errno, "cannot store the patch's name");
    return true;
}

bool tb_patch_write(TbGit *git, const TbPatchHeader *header, const TbPatchLimits *limits, int dirfd,
                    const char *name, TbPatchStat *stat, GError **error)
{
    g_autoptr(GPtrArray) files = tb_patch_files(git, header->base_tree, header->result_tree, error);
    if (!files)
        return false;
    TbPatchStat sums;
    add_up(files, &sums);
    g_autofree char *temporary = g_strdup_printf(".%s.tmp-%d", name, (int)getpid());
    if (unlinkat(dirfd, temporary, 0) != 0 && errno != ENOENT)
        return tb_error_set_errno(error, errno, "cannot remove '%s'", temporary);
    tb_autofd fd =
        openat(dirfd, temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return tb_error_set_errno(error, errno, "cannot create '%s'", temporary);
    Sink sink = {.fd = fd, .limit = limits ? limits->max_patch : tb_patch_limits_default.max_patch};
    bool done = write_patch(git, header, files->len == 0, &sink, error) &&
                prove(git, header, files, fd, error) && publish(fd, dirfd, temporary, name, error);
    if (!done) {
        unlinkat(dirfd, temporary, 0);
        return false;
    }
    sums.bytes = sink.written;
    if (stat)
        *stat = sums;
    return true;
}
