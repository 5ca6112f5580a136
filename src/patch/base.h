/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The base tree's entries, as an index holds them: sorted, searchable, with a mark for those that
 * the box no longer has. Private to src/patch. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include "patch/files.h"
#include "util/git.h"

typedef struct {
    const char *path; /* NUL-terminated, in TbBase's text */
    const char *oid;  /* tb_git_oid_length digits, not terminated */
    uint32_t mode;
    bool removed; /* the box no longer has it in this form */
    bool masked;  /* the box has never had it; it stays */
} TbBaseEntry;

typedef struct {
    TbBaseEntry *entries;
    size_t count;
    unsigned oid_length;
    bool has_attributes; /* a .gitattributes somewhere */
    GBytes *text;
    GArray *array;
} TbBase;

/* Reads the index file `index` (none there: no entries). `list`, which may be NULL, is one that was
 * started for it. */
TbBase *tb_base_new(TbGit *git, const char *index, TbBaseList *list, GError **error);
void tb_base_free(TbBase *base);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbBase, tb_base_free)

/* The entry at exactly this path, or NULL. */
TbBaseEntry *tb_base_find(const TbBase *base, const char *path, size_t length);
/* The entries below directory `path`: *first and how many. */
size_t tb_base_below(const TbBase *base, const char *path, size_t *first);
/* The entry that stands (is not removed) at a parent directory of `path`, or NULL. */
TbBaseEntry *tb_base_above(const TbBase *base, const char *path);

/* "MODE OID STAGE\tPATH\0" of every entry of an index file, as git lists them; empty when there is
 * no such file. */
GBytes *tb_index_list(TbGit *git, const char *index, GError **error);
/* Copies an index file; none there: `to` is not there either. */
bool tb_index_copy(const char *from, const char *to, GError **error);
