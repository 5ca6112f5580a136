/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a patch file says of itself: its head and end are as we write them, and the hash in the head
 * is that of the bytes between. That these bytes make the result tree of the base is for prove.c.
 *
 * The file is read again each time, in pieces: what is hashed are the bytes on the disk, not those
 * somebody meant to write. It may be hostile.
 */
#include "patch/patch.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "patch/parse.h"
#include "patch/sink.h"
#include "util/error.h"
#include "util/units.h"

#define CHUNK ((size_t)64 * 1024)

static bool altered(GError **error, const char *reason)
{
    return tb_error_set(error, TB_ERROR_VERIFY, "the patch is not what taskbox wrote: %s", reason);
}

bool patch_read_at(int fd, uint8_t *buffer, size_t size, uint64_t offset, GError **error)
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
    if (!patch_read_at(fd, text, wanted, 0, error))
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
    if (!patch_read_at(fd, text, wanted, size - wanted, error))
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
        if (!patch_read_at(fd, buffer, piece, info->offset + done, error))
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
