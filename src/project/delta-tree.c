/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tree on top of the delta: the box sees the project as the tree has it, though its files are
 * something else by now. Contents come from git's objects into an unnamed file first, since git
 * and the box cannot be waited for at once.
 */
#include "project/delta-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"

#define MAX_TARGET 4095u

typedef struct {
    TbDelta *delta;
    GHashTable *dirs; /* paths of directories that the box has been told of */
    GHashTable *left; /* path of a directory that loses something to how much is left below it */
    GArray *wanted;   /* Op without their content */
    GPtrArray *oids;
    off_t at; /* end of the store */
    GString *target;
} Putting;

static void item_free(void *data)
{
    TbItem *item = data;
    g_free(item->path);
    g_free(item->text);
    g_free(item);
}

static TbItem *make_item(TbDelta *delta, const char *path, TbEntryKind kind, uint32_t mode)
{
    TbItem *item = g_new0(TbItem, 1);
    item->path = g_strdup(path);
    item->kind = kind;
    item->mode = mode;
    item->ours = true;
    clock_gettime(CLOCK_REALTIME, &item->mtime);
    g_ptr_array_add(delta->made, item);
    return item;
}

static void add_op(GArray *ops, TbEntryKind kind, TbItem *item)
{
    Op op = {kind, item->path, item, -1};
    g_array_append_val(ops, op);
}

/* The directories above, those that are there with their modes. */
static void add_dirs(Putting *putting, const char *of)
{
    TbDelta *delta = putting->delta;
    g_autofree char *path = g_strdup(of);
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (!g_hash_table_contains(putting->dirs, path)) {
            TbItem *item = tb_scan_find(delta->scan, path);
            if (!item || item->kind != TB_ENTRY_DIR)
                item = make_item(delta, path, TB_ENTRY_DIR, S_IFDIR | 0755);
            g_hash_table_add(putting->dirs, item->path);
            add_op(delta->ops, TB_ENTRY_DIR, item);
        }
        *slash = '/';
    }
}

static bool is_shown(const TbDelta *delta, const TbTreeEntry *entry)
{
    return entry->mode != TB_MODE_GITLINK && !tb_scan_is_masked(delta->scan, entry->path);
}

/* For each directory above `path` that is known already, or else with `learn`. */
static void count_above(Putting *putting, const char *path, int step, bool learn)
{
    g_autofree char *dir = g_strdup(path);
    for (char *slash = strchr(dir, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        gpointer known = NULL;
        bool there = g_hash_table_lookup_extended(putting->left, dir, NULL, &known);
        if (there || learn)
            g_hash_table_insert(putting->left, g_strdup(dir),
                                GINT_TO_POINTER(GPOINTER_TO_INT(known) + step));
        *slash = '/';
    }
}

static bool is_removed(const TbDelta *delta, const TbTreeEntry *entry)
{
    const TbItem *there = tb_scan_find(delta->scan, entry->path);
    /* A directory is a repository of its own. */
    return entry->mode == 0 && is_shown(delta, entry) && there && there->kind != TB_ENTRY_DIR;
}

static void count_left(Putting *putting, const TbTreeEntry *entries, size_t count)
{
    const TbDelta *delta = putting->delta;
    for (size_t i = 0; i < count; i++)
        if (is_removed(delta, &entries[i]))
            count_above(putting, entries[i].path, -1, true);
    if (g_hash_table_size(putting->left) == 0)
        return;
    for (guint i = 0; i < delta->scan->items->len; i++) {
        const TbItem *item = tb_scan_item(delta->scan, i);
        if (item->kind != TB_ENTRY_DIR)
            count_above(putting, item->path, 1, false);
    }
    for (size_t i = 0; i < count; i++)
        if (entries[i].mode != 0 && is_shown(delta, &entries[i]))
            count_above(putting, entries[i].path, 1, false);
}

/* With the file goes each directory that it leaves empty, as in git: the highest of them, once. */
static void remove_path(Putting *putting, const char *file)
{
    TbDelta *delta = putting->delta;
    g_autofree char *path = g_strdup(file);
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        gpointer left = g_hash_table_lookup(putting->left, path);
        if (GPOINTER_TO_INT(left) == 0)
            break;
        if (GPOINTER_TO_INT(left) < 0)
            return; /* it has gone */
        *slash = '/';
    }
    const TbItem *there = tb_scan_find(delta->scan, path);
    add_dirs(putting, path);
    Op op = {TB_ENTRY_DELETE, there->path, NULL, -1};
    g_array_append_val(delta->ops, op);
    if (there->kind == TB_ENTRY_DIR)
        g_hash_table_insert(putting->left, g_strdup(path), GINT_TO_POINTER(-1));
}

