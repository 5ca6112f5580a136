/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What it takes to take an apply back: the trees it went from and to, and what trees do not hold.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* What an apply is to reach. */
typedef enum {
    TB_APPLY_TO_FILES,
    TB_APPLY_TO_INDEX,  /* and the index */
    TB_APPLY_TO_COMMIT, /* and the branch that is checked out */
    TB_APPLY_TO_BRANCH, /* a new branch, and nothing else */
} TbApplyTo;

typedef struct {
    char *from, *to; /* tree ids */
    TbApplyTo reached;
    /* COMMIT and BRANCH: the branch by its full name, and its commits before (NULL: it was not
     * there) and after. */
    char *ref, *ref_from, *ref_to;
    /* Permission bits that were there: of files by path, of directories by path with a '/' behind.
     * A directory in it was there before. */
    GHashTable *modes;
} TbUndo;

TbUndo *tb_undo_new(const char *from, const char *to);
/* The same with another tree at its end. */
TbUndo *tb_undo_copy(const TbUndo *undo, const char *to);
void tb_undo_free(TbUndo *undo);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbUndo, tb_undo_free)

/* COMMIT and BRANCH: which branch moved, and from where (NULL: nowhere) to where. */
void tb_undo_set_ref(TbUndo *undo, const char *ref, const char *from, const char *to);
/* Notes the mode of a path that was there; the first word stands. */
void tb_undo_add_mode(TbUndo *undo, const char *path, bool directory, uint32_t mode);
/* The mode noted, or `otherwise`. */
uint32_t tb_undo_mode(const TbUndo *undo, const char *path, bool directory, uint32_t otherwise);

/* As a file, and read back: NULL and TB_ERROR_INTERNAL when it is none. */
GBytes *tb_undo_format(const TbUndo *undo);
TbUndo *tb_undo_parse(GBytes *bytes, GError **error);
