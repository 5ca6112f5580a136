/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One changed file with its content on both sides, read from the task's git directory: what
 * findings, the review and the page look at. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "patch/files.h"
#include "review/lines.h"
#include "util/git.h"

#define TB_FILE_DIFF_LIMIT  ((size_t)8 << 20)     /* bytes of one side that are read */
#define TB_FILE_DIFF_BUDGET (UINT64_C(512) << 20) /* of all files of one patch */

typedef struct {
    const TbPatchFile *file;
    /* NULL: not there, a submodule, or not read */
    GBytes *old_bytes, *new_bytes;
    uint64_t old_size, new_size;
    bool unread; /* too large: sizes only */
    bool binary; /* a NUL byte in the first 8000 of a side, as git decides */
    /* Text only: lines of both sides, and what differs. */
    TbLines old_lines, new_lines;
    TbEdit *edits;
    size_t edit_count;
} TbFileDiff;

typedef bool (*TbFileDiffFn)(const TbFileDiff *diff, void *user_data, GError **error);

/* Each of `files` (TbPatchFile) in order; a diff lives as long as the call of `fn`. */
bool tb_file_diffs_each(TbGit *git, const GPtrArray *files, TbFileDiffFn fn, void *user_data,
                        GError **error);
/* One file, to keep. */
TbFileDiff *tb_file_diff_new(TbGit *git, const TbPatchFile *file, GError **error);
void tb_file_diff_free(TbFileDiff *diff);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbFileDiff, tb_file_diff_free)

/* Bytes of each of `files` after the change, 0 where there are none; g_free. */
uint64_t *tb_file_sizes(TbGit *git, const GPtrArray *files, GError **error);

/* Whether a mode is a file's or a link's: one that has bytes. */
static inline bool tb_mode_has_bytes(uint32_t mode)
{
    return mode != 0 && mode != TB_MODE_GITLINK;
}
