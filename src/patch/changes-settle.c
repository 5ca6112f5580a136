/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The closed list, decided. It is sorted so that a directory stands before all that lies below it
 * and nothing else in between ('/' counts as the lowest byte); then one pass finds duplicates,
 * files that other entries lie below, and what of the base tree each entry takes away. Parents come
 * first in it, so a submodule that was replaced is out of the way when its path's new files come.
 */
#include "patch/changes-private.h"

#include <string.h>

#include "util/error.h"
#include "util/escape.h"
#include "util/hole.h"
#include "util/units.h"

static unsigned rank(char c)
{
    return c == '/' ? 1 : (unsigned)(unsigned char)c + 1;
}

static int tree_order(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    unsigned left = *a ? rank(*a) : 0, right = *b ? rank(*b) : 0;
    return left < right ? -1 : left > right;
}

static int order_compare(gconstpointer a, gconstpointer b, gpointer data)
{
    const TbChanges *changes = data;
    return tree_order(changes_item(changes, *(const uint32_t *)a)->path,
                      changes_item(changes, *(const uint32_t *)b)->path);
}

static void sort_items(TbChanges *changes)
{
    changes->order = g_new(uint32_t, changes->items->len);
    for (uint32_t i = 0; i < changes->items->len; i++)
        if (changes_item(changes, i)->path)
            changes->order[changes->order_count++] = i;
    if (changes->order_count)
        g_qsort_with_data(changes->order, (gint)changes->order_count, sizeof *changes->order,
                          order_compare, changes);
}

static bool is_below(const char *path, const char *parent)
{
    size_t length = strlen(parent);
    return strncmp(path, parent, length) == 0 && path[length] == '/';
}

static bool contradiction(const Item *item, const char *what, GError **error)
{
    g_autofree char *name = tb_escape_name(item->path);
    return tb_error_set(error, TB_ERROR_GUEST, "the box contradicts itself: '%s' %s", name, what);
}

/* Walks the sorted list with the chain of listed parents at hand. */
static bool check_shape(TbChanges *changes, GError **error)
{
    g_autoptr(GPtrArray) parents = g_ptr_array_new();
    for (size_t i = 0; i < changes->order_count && !tb_hole("entry-shape"); i++) {
        Item *item = changes_item(changes, changes->order[i]);
        while (parents->len &&
               !is_below(item->path, ((Item *)parents->pdata[parents->len - 1])->path)) {
            const Item *last = parents->pdata[parents->len - 1];
            if (strcmp(last->path, item->path) == 0)
                return contradiction(item, "is listed twice", error);
            g_ptr_array_set_size(parents, (gint)parents->len - 1);
        }
        if (parents->len) {
            Item *parent = parents->pdata[parents->len - 1];
            if (parent->kind != TB_ENTRY_DIR && parent->kind != TB_ENTRY_REPLACE)
                return contradiction(parent, "is no directory, yet has files below it", error);
            parent->has_children = true;
        }
        g_ptr_array_add(parents, item);
    }
    return true;
}

/* Counts a path under its first component ("node_modules/", "notes.txt"). */
static void count_folded(GHashTable *table, const char *path)
{
    const char *slash = strchr(path, '/');
    char *top = slash ? g_strndup(path, (gsize)(slash - path) + 1) : g_strdup(path);
    unsigned count = GPOINTER_TO_UINT(g_hash_table_lookup(table, top));
    g_hash_table_replace(table, top, GUINT_TO_POINTER(count + 1));
}

static size_t remove_below(TbBase *base, const char *path)
{
    size_t first = 0, count = tb_base_below(base, path, &first), removed = 0;
    for (size_t i = first; i < first + count; i++) {
        removed += !base->entries[i].removed;
        base->entries[i].removed = true;
    }
    return removed;
}

/* What the entry takes out of the base tree. */
static void remove_from_base(TbChanges *changes, const Item *item)
{
    TbBaseEntry *entry = tb_base_find(changes->base, item->path, strlen(item->path));
    if (item->kind == TB_ENTRY_DIR) {
        /* A submodule's directory is a directory anyway. */
        if (entry && entry->mode != TB_MODE_GITLINK)
            entry->removed = true;
        return;
    }
    size_t removed = remove_below(changes->base, item->path);
    if (entry) {
        removed += !entry->removed;
        entry->removed = true;
    }
    if (item->kind == TB_ENTRY_DELETE && removed == 0)
        count_folded(changes->lost_deletes, item->path);
}

static bool is_tracked(const TbChanges *changes, const Item *item)
{
    const TbBaseEntry *entry = tb_base_find(changes->base, item->path, strlen(item->path));
    return entry && entry->mode != TB_MODE_GITLINK;
}

/* A directory in which neither the box nor the base tree has anything. */
static bool is_new_and_empty(const TbChanges *changes, const Item *item)
{
    size_t first = 0;
    return item->kind == TB_ENTRY_DIR && !item->has_children &&
           tb_base_below(changes->base, item->path, &first) == 0 &&
           !tb_base_find(changes->base, item->path, strlen(item->path));
}

