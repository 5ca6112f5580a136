/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What must hold: nothing is written outside of our directory (each path is checked and opened
 * beneath it, no link is followed); no link in it leads out of it, and no ".git" is in it, for git
 * runs what that names; no mode comes along but the right to execute; files and bytes are limited.
 */
#include "task/copy-out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel/frame.h"
#include "channel/messages.h"
#include "channel/sha256.h"
#include "patch/path.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"
#include "util/units.h"

enum { MOST_ENTRIES = 1000000, MOST_NOTES = 200, PREFIX = 2 /* "x/" */ };

struct TbCopyOut {
    int dirfd; /* the caller's */
    char *name;
    char *staging; /* our directory in dirfd, NULL when it is gone */
    int stagingfd;
    bool force, whole;
    uint64_t max, received, bytes, files;
    uint32_t entries;
    bool in_file;
    int file; /* -1: it is left out */
    TbSha256 hash;
    GPtrArray *notes;
    TbFrameDecoder decoder;
};

static bool breach(const char *what, GError **error)
{
    return tb_error_set(error, TB_ERROR_GUEST, "guest: the copy makes no sense: %s", what);
}

static void note(TbCopyOut *copy, const void *name, size_t length, const char *why)
{
    if (copy->notes->len == MOST_NOTES)
        g_ptr_array_add(copy->notes, g_strdup("and more"));
    if (copy->notes->len > MOST_NOTES)
        return;
    g_autofree char *text = tb_escape_terminal(name, length, false);
    g_ptr_array_add(copy->notes, g_strconcat(text, *text && *why ? ": " : "", why, NULL));
}

TbCopyOut *tb_copy_out_new(int dirfd, const char *name, bool force, uint64_t max, GError **error)
{
    struct stat st;
    bool there = fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && (!force || S_ISDIR(st.st_mode))) {
        tb_error_set(error, TB_ERROR_EXISTS, "'%s' is there already%s", name,
                     force ? " and is a directory" : " (--force replaces a file)");
        return NULL;
    }
    g_autofree char *staging =
        g_strdup_printf(".taskbox-cp-%08x%08x", g_random_int(), g_random_int());
    tb_autofd fd = -1;
    if (mkdirat(dirfd, staging, 0700) == 0)
        fd = openat(dirfd, staging, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        tb_error_set_errno(error, errno, "cannot create a directory beside '%s'", name);
        return NULL;
    }
    TbCopyOut *copy = g_new0(TbCopyOut, 1);
    copy->dirfd = dirfd;
    copy->name = g_strdup(name);
    copy->staging = g_steal_pointer(&staging);
    copy->stagingfd = tb_steal_fd(&fd);
    copy->force = force;
    copy->max = max;
    copy->file = -1;
    copy->notes = g_ptr_array_new_with_free_func(g_free);
    return copy;
}

bool tb_copy_out_link_stays(const char *path, const char *target)
{
    size_t above = 0;
    for (const char *at = path; *at; at++)
        above += *at == '/';
    bool named = false;
    g_auto(GStrv) parts = g_strsplit(target, "/", -1);
    if (*target == '/' || *target == '\0')
        return false;
    for (char **part = parts; *part; part++) {
        if (**part == '\0' || strcmp(*part, ".") == 0)
            continue;
        if (strcmp(*part, "..") != 0) {
            named = true;
            if (tb_path_is_git((const uint8_t *)*part, strlen(*part)))
                return false;
        } else if (named || above-- == 0) {
            return false;
        }
    }
    return true;
}

/* The directory that holds `path`, and its last component. */
static int open_parent(const TbCopyOut *copy, const char *path, const char **last)
{
    const char *slash = strrchr(path, '/');
    *last = slash ? slash + 1 : path;
    g_autofree char *parent = slash ? g_strndup(path, (size_t)(slash - path)) : g_strdup(".");
    return tb_open_beneath(copy->stagingfd, parent, O_RDONLY | O_DIRECTORY, 0);
}

static bool make(TbCopyOut *copy, const TbEntry *entry, const char *path, const char *target,
                 GError **error)
{
    const char *last = NULL;
    tb_autofd parent = open_parent(copy, path, &last);
    mode_t mode = entry->mode & 0100 ? 0777 : 0666;
    bool made = parent >= 0;
    if (made && entry->kind == TB_ENTRY_DIR)
        made = mkdirat(parent, last, 0777) == 0;
    else if (made && entry->kind == TB_ENTRY_SYMLINK)
        made = symlinkat(target, parent, last) == 0;
    else if (made)
        made = (copy->file = openat(
                    parent, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)) >= 0;
    g_autofree char *shown = tb_escape_name(path);
    return made || tb_error_set_errno(error, errno, "cannot create '%s' of the copy", shown);
}

/* Why an entry is left out; NULL: it is not. "": without a note, its directory had one. */
static const char *why_not(const TbEntry *entry, const char *path, const char *target)
{
    const char *slash = strrchr(path, '/');
    const char *last = slash ? slash + 1 : path;
    TbPathVerdict verdict = tb_path_check(entry->path, entry->path_length);
    if (verdict == TB_PATH_GIT)
        return tb_path_is_git((const uint8_t *)last, strlen(last))
                   ? "left out, since git runs what it names"
                   : "";
    if (verdict != TB_PATH_OK)
        return tb_path_reason(verdict);
    if (entry->kind == TB_ENTRY_SYMLINK &&
        (!slash || !tb_copy_out_link_stays(path + PREFIX, target)))
        return "left out, a link that leads out of the copy";
    return entry->kind == TB_ENTRY_OTHER ? "left out, neither file, directory nor link" : NULL;
}

