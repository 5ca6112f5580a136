/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "review/file-diff.h"

#include <string.h>

#include "util/error.h"

#define BINARY_LOOK 8000

typedef struct {
    const GPtrArray *files;
    TbFileDiffFn fn;
    void *user_data;
    guint current;    /* the file whose sides are coming */
    bool first_side;  /* the next blob is the base's */
    TbFileDiff *diff; /* of `current` */
    uint64_t used;
} Walk;

static bool looks_binary(GBytes *bytes)
{
    size_t length = 0;
    const void *data = bytes ? g_bytes_get_data(bytes, &length) : NULL;
    return data && memchr(data, '\0', MIN(length, BINARY_LOOK));
}

static void split(TbLines *lines, GBytes *bytes)
{
    size_t length = 0;
    const uint8_t *data = bytes ? g_bytes_get_data(bytes, &length) : NULL;
    tb_lines_split(lines, data, length);
}

static void complete(TbFileDiff *diff)
{
    diff->binary = looks_binary(diff->old_bytes) || looks_binary(diff->new_bytes);
    if (diff->binary || diff->unread)
        return;
    split(&diff->old_lines, diff->old_bytes);
    split(&diff->new_lines, diff->new_bytes);
    diff->edits = tb_lines_compare(&diff->old_lines, &diff->new_lines, &diff->edit_count);
}

void tb_file_diff_free(TbFileDiff *diff)
{
    if (!diff)
        return;
    g_clear_pointer(&diff->old_bytes, g_bytes_unref);
    g_clear_pointer(&diff->new_bytes, g_bytes_unref);
    tb_lines_clear(&diff->old_lines);
    tb_lines_clear(&diff->new_lines);
    g_free(diff->edits);
    g_free(diff);
}

static bool give(Walk *walk, GError **error)
{
    g_autoptr(TbFileDiff) diff = g_steal_pointer(&walk->diff);
    complete(diff);
    walk->current++;
    return walk->fn(diff, walk->user_data, error);
}

static const TbPatchFile *current_file(const Walk *walk)
{
    return walk->files->pdata[walk->current];
}

/* Files before the one that has bytes have none: they are given as they are. */
static bool give_until_bytes(Walk *walk, GError **error)
{
    while (!walk->diff && walk->current < walk->files->len) {
        const TbPatchFile *file = current_file(walk);
        walk->diff = g_new0(TbFileDiff, 1);
        walk->diff->file = file;
        walk->first_side = tb_mode_has_bytes(file->old_mode);
        if (walk->first_side || tb_mode_has_bytes(file->new_mode))
            return true;
        if (!give(walk, error))
            return false;
    }
    return true;
}

static bool on_blob(size_t index, const uint8_t *data, uint64_t size, void *user_data,
                    GError **error)
{
    Walk *walk = user_data;
    if (!give_until_bytes(walk, error))
        return false;
    TbFileDiff *diff = walk->diff;
    GBytes *bytes = NULL;
    walk->used += data ? size : 0;
    if (data && walk->used <= TB_FILE_DIFF_BUDGET)
        bytes = g_bytes_new(data, size);
    else
        diff->unread = true;
    if (walk->first_side) {
        diff->old_bytes = bytes;
        diff->old_size = size;
        walk->first_side = false;
        if (tb_mode_has_bytes(diff->file->new_mode))
            return true;
    } else {
        diff->new_bytes = bytes;
        diff->new_size = size;
    }
    return give(walk, error);
}

bool tb_file_diffs_each(TbGit *git, const GPtrArray *files, TbFileDiffFn fn, void *user_data,
                        GError **error)
{
    g_autoptr(GPtrArray) oids = g_ptr_array_new();
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        if (tb_mode_has_bytes(file->old_mode))
            g_ptr_array_add(oids, file->old_oid);
        if (tb_mode_has_bytes(file->new_mode))
            g_ptr_array_add(oids, file->new_oid);
    }
    Walk walk = {.files = files, .fn = fn, .user_data = user_data};
    bool ok = tb_git_read_blobs(git, (const char *const *)oids->pdata, oids->len,
                                TB_FILE_DIFF_LIMIT, on_blob, &walk, error) &&
              give_until_bytes(&walk, error);
    tb_file_diff_free(walk.diff);
    return ok;
}

/* The walk frees its diff: what is to stay is taken out. */
static bool keep(const TbFileDiff *diff, void *user_data, GError **error)
{
    TbFileDiff *kept = user_data, *from = (TbFileDiff *)(uintptr_t)diff;
    *kept = *from;
    *from = (TbFileDiff){0};
    return true;
}

TbFileDiff *tb_file_diff_new(TbGit *git, const TbPatchFile *file, GError **error)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new();
    g_ptr_array_add(files, (void *)(uintptr_t)file);
    g_autoptr(TbFileDiff) diff = g_new0(TbFileDiff, 1);
    if (!tb_file_diffs_each(git, files, keep, diff, error))
        return NULL;
    return g_steal_pointer(&diff);
}

typedef struct {
    const GPtrArray *files;
    uint64_t *sizes;
    guint current;
} Sizes;

static bool on_size(size_t index, const uint8_t *data, uint64_t size, void *user_data,
                    GError **error)
{
    Sizes *sizes = user_data;
    while (!tb_mode_has_bytes(((TbPatchFile *)sizes->files->pdata[sizes->current])->new_mode))
        sizes->current++;
    sizes->sizes[sizes->current++] = size;
    return true;
}

uint64_t *tb_file_sizes(TbGit *git, const GPtrArray *files, GError **error)
{
    g_autofree uint64_t *all = g_new0(uint64_t, files->len + 1);
    g_autoptr(GPtrArray) oids = g_ptr_array_new();
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        if (tb_mode_has_bytes(file->new_mode))
            g_ptr_array_add(oids, file->new_oid);
    }
    Sizes sizes = {.files = files, .sizes = all};
    if (!tb_git_read_blobs(git, (const char *const *)oids->pdata, oids->len, 0, on_size, &sizes,
                           error))
        return NULL;
    return g_steal_pointer(&all);
}