/* As the file that is there, where only its content changes. */
static uint32_t mode_of(const TbDelta *delta, const TbTreeEntry *entry)
{
    const TbItem *there = tb_scan_find(delta->scan, entry->path);
    bool executable = entry->mode & S_IXUSR;
    if (there && there->kind == TB_ENTRY_FILE && executable == !!(there->mode & S_IXUSR))
        return there->mode;
    return S_IFREG | (executable ? 0755u : 0644u);
}

static void want_path(Putting *putting, const TbTreeEntry *entry)
{
    TbDelta *delta = putting->delta;
    bool link = entry->mode == TB_MODE_SYMLINK;
    TbItem *item = make_item(delta, entry->path, link ? TB_ENTRY_SYMLINK : TB_ENTRY_FILE,
                             link ? S_IFLNK | 0777u : mode_of(delta, entry));
    add_op(putting->wanted, item->kind, item);
    g_ptr_array_add(putting->oids, (void *)(uintptr_t)entry->oid);
}

static bool blob_begin(size_t index, uint64_t size, void *user_data, GError **error)
{
    Putting *putting = user_data;
    Op *op = &g_array_index(putting->wanted, Op, index);
    op->item->size = size;
    g_string_truncate(putting->target, 0);
    if (op->kind == TB_ENTRY_FILE)
        op->stored = putting->at;
    return op->kind == TB_ENTRY_FILE || (size > 0 && size <= MAX_TARGET) ||
           tb_error_set(error, TB_ERROR_UNSUPPORTED, "a symbolic link's target is impossible");
}

static bool blob_bytes(const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Putting *putting = user_data;
    g_string_append_len(
        putting->target, (const char *)data,
        (gssize)MIN(length, MAX_TARGET + 1 - MIN(putting->target->len, MAX_TARGET)));
    putting->at += (off_t)length;
    return tb_write_all(putting->delta->store, data, length, "the box's files", error);
}

static bool blob_end(size_t index, void *user_data, GError **error)
{
    Putting *putting = user_data;
    const Op *op = &g_array_index(putting->wanted, Op, index);
    if (op->kind == TB_ENTRY_SYMLINK)
        op->item->text = g_strndup(putting->target->str, op->item->size);
    return true;
}

static bool open_store(TbDelta *delta, TbGit *git, GError **error)
{
    g_autofree char *path = g_build_filename(tb_git_path(git), "store-XXXXXX", NULL);
    delta->store = mkostemp(path, O_CLOEXEC);
    return (delta->store >= 0 && unlink(path) == 0) ||
           tb_error_set_errno(error, errno, "cannot make a file in '%s'", tb_git_path(git));
}

static bool put(Putting *putting, TbGit *git, const TbTreeEntry *entries, size_t count,
                GError **error)
{
    static const TbBlobStream stream = {blob_begin, blob_bytes, blob_end};
    TbDelta *delta = putting->delta;
    count_left(putting, entries, count);
    for (size_t i = 0; i < count; i++)
        if (is_removed(delta, &entries[i]))
            remove_path(putting, entries[i].path);
    for (size_t i = 0; i < count; i++)
        if (entries[i].mode != 0 && is_shown(delta, &entries[i]))
            want_path(putting, &entries[i]);
    if (!tb_git_stream_blobs(git, (const char *const *)putting->oids->pdata, putting->oids->len,
                             &stream, putting, error))
        return false;
    for (guint i = 0; i < putting->wanted->len; i++) {
        const Op *op = &g_array_index(putting->wanted, Op, i);
        add_dirs(putting, op->path);
        g_array_append_val(delta->ops, *op);
    }
    return true;
}

bool tb_delta_put_tree(TbDelta *delta, TbGit *git, const TbTreeEntry *entries, size_t count,
                       GError **error)
{
    g_autoptr(GHashTable) dirs = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) left = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GArray) wanted = g_array_new(FALSE, FALSE, sizeof(Op));
    g_autoptr(GPtrArray) oids = g_ptr_array_new();
    g_autoptr(GString) target = g_string_new(NULL);
    Putting putting = {.delta = delta,
                       .dirs = dirs,
                       .left = left,
                       .wanted = wanted,
                       .oids = oids,
                       .target = target};
    delta->made = g_ptr_array_new_with_free_func(item_free);
    return open_store(delta, git, error) && put(&putting, git, entries, count, error);
}
