/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The result tree: the base tree with the removals and additions, and then what differs between
 * the trees compared with what must. git lets a later entry push out an earlier one without a word;
 * the comparison makes that an error instead of a silent loss.
 */
#include "patch/changes-private.h"

#include <stdlib.h>
#include <string.h>

#include "util/error.h"

static gint added_compare(gconstpointer a, gconstpointer b)
{
    return strcmp(((const TbTreeEntry *)a)->path, ((const TbTreeEntry *)b)->path);
}

static uint32_t item_mode(const Item *item)
{
    if (item->kind == TB_ENTRY_SYMLINK)
        return TB_MODE_SYMLINK;
    return item->executable ? TB_MODE_EXECUTABLE : TB_MODE_FILE;
}

static bool write_link(TbChanges *changes, Item *item, GError **error)
{
    if (!changes->writer)
        changes->writer = tb_blob_writer_new(changes->git, error);
    return changes->writer && tb_blob_writer_begin(changes->writer, item->size, error) &&
           tb_blob_writer_data(changes->writer, item->target, item->size, error) &&
           tb_blob_writer_end(changes->writer, &item->mark, error);
}

/* Stores the links' targets too and ends the writer; the blobs' ids by mark. */
static GPtrArray *finish_blobs(TbChanges *changes, GError **error)
{
    for (uint32_t i = 0; i < changes->items->len; i++) {
        Item *item = changes_item(changes, i);
        if (item->fate == FATE_CARRIED && item->kind == TB_ENTRY_SYMLINK &&
            !write_link(changes, item, error))
            return NULL;
    }
    GPtrArray *oids = NULL;
    if (!changes->writer)
        return g_ptr_array_new();
    if (!tb_blob_writer_finish(changes->writer, &oids, error))
        return NULL;
    g_clear_pointer(&changes->writer, tb_blob_writer_free);
    return oids;
}

/* Everything the box has new, sorted as an index is. */
static GArray *collect_added(TbChanges *changes, const GPtrArray *oids, GError **error)
{
    g_autoptr(GArray) added = g_array_new(FALSE, FALSE, sizeof(TbTreeEntry));
    for (uint32_t i = 0; i < changes->items->len; i++) {
        const Item *item = changes_item(changes, i);
        if (item->fate != FATE_CARRIED)
            continue;
        const char *oid = item->mark < oids->len ? oids->pdata[item->mark] : NULL;
        if (!oid || strlen(oid) != changes->base->oid_length) {
            tb_error_set(error, TB_ERROR_INTERNAL, "a file of the box was not stored");
            return NULL;
        }
        TbTreeEntry entry = {.path = item->path, .oid = oid, .mode = item_mode(item)};
        g_array_append_val(added, entry);
    }
    g_array_sort(added, added_compare);
    return g_steal_pointer(&added);
}

/* What changes: all that goes, and what comes. */
static GArray *tree_entries(const TbChanges *changes, const GArray *added)
{
    const TbBase *base = changes->base;
    GArray *entries = g_array_new(FALSE, FALSE, sizeof(TbTreeEntry));
    for (size_t i = 0; i < base->count; i++)
        if (base->entries[i].removed)
            g_array_append_val(entries, ((TbTreeEntry){.path = base->entries[i].path}));
    return g_array_append_vals(entries, added->data, added->len);
}

static const TbTreeEntry *find_added(const GArray *added, const char *path)
{
    const TbTreeEntry wanted = {.path = path};
    return added->len ? bsearch(&wanted, added->data, added->len, sizeof wanted, added_compare)
                      : NULL;
}

static bool same_entry(const TbBase *base, const TbBaseEntry *old, uint32_t mode, const char *oid)
{
    return old->mode == mode && strncmp(old->oid, oid, base->oid_length) == 0;
}

/* How many paths must differ from the base. */
static size_t count_expected(const TbChanges *changes, const GArray *added)
{
    const TbBase *base = changes->base;
    size_t count = added->len;
    for (size_t i = 0; i < base->count; i++)
        count += base->entries[i].removed;
    for (guint i = 0; i < added->len; i++) {
        const TbTreeEntry *entry = &g_array_index(added, TbTreeEntry, i);
        const TbBaseEntry *old = tb_base_find(base, entry->path, strlen(entry->path));
        if (old && old->removed)
            count -= same_entry(base, old, entry->mode, entry->oid) ? 2 : 1;
    }
    return count;
}

/* Is this difference one that was told, on both sides? */
static bool was_told(const TbChanges *changes, const GArray *added, const TbPatchFile *file)
{
    const TbBase *base = changes->base;
    const TbBaseEntry *old = tb_base_find(base, file->path, strlen(file->path));
    const TbTreeEntry *entry = find_added(added, file->path);
    bool gone = file->old_mode
                    ? old && old->removed && same_entry(base, old, file->old_mode, file->old_oid)
                    : !old;
    return gone && (file->new_mode ? entry && entry->mode == file->new_mode &&
                                         strcmp(entry->oid, file->new_oid) == 0
                                   : !entry);
}

/* The tree differs from the base's in just what was told; the list of that is kept. */
static bool check_tree(TbChanges *changes, const char *tree, const GArray *added, GError **error)
{
    changes->files = tb_patch_raw(changes->git, changes->base_tree, tree, error);
    if (!changes->files)
        return false;
    bool fine = changes->files->len == count_expected(changes, added);
    for (guint i = 0; fine && i < changes->files->len; i++)
        fine = was_told(changes, added, changes->files->pdata[i]);
    return fine || tb_error_set(error, TB_ERROR_INTERNAL,
                                "cannot make the result tree: it does not hold what git was told");
}

char *tb_changes_result_tree(TbChanges *changes, GError **error)
{
    const uint32_t *wanted = NULL;
    size_t count = 0;
    if (!tb_changes_wanted(changes, &wanted, &count, error))
        return NULL;
    if (changes->in_file || changes->next_wanted != count) {
        tb_error_set(error, TB_ERROR_GUEST, "the box sent %zu of %zu files", changes->next_wanted,
                     count);
        return NULL;
    }
    g_autoptr(GPtrArray) oids = finish_blobs(changes, error);
    g_autoptr(GArray) added = oids ? collect_added(changes, oids, error) : NULL;
    if (!added)
        return NULL;
    g_autoptr(GArray) entries = tree_entries(changes, added);
    g_clear_pointer(&changes->files, g_ptr_array_unref);
    if (entries->len == 0) {
        changes->files = tb_patch_list_new();
        return g_strdup(changes->base_tree);
    }
    g_autofree char *tree =
        tb_git_change_tree(changes->git, changes->base_tree,
                           (const TbTreeEntry *)(void *)entries->data, entries->len, error);
    return tree && check_tree(changes, tree, added, error) ? g_steal_pointer(&tree) : NULL;
}
