/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The proof. A patch is what it says when three things hold: its head and end are as we write them
 * and the hash in the head is that of the bytes between; those bytes, applied to the base tree in a
 * private index without a work tree, give the result tree; and every path that differs may be one.
 *
 * The file is read again each time, in pieces: what is hashed and what git gets are the bytes on
 * the disk, not those somebody meant to write. It may be hostile: git gets it in its jail, with
 * limits, and never a work tree to write to.
 */
#include "patch/patch.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "patch/base.h"
#include "patch/files.h"
#include "patch/parse.h"
#include "patch/path.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/units.h"

#define PROOF_INDEX "taskbox-proof-index"
#define CHUNK       ((size_t)64 * 1024)

static bool altered(GError **error, const char *reason)
{
    return tb_error_set(error, TB_ERROR_VERIFY, "the patch is not what taskbox wrote: %s", reason);
}

/* All of `size` bytes at `offset`. */
static bool read_at(int fd, uint8_t *buffer, size_t size, uint64_t offset, GError **error)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(fd, buffer + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return tb_error_set_errno(error, errno, "cannot read the patch");
        if (got == 0)
            return altered(error, "it became shorter while it was read");
        done += (size_t)got;
    }
    return true;
}

static char *copy_span(TbPatchSpan span)
{
    return span.text ? g_strndup((const char *)span.text, span.length) : NULL;
}

static bool read_head(int fd, uint64_t size, TbPatchInfo *info, GError **error)
{
    size_t wanted = (size_t)MIN(size, TB_PATCH_HEAD_LIMIT);
    g_autofree uint8_t *text = g_malloc(wanted + 1);
    TbPatchHead head;
    if (!read_at(fd, text, wanted, 0, error))
        return false;
    TbPatchVerdict verdict = tb_patch_parse_head(text, wanted, &head);
    if (verdict != TB_PATCH_FINE)
        return altered(error, tb_patch_reason(verdict));
    info->task_id = copy_span(head.task);
    info->image_digest = copy_span(head.image);
    info->base_tree = copy_span(head.base);
    info->result_tree = copy_span(head.result);
    info->sha256 = copy_span(head.sha256);
    info->offset = head.length;
    return true;
}

static bool read_tail(int fd, uint64_t size, TbPatchInfo *info, GError **error)
{
    uint8_t text[TB_PATCH_TAIL_LIMIT];
    size_t wanted = (size_t)MIN(size - info->offset, sizeof text), length = 0;
    if (!read_at(fd, text, wanted, size - wanted, error))
        return false;
    TbPatchVerdict verdict = tb_patch_parse_tail(text, wanted, &length);
    if (verdict != TB_PATCH_FINE)
        return altered(error, tb_patch_reason(verdict));
    info->length = size - info->offset - length;
    return true;
}

static bool check_hash(int fd, const TbPatchInfo *info, GError **error)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree uint8_t *buffer = g_malloc(CHUNK);
    for (uint64_t done = 0; done < info->length;) {
        size_t piece = (size_t)MIN(info->length - done, CHUNK);
        if (!read_at(fd, buffer, piece, info->offset + done, error))
            return false;
        g_checksum_update(sum, buffer, (gssize)piece);
        done += piece;
    }
    return strcmp(g_checksum_get_string(sum), info->sha256) == 0 ||
           altered(error, "the SHA-256 of its diff is another than its trailer says");
}

TbPatchInfo *tb_patch_info_read(int fd, const TbPatchLimits *limits, GError **error)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        tb_error_set_errno(error, errno, "cannot read the patch");
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        tb_error_set(error, TB_ERROR_USAGE, "cannot verify a patch that is no regular file");
        return NULL;
    }
    uint64_t size = (uint64_t)st.st_size;
    uint64_t limit = limits ? limits->max_patch : tb_patch_limits_default.max_patch;
    if (size > limit) {
        g_autofree char *text = tb_size_format(limit);
        tb_error_set(error, TB_ERROR_LIMIT, "cannot read the patch: larger than %s", text);
        return NULL;
    }
    g_autoptr(TbPatchInfo) info = g_new0(TbPatchInfo, 1);
    if (!read_head(fd, size, info, error) || !read_tail(fd, size, info, error) ||
        !check_hash(fd, info, error))
        return NULL;
    return g_steal_pointer(&info);
}

void tb_patch_info_free(TbPatchInfo *info)
{
    if (!info)
        return;
    g_free(info->task_id);
    g_free(info->image_digest);
    g_free(info->base_tree);
    g_free(info->result_tree);
    g_free(info->sha256);
    g_free(info);
}

typedef struct {
    int fd;
    uint64_t at, end;
} Part;

static bool part_read(uint8_t *buffer, size_t size, size_t *length, void *user_data, GError **error)
{
    Part *part = user_data;
    *length = (size_t)MIN(part->end - part->at, size);
    if (!read_at(part->fd, buffer, *length, part->at, error))
        return false;
    part->at += *length;
    return true;
}

/* The diff part onto the private index; an empty one changes nothing. */
static bool apply_part(TbGit *git, const char *index, const TbPatchInfo *info, int fd,
                       GError **error)
{
    if (info->length == 0)
        return true;
    Part part = {.fd = fd, .at = info->offset, .end = info->offset + info->length};
    g_autoptr(TbCommand) apply = tb_git_command(git, "apply", NULL, index);
    tb_command_add(apply, "--cached", "--binary", "--whitespace=nowarn", "-", NULL);
    tb_command_set_stdin_fn(apply, part_read, &part);
    g_autoptr(GError) why = NULL;
    if (tb_command_run(apply, NULL, &why))
        return true;
    TbErrorCode code = tb_error_code(why);
    if (code == TB_ERROR_INTERRUPTED || code == TB_ERROR_VERIFY || code == TB_ERROR_DEPENDENCY) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    return tb_error_set(error, TB_ERROR_VERIFY, "the patch does not apply to its base: %s",
                        why->message);
}

static bool check_paths(TbGit *git, const TbPatchInfo *info, const GPtrArray *files, GError **error)
{
    g_autoptr(GPtrArray) own =
        files ? NULL : tb_patch_raw(git, info->base_tree, info->result_tree, error);
    if (!files)
        files = own;
    for (guint i = 0; files && i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        TbPathVerdict verdict = tb_path_check((const uint8_t *)file->path, strlen(file->path));
        if (verdict == TB_PATH_OK)
            continue;
        g_autofree char *name = tb_escape_name(file->path);
        return tb_error_set(error, TB_ERROR_VERIFY, "the patch changes '%s': %s", name,
                            tb_path_reason(verdict));
    }
    return files != NULL;
}

bool tb_patch_prove(TbGit *git, const char *base_index, const TbPatchInfo *info, int fd,
                    const GPtrArray *files, GError **error)
{
    if (info->length == 0 && strcmp(info->base_tree, info->result_tree) == 0)
        return true; /* nothing changed, and nothing is said to have */
    g_autofree char *index = g_build_filename(tb_git_path(git), PROOF_INDEX, NULL);
    if (!tb_index_copy(base_index, index, error))
        return false;
    g_autofree char *tree = NULL;
    if (apply_part(git, index, info, fd, error)) {
        g_autoptr(TbCommand) command = tb_git_command(git, "write-tree", NULL, index);
        tree = tb_git_run_oid(git, command, error);
    }
    unlink(index);
    if (!tree)
        return false;
    if (strcmp(tree, info->result_tree) != 0)
        return tb_error_set(error, TB_ERROR_VERIFY,
                            "the patch makes tree %s of its base, not the result tree %s", tree,
                            info->result_tree);
    return check_paths(git, info, files, error);
}