/* Lies the item at or below a directory that was left out? Then it is counted there. */
static bool is_left_out(TbChanges *changes, const Item *item)
{
    if (g_hash_table_size(changes->left_out) == 0)
        return false;
    g_autofree char *dir = g_strdup(item->path);
    for (;;) {
        gpointer key = NULL, count = NULL;
        if (g_hash_table_lookup_extended(changes->left_out, dir, &key, &count)) {
            unsigned more = item->kind != TB_ENTRY_DIR;
            g_hash_table_insert(changes->left_out, g_strdup(dir),
                                GUINT_TO_POINTER(GPOINTER_TO_UINT(count) + more));
            return true;
        }
        char *slash = strrchr(dir, '/');
        if (!slash)
            return false;
        *slash = '\0';
    }
}

static bool settle_item(TbChanges *changes, uint32_t index, GArray *candidates, GError **error)
{
    Item *item = changes_item(changes, index);
    if (item->fate == FATE_REFUSED)
        return true;
    if (is_left_out(changes, item)) {
        item->fate = FATE_DROPPED;
        return true;
    }
    const TbBaseEntry *above = tb_base_above(changes->base, item->path);
    if (above && above->mode != TB_MODE_GITLINK)
        return contradiction(item, "lies below a file that is still there", error);
    if (above) {
        item->fate = FATE_DROPPED;
        if (item->kind != TB_ENTRY_DIR)
            changes_refuse(changes, item->path, strlen(item->path), "below a submodule");
        return true;
    }
    remove_from_base(changes, item);
    if (item_is_leaf(item)) {
        item->fate = FATE_CARRIED;
        if (!is_tracked(changes, item))
            g_array_append_val(candidates, index);
        return true;
    }
    item->fate = FATE_DROPPED;
    if (item->kind == TB_ENTRY_OTHER)
        changes_refuse(changes, item->path, strlen(item->path), "a socket, fifo or device");
    else if (is_new_and_empty(changes, item)) {
        item->fate = FATE_OPEN; /* said unless it is ignored */
        g_array_append_val(candidates, index);
    }
    return true;
}

static void note_empty_dirs(TbChanges *changes, const GArray *candidates)
{
    for (guint i = 0; i < candidates->len; i++) {
        Item *item = changes_item(changes, g_array_index(candidates, uint32_t, i));
        if (item->kind != TB_ENTRY_DIR || item->fate != FATE_OPEN)
            continue;
        item->fate = FATE_DROPPED;
        changes_refuse(changes, item->path, strlen(item->path), "an empty directory");
    }
}

static void note_folded(TbChanges *changes, GHashTable *table, const char *what)
{
    g_autoptr(GList) tops = g_list_sort(g_hash_table_get_keys(table), (GCompareFunc)strcmp);
    for (GList *top = tops; top; top = top->next) {
        unsigned count = GPOINTER_TO_UINT(g_hash_table_lookup(table, top->data));
        if (count == 0)
            continue;
        g_autofree char *text = g_strdup_printf("not carried: %u %s", count, what);
        changes_note(changes, top->data, strlen(top->data), text);
    }
}

static void note_rest(TbChanges *changes, const GArray *candidates)
{
    for (guint i = 0; i < candidates->len; i++) {
        const Item *item = changes_item(changes, g_array_index(candidates, uint32_t, i));
        if (item_is_leaf(item) && item->fate == FATE_DROPPED)
            count_folded(changes->ignored, item->path);
    }
    note_empty_dirs(changes, candidates);
    note_folded(changes, changes->ignored, "ignored file(s)");
    note_folded(changes, changes->left_out, "change(s) in a nested repository");
    note_folded(changes, changes->lost_deletes, "deletion(s) of ignored files");
    if (changes->refused_over)
        g_ptr_array_add(changes->notes,
                        g_strdup_printf("and %u more paths not carried", changes->refused_over));
}

/* The files whose bytes are wanted, in list order, and whether all of them fit. */
static bool choose_wanted(TbChanges *changes, GError **error)
{
    uint64_t total = 0;
    const Item *largest = NULL;
    for (uint32_t i = 0; i < changes->items->len; i++) {
        const Item *item = changes_item(changes, i);
        if (item->fate != FATE_CARRIED)
            continue;
        if (!largest || item->size > largest->size)
            largest = item;
        /* Checked for each, so that the sum cannot wrap. */
        if (item->size > changes->limits.max_bytes ||
            (total += item->size) > changes->limits.max_bytes) {
            g_autofree char *limit = tb_size_format(changes->limits.max_bytes);
            g_autofree char *size = tb_size_format(largest->size);
            g_autofree char *name = tb_escape_name(largest->path);
            return tb_error_set(error, TB_ERROR_LIMIT,
                                "cannot take the box's changes: more than %s of new content "
                                "('%s' alone is %s)",
                                limit, name, size);
        }
        if (item->kind == TB_ENTRY_FILE)
            g_array_append_val(changes->wanted, i);
    }
    return true;
}

bool changes_settle(TbChanges *changes, GError **error)
{
    g_autoptr(GArray) candidates = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    changes->settled = true;
    sort_items(changes);
    if (!check_shape(changes, error))
        return false;
    for (size_t i = 0; i < changes->order_count; i++)
        if (!settle_item(changes, changes->order[i], candidates, error))
            return false;
    if (!changes_drop_ignored(changes, candidates, error))
        return false;
    note_rest(changes, candidates);
    return choose_wanted(changes, error);
}
