/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the box needs on top of the image: the scan and the image's manifest, both in the same
 * order, walked side by side once. Parents of what changes are sent, too: the layer that the delta
 * becomes in the box would give them times and modes of its own making.
 */
#include "project/delta-private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"

#define GROWN_ENTRIES 2000
#define GROWN_BYTES   (UINT64_C(32) << 20)
#define GROWN_SHARE   5 /* a fifth of the project */

static bool is_beneath(const char *path, const char *dir)
{
    size_t length = strlen(dir);
    return strncmp(path, dir, length) == 0 && (path[length] == '/' || length == 0);
}

static void add_op(TbDelta *delta, TbEntryKind kind, const char *path, TbItem *item)
{
    Op op = {kind, path, item, -1};
    g_array_append_val(delta->ops, op);
    if (kind == TB_ENTRY_FILE)
        delta->bytes += item->size;
}

static bool in_image(const TbManifestEntry *entry, const TbItem *item)
{
    if (entry->kind != item->kind || entry->mode != item->mode)
        return false;
    if (item->kind == TB_ENTRY_DIR)
        return true;
    if (item->ours) /* the number is its content's, the times are of this scan */
        return entry->size == item->size && entry->ino == item->ino;
    return entry->size == item->size && entry->ino == item->ino &&
           entry->mtime_sec == item->mtime.tv_sec &&
           entry->mtime_nsec == (uint32_t)item->mtime.tv_nsec &&
           entry->ctime_sec == item->ctime.tv_sec &&
           entry->ctime_nsec == (uint32_t)item->ctime.tv_nsec;
}

/* Both sides have the path. */
static void compare(TbDelta *delta, const TbManifestEntry *entry, TbItem *item)
{
    if (in_image(entry, item))
        return;
    bool was_dir = entry->kind == TB_ENTRY_DIR;
    bool becomes_dir = item->kind == TB_ENTRY_DIR && !was_dir;
    add_op(delta, becomes_dir ? TB_ENTRY_REPLACE : item->kind, item->path, item);
}

static void merge(TbDelta *delta, const TbManifest *manifest)
{
    guint i = 0, j = 0;
    guint old_count = manifest ? manifest->entries->len : 0;
    while (i < old_count || j < delta->scan->items->len) {
        const TbManifestEntry *old =
            i < old_count ? &g_array_index(manifest->entries, TbManifestEntry, i) : NULL;
        TbItem *item = j < delta->scan->items->len ? tb_scan_item(delta->scan, j) : NULL;
        int order = !old ? 1 : !item ? -1 : tb_path_order(old->path, item->path);
        bool gone = order < 0;
        if (order >= 0)
            j++;
        if (gone)
            add_op(delta, TB_ENTRY_DELETE, old->path, NULL);
        else if (item->path[0] == '\0')
            gone = false; /* the root is there */
        else if (order > 0)
            add_op(delta, item->kind, item->path, item);
        else
            compare(delta, old, item);
        if (order > 0)
            continue;
        i++;
        /* What lay beneath something that is no directory any more went with it. */
        bool whole = gone || (old->kind == TB_ENTRY_DIR && item->kind != TB_ENTRY_DIR);
        while (whole && i < old_count &&
               is_beneath(g_array_index(manifest->entries, TbManifestEntry, i).path, old->path))
            i++;
    }
}

/* DIR operations for all directories above `op` that `sent` does not have yet. */
static void add_parents(TbDelta *delta, GArray *out, GHashTable *sent, const Op *op)
{
    g_autofree char *path = g_strdup(op->path);
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        TbItem *item = tb_scan_find(delta->scan, path);
        if (item && g_hash_table_add(sent, item)) {
            Op parent = {TB_ENTRY_DIR, item->path, item, -1};
            g_array_append_val(out, parent);
        }
        *slash = '/';
    }
}

static void add_all_parents(TbDelta *delta)
{
    GArray *out = g_array_new(FALSE, FALSE, sizeof(Op));
    g_autoptr(GHashTable) sent = g_hash_table_new(NULL, NULL);
    for (guint i = 0; i < delta->ops->len; i++) {
        const Op *op = &g_array_index(delta->ops, Op, i);
        add_parents(delta, out, sent, op);
        if (op->item)
            g_hash_table_add(sent, op->item);
        g_array_append_vals(out, op, 1);
    }
    g_array_unref(delta->ops);
    delta->ops = out;
}

/* A .git that is made for each task (history.c) is no sign of growth. */
static void forget_git(TbDelta *delta)
{
    guint left = 0;
    delta->bytes = 0;
    for (guint i = 0; i < delta->ops->len; i++) {
        const Op *op = &g_array_index(delta->ops, Op, i);
        if (tb_path_in_git(op->path))
            continue;
        delta->bytes += op->kind == TB_ENTRY_FILE ? op->item->size : 0;
        g_array_index(delta->ops, Op, left++) = *op;
    }
    g_array_set_size(delta->ops, left);
}

bool tb_delta_outgrows(const TbManifest *manifest, TbScan *scan)
{
    TbDelta delta = {.scan = scan, .ops = g_array_new(FALSE, FALSE, sizeof(Op))};
    merge(&delta, manifest);
    if (tb_scan_without_history(scan) || scan->project->history.depth > 0)
        forget_git(&delta);
    guint entries = delta.ops->len;
    g_array_unref(delta.ops);
    return entries > GROWN_ENTRIES ||
           (delta.bytes > GROWN_BYTES && delta.bytes > scan->bytes / GROWN_SHARE);
}

