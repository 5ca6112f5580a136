/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of TbChanges share: changes.c takes the list in, changes-settle.c decides,
 * changes-ignore.c asks git what is ignored, changes-tree.c makes the tree, changes-convert.c says
 * what git would convert. */
#pragma once

#include "patch/base.h"
#include "patch/patch.h"

typedef enum {
    FATE_OPEN,    /* not decided */
    FATE_REFUSED, /* never in the tree, noted; `path` is NULL when the path itself was refused */
    FATE_DROPPED, /* known to be left out: ignored, below a submodule, not a file */
    FATE_CARRIED, /* a file or symbolic link of the result */
} Fate;

typedef struct {
    const char *path;   /* in `strings` */
    const char *target; /* symbolic links */
    uint64_t size;
    uint32_t mark; /* of the blob writer */
    uint8_t kind;  /* TbEntryKind */
    uint8_t fate;  /* Fate */
    bool executable;
    bool has_children; /* something else of the list lies below */
} Item;

struct TbChanges {
    TbGit *git;
    TbPatchLimits limits;
    char *base_index, *base_tree, *excludes_file, *info_exclude;
    TbBase *base;

    GArray *items; /* Item by list index */
    GStringChunk *strings;
    uint64_t path_bytes;
    uint32_t *order; /* items that have a path, parents first, each subtree together */
    size_t order_count;
    bool settled;

    GArray *wanted;     /* uint32_t list indices */
    size_t next_wanted; /* into `wanted`: the file that is next or being written */
    bool in_file;
    uint64_t file_left, bytes_seen;
    TbBlobWriter *writer;

    GPtrArray *files; /* TbPatchFile: base to result, once that is made */
    GPtrArray *notes;
    unsigned refused_over;    /* refusals that are counted only */
    GHashTable *ignored;      /* top directory or file -> count */
    GHashTable *left_out;     /* directory of tb_changes_leave_out -> count */
    GHashTable *masked;       /* path of tb_changes_mask -> count */
    GHashTable *lost_deletes; /* the same for deletions that touch nothing of the base tree */
};

static inline Item *changes_item(const TbChanges *changes, uint32_t index)
{
    return &g_array_index(changes->items, Item, index);
}

/* Files and symbolic links: what can be an entry of a tree. */
static inline bool item_is_leaf(const Item *item)
{
    return item->kind == TB_ENTRY_FILE || item->kind == TB_ENTRY_SYMLINK;
}

/* A note "'NAME': TEXT", the name escaped. */
void changes_note(TbChanges *changes, const char *path, size_t length, const char *text);
/* A refusal: noted by name, but not a million of them. */
void changes_refuse(TbChanges *changes, const char *path, size_t length, const char *reason);

/* Orders the list, finds contradictions, marks what of the base is gone and gives every item its
 * fate. Once. */
bool changes_settle(TbChanges *changes, GError **error);

/* Drops those of `candidates` (list indices: untracked files, and directories that are new and
 * empty) that the base tree's ignore rules name. */
bool changes_drop_ignored(TbChanges *changes, const GArray *candidates, GError **error);
