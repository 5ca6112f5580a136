/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A patch onto the working tree: by blob id, all of it or nothing, never through a link. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "review/swap.h"
#include "review/undo.h"
#include "util/git.h"

typedef enum {
    TB_APPLY_DONE,
    TB_APPLY_CLEAN,   /* check only: it would apply */
    TB_APPLY_ALREADY, /* the tree has the result already */
} TbApplyOutcome;

/* Puts base_tree..result_tree (both in `git`) on the directory `root`. Every touched path must be
 * there as in the base tree (bytes, kind, executable bit), or, for all of them, already as in the
 * result. Otherwise TB_ERROR_CONFLICT and *drift (may be NULL; g_ptr_array_unref) names each path
 * and what is different, escaped. With `check` nothing is written. New content is written to
 * temporary files first, then everything is renamed into place; a failure puts back what was
 * moved. Gitlinks are refused (TB_ERROR_UNSUPPORTED). `scratch` is a directory of ours for the
 * journal that lets an interrupted apply be put back by the next (tb_apply_recover). */
bool tb_apply(TbGit *git, const char *base_tree, const char *result_tree, const char *root,
              const char *scratch, bool check, TbApplyOutcome *outcome, GPtrArray **drift,
              GError **error);
typedef struct {
    bool check;
    /* What the paths are compared with, for the drift: "when the task started" (NULL). */
    const char *since;
    /* A file of the caller's in scratch, written before anything moves; it stays there when, and
     * only when, all has moved. NULL: none. It holds `record`, or nothing. */
    const char *note;
    TbUndo *record;        /* gets what was there: modes, directories. May be NULL */
    const TbUndo *restore; /* modes and directories that are to be as noted. May be NULL */
    /* TbSwap: files of a git directory that are replaced with the project's files, all of it or
     * nothing. TB_ERROR_BUSY when git has one locked. May be NULL */
    const GPtrArray *swaps;
} TbApplyOptions;

/* tb_apply with more to say. */
bool tb_apply_with(TbGit *git, const char *base_tree, const char *result_tree, const char *root,
                   const char *scratch, const TbApplyOptions *options, TbApplyOutcome *outcome,
                   GPtrArray **drift, GError **error);
/* Puts back what an apply that was killed in the middle had moved. No journal: nothing to do. */
bool tb_apply_recover(const char *root, const char *scratch, GError **error);