TbDelta *tb_delta_new(TbProjectImage *image, TbScan *scan, GError **error)
{
    if (!scan->masks_done) {
        tb_error_set(error, TB_ERROR_INTERNAL, "a delta of a scan that is not masked");
        return NULL;
    }
    const TbManifest *manifest = tb_project_image_manifest(image);
    if (manifest && manifest->rules && !tb_manifest_fits(manifest, scan)) {
        tb_error_set(error, TB_ERROR_BUSY,
                     "cannot take the project into the box: what is masked changed while the task "
                     "was starting (run it again)");
        return NULL;
    }
    TbDelta *delta = g_new0(TbDelta, 1);
    delta->project = tb_project_image_project(image);
    delta->scan = scan;
    delta->fd = delta->store = -1;
    delta->ops = g_array_new(FALSE, FALSE, sizeof(Op));
    merge(delta, manifest);
    add_all_parents(delta);
    return delta;
}

static bool changed(const TbItem *item, GError **error)
{
    g_autofree char *name = tb_escape_name(item->path);
    return tb_error_set(error, TB_ERROR_BUSY,
                        "cannot take '%s' into the box: it changed while the task was starting "
                        "(run it again)",
                        name);
}

static void fill_entry(TbEntry *entry, const Op *op)
{
    *entry = (TbEntry){
        .kind = op->kind, .path = (const uint8_t *)op->path, .path_length = strlen(op->path)};
    if (!op->item)
        return;
    entry->mode = op->item->mode & 07777;
    entry->mtime_sec = op->item->mtime.tv_sec;
    entry->mtime_nsec = (uint32_t)op->item->mtime.tv_nsec;
    if (op->kind == TB_ENTRY_SYMLINK) {
        entry->target = (const uint8_t *)op->item->text;
        entry->target_length = op->item->size;
    }
}

/* Opens the file. Files that the base tree does not hold may have changed since the scan (a log,
 * say): they go as they are now, and as a deletion when they went away. */
static bool open_file(TbDelta *delta, const Op *op, TbEntry *entry, GError **error)
{
    const TbItem *item = op->item;
    delta->item = item;
    delta->stored = op->stored;
    if (item->ours) {
        delta->left = entry->size = item->size;
        return true;
    }
    struct stat st;
    g_autoptr(GError) reason = NULL;
    tb_clear_fd(&delta->fd);
    delta->fd = tb_item_open(delta->project, item, &st, &reason);
    if (delta->fd < 0 && !item->in_base) {
        entry->kind = TB_ENTRY_DELETE;
        entry->mode = 0;
        entry->mtime_sec = entry->mtime_nsec = 0;
        return true;
    }
    if (delta->fd < 0) {
        g_propagate_error(error, g_steal_pointer(&reason));
        return false;
    }
    if (item->in_base && !tb_item_same(item, &st))
        return changed(item, error);
    entry->mode = st.st_mode & 07777;
    entry->mtime_sec = st.st_mtim.tv_sec;
    entry->mtime_nsec = (uint32_t)st.st_mtim.tv_nsec;
    delta->left = entry->size = (uint64_t)st.st_size;
    return true;
}

bool tb_delta_next(void *data, TbEntry *entry, bool *done, GError **error)
{
    TbDelta *delta = data;
    *done = delta->next >= delta->ops->len;
    if (*done)
        return true;
    const Op *op = &g_array_index(delta->ops, Op, delta->next++);
    fill_entry(entry, op);
    return op->kind != TB_ENTRY_FILE || open_file(delta, op, entry, error);
}

bool tb_delta_read(void *data, uint8_t *buffer, size_t size, size_t *length, GError **error)
{
    TbDelta *delta = data;
    const TbItem *item = delta->item;
    size_t part = (size_t)MIN(delta->left, size);
    *length = part;
    if (part == 0)
        return true;
    if (item->ours && delta->stored < 0) {
        memcpy(buffer, item->text + (item->size - delta->left), part);
        delta->left -= part;
        return true;
    }
    bool stored = delta->stored >= 0;
    ssize_t n;
    do {
        n = stored ? pread(delta->store, buffer, part, delta->stored)
                   : read(delta->fd, buffer, part);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        g_autofree char *name = tb_escape_name(item->path);
        return tb_error_set_errno(error, errno, "cannot read '%s'", name);
    }
    if (n == 0)
        return changed(item, error);
    *length = (size_t)n;
    delta->left -= (uint64_t)n;
    delta->stored += stored ? n : 0;
    struct stat st;
    if (!stored && delta->left == 0 && item->in_base &&
        (fstat(delta->fd, &st) < 0 || !tb_item_same(item, &st)))
        return changed(item, error);
    return true;
}

uint64_t tb_delta_entries(const TbDelta *delta)
{
    return delta->ops->len;
}

uint64_t tb_delta_bytes(const TbDelta *delta)
{
    return delta->bytes;
}

void tb_delta_free(TbDelta *delta)
{
    if (!delta)
        return;
    tb_clear_fd(&delta->fd);
    tb_clear_fd(&delta->store);
    g_array_unref(delta->ops);
    g_clear_pointer(&delta->made, g_ptr_array_unref);
    g_free(delta);
}