static bool take_entry(TbCopyOut *copy, const TbFrame *frame, GError **error)
{
    TbEntry entry;
    if (copy->in_file || !tb_decode_entry(frame->payload, frame->length, &entry))
        return breach("an entry", error);
    if (++copy->entries > MOST_ENTRIES)
        return tb_error_set(error, TB_ERROR_LIMIT, "there are more than %d files", MOST_ENTRIES);
    g_autofree char *path = g_strndup((const char *)entry.path, entry.path_length);
    g_autofree char *target = g_strndup((const char *)entry.target, entry.target_length);
    bool first = copy->entries == 1;
    if (first ? strcmp(path, "x") != 0 : strncmp(path, "x/", PREFIX) != 0)
        return breach("a path", error);
    if (entry.kind == TB_ENTRY_DELETE || entry.kind == TB_ENTRY_REPLACE)
        return breach("a kind", error);
    copy->in_file = entry.kind == TB_ENTRY_FILE;
    if (copy->in_file)
        tb_sha256_init(&copy->hash);
    const char *why = why_not(&entry, path, target);
    if (why && *why)
        note(copy, path + MIN(PREFIX, strlen(path)), strlen(path) - MIN(PREFIX, strlen(path)), why);
    if (why)
        return true;
    copy->files += copy->in_file;
    return make(copy, &entry, path, target, error);
}

static bool take_bytes(TbCopyOut *copy, const TbFrame *frame, GError **error)
{
    if (!copy->in_file)
        return breach("bytes of no file", error);
    g_autofree char *limit = tb_size_format(copy->max);
    if (frame->length > copy->max - copy->received)
        return tb_error_set(error, TB_ERROR_LIMIT, "it is larger than %s (--max)", limit);
    copy->received += frame->length;
    copy->bytes += copy->file >= 0 ? frame->length : 0;
    tb_sha256_add(&copy->hash, frame->payload, frame->length);
    return copy->file < 0 ||
           tb_write_all(copy->file, frame->payload, frame->length, "the copy", error);
}

static bool end_file(TbCopyOut *copy, const TbFrame *frame, GError **error)
{
    uint8_t mine[TB_HASH_SIZE];
    if (!copy->in_file || frame->length != sizeof mine)
        return breach("the end of no file", error);
    tb_sha256_end(&copy->hash, mine);
    copy->in_file = false;
    tb_clear_fd(&copy->file);
    return memcmp(mine, frame->payload, sizeof mine) == 0 ||
           breach("a file with another hash", error);
}

static bool take_frame(TbCopyOut *copy, const TbFrame *frame, GError **error)
{
    TbReader reader = tb_reader(frame->payload, frame->length);
    if (copy->whole)
        return breach("something after its end", error);
    switch ((TbMessageType)frame->type) {
    case TB_MSG_ENTRY:
        return take_entry(copy, frame, error);
    case TB_MSG_FILE_DATA:
        return take_bytes(copy, frame, error);
    case TB_MSG_FILE_END:
        return end_file(copy, frame, error);
    case TB_MSG_ERROR:
        note(copy, frame->payload, MIN(frame->length, TB_ERROR_TEXT_LIMIT), "");
        return true;
    case TB_MSG_LIST_END:
        copy->whole = tb_get_u32(&reader) == copy->entries && tb_reader_done(&reader);
        return (copy->whole && !copy->in_file) || breach("its end", error);
    default:
        return breach("a frame", error);
    }
}

bool tb_copy_out_take(TbCopyOut *copy, const void *data, size_t length, GError **error)
{
    const uint8_t *at = data;
    for (;;) {
        TbFrame frame;
        TbFrameResult result = tb_frame_decoder_push(&copy->decoder, &at, &length, &frame);
        if (result == TB_FRAME_MORE)
            return true;
        if (result == TB_FRAME_BAD)
            return breach("a frame", error);
        if (!take_frame(copy, &frame, error))
            return false;
    }
}

bool tb_copy_out_finish(TbCopyOut *copy, GError **error)
{
    struct stat st;
    if (!copy->whole)
        return tb_error_set(error, TB_ERROR_GUEST, "guest: the copy ended too early");
    if (fstatat(copy->stagingfd, "x", &st, AT_SYMLINK_NOFOLLOW) < 0)
        return tb_error_set(error, TB_ERROR_NOT_FOUND, "nothing was copied: %s",
                            copy->notes->len ? (char *)copy->notes->pdata[0] : "there was nothing");
    unsigned flags = copy->force && !S_ISDIR(st.st_mode) ? 0 : RENAME_NOREPLACE;
    if (renameat2(copy->stagingfd, "x", copy->dirfd, copy->name, flags) < 0)
        return tb_error_set_errno(error, errno, "cannot put the copy in place as '%s'", copy->name);
    if (unlinkat(copy->dirfd, copy->staging, AT_REMOVEDIR) == 0)
        g_clear_pointer(&copy->staging, g_free);
    return true;
}

const GPtrArray *tb_copy_out_notes(const TbCopyOut *copy)
{
    return copy->notes;
}

void tb_copy_out_size(const TbCopyOut *copy, uint64_t *files, uint64_t *bytes)
{
    *files = copy->files;
    *bytes = copy->bytes;
}

void tb_copy_out_free(TbCopyOut *copy)
{
    if (!copy)
        return;
    tb_clear_fd(&copy->file);
    tb_clear_fd(&copy->stagingfd);
    if (copy->staging)
        tb_remove_tree(copy->dirfd, copy->staging, NULL);
    g_ptr_array_unref(copy->notes);
    g_free(copy->staging);
    g_free(copy->name);
    g_free(copy);
}
