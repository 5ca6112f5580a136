/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A patch as what can be taken or left: hunks of text files, else the file as a whole; a change of
 * the executable bit by itself. What was taken makes a tree of its own, from the base's bytes and
 * the accepted edits, and apply takes it like any other (review/apply.h): by blob id.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "review/file-diff.h"

typedef enum {
    TB_UNIT_HUNK,  /* some edits of a text file */
    TB_UNIT_MODE,  /* the executable bit */
    TB_UNIT_WHOLE, /* new, deleted, binary, too large, a link, a submodule */
} TbUnitKind;

typedef enum { TB_DECISION_OPEN, TB_DECISION_ACCEPTED, TB_DECISION_REJECTED } TbDecision;

typedef struct {
    guint file; /* index into the selection's files */
    TbUnitKind kind;
    size_t first_edit, edit_count; /* HUNK: of the file's diff */
    TbDecision decision;
} TbUnit;

#define TB_UNIT_CONTEXT 3 /* lines around edits; edits that share some are one hunk */

typedef struct {
    TbGit *git; /* not owned */
    char *base_tree, *result_tree;
    GPtrArray *files; /* TbPatchFile */
    GArray *units;    /* TbUnit, file by file */
} TbSelection;

/* `git` must live as long. */
TbSelection *tb_selection_new(TbGit *git, const char *base_tree, const char *result_tree,
                              GError **error);
void tb_selection_free(TbSelection *selection);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbSelection, tb_selection_free)

static inline TbUnit *tb_unit(const TbSelection *selection, guint index)
{
    return &g_array_index(selection->units, TbUnit, index);
}

/* The tree that base and accepted units make (g_free). TB_ERROR_CONFLICT when what was accepted
 * needs something that was not: a file below a path whose old file stays. */
char *tb_selection_tree(const TbSelection *selection, GError **error);
