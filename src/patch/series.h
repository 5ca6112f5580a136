/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The commits that were made in the box, as steps from the base tree to the result tree.
 *
 * A step is the tree before with each path that the commit changed (against its first parent) as
 * the commit has it. A last step, which is no commit, leads to the result tree. So the sum of all
 * steps is the patch, whatever the commits say.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "patch/patch.h"
#include "util/git.h"

#define TB_SERIES_COMMITS 200
#define TB_SERIES_PACK    ((size_t)64 << 20) /* bytes */

typedef struct {
    char *commit;   /* its id in the box; NULL: what was not committed */
    char *tree;     /* after it */
    char *author;   /* "NAME <ADDRESS> SECONDS ZONE", the bytes of the box; NULL as above */
    char *encoding; /* of the message; NULL: UTF-8 */
    char *message;  /* the bytes of the box; "" as above */
} TbSeriesStep;

/* An empty array of TbSeriesStep that frees them. */
GPtrArray *tb_series_new(void);

typedef struct {
    const char *base_index; /* an index file that holds the base tree */
    const char *base_tree, *result_tree;
    const GPtrArray *commits; /* char *: ids as the box tells them, oldest first */
    const GPtrArray *masked;  /* char *: nothing at or below these is in a step; may be NULL */
    int pack_fd;              /* what they need, read from where it stands */
    unsigned seconds;         /* that each git may take; 0: 60 */
} TbSeriesInput;

/* Takes the pack into `git` and makes the steps: array of TbSeriesStep, without any when all the
 * commits were there before the task. All of it is the box's word and checked: git's fsck, paths by
 * the rules of the patch, limits. Paths that a step does not carry are named in *notes (escaped).
 * An error means that the series cannot be had; the patch is what it was. */
GPtrArray *tb_series_make(TbGit *git, const TbSeriesInput *input, GPtrArray *notes, GError **error);

/* How many of the steps are commits. */
unsigned tb_series_count(const GPtrArray *series);

/* One commit as a mail. */
typedef struct {
    const char *from_tree, *to_tree;
    const char *author;  /* "NAME <ADDRESS> SECONDS ZONE"; as tb_clean_author makes it */
    const char *message; /* UTF-8 without control characters but newline and tab */
    const char *note;    /* lines that git am leaves out of the message; NULL: none */
} TbSeriesMail;

/* Writes `count` mails (one that changes nothing is left out) to `fd`, a new empty file of its own,
 * as an mbox for git am. It is read back and proved: the diff of each, applied to its tree, gives
 * the tree of the next. TB_ERROR_LIMIT over limits->max_patch (`limits` may be NULL). */
bool tb_series_mails_write(TbGit *git, const TbSeriesMail *mails, size_t count,
                           const TbPatchLimits *limits, int fd, GError **error);

/* As a file, and read back: NULL and TB_ERROR_INTERNAL when it is none. */
GBytes *tb_series_format(const GPtrArray *series);
GPtrArray *tb_series_parse(GBytes *bytes, GError **error);
