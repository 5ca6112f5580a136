/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a scan to a masked one. It is the one place that decides: image, delta and base tree take
 * what they carry from the scan's items, and what is masked is not there any more but as an empty
 * file or directory of ours.
 */
#include "project/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"
#include "util/hole.h"

#define IGNORE_FILE  ".taskboxignore"
#define IGNORE_LIMIT ((size_t)1 << 20)
#define COPY_NAME    "project-index"
#define FINE_SLACK_S 2

static bool refuse_file(const TbScan *scan, const char *why, GError **error)
{
    return tb_error_set(error, TB_ERROR_DENIED, "cannot use '%s/" IGNORE_FILE "': it is %s",
                        scan->project->root, why);
}

/* One that is there and cannot be read must not mean that nothing is masked. */
static bool read_ignore_file(TbScan *scan, GError **error)
{
    const TbItem *item = tb_scan_find(scan, IGNORE_FILE);
    if (!item && !g_hash_table_contains(scan->omitted, IGNORE_FILE))
        return true;
    if (!item || item->kind != TB_ENTRY_FILE)
        return refuse_file(scan, "no file that can be read", error);
    if (item->size > IGNORE_LIMIT)
        return refuse_file(scan, "larger than 1 MiB", error);
    g_autoptr(GBytes) bytes =
        tb_read_file_at(scan->project->fds[TB_SOURCE_ROOT], IGNORE_FILE, IGNORE_LIMIT, error);
    if (!bytes)
        return false;
    gsize size = 0;
    const char *text = g_bytes_get_data(bytes, &size);
    if (strlen(text) != size)
        return refuse_file(scan, "no text", error);
    scan->ignore_file = g_strdup(text);
    return true;
}

static void add_text(GChecksum *checksum, const char *text)
{
    g_checksum_update(checksum, (const guchar *)(text ? text : ""), text ? -1 : 0);
    g_checksum_update(checksum, (const guchar *)(text ? "+" : "-"), 2);
}

static char *digest(const TbScan *scan)
{
    const TbProject *project = scan->project;
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree char *history =
        g_strdup_printf("%d %u", (int)project->history.kind, project->history.depth);
    tb_mask_list_digest(checksum);
    add_text(checksum, scan->ignore_file);
    add_text(checksum, project->exclude ? project->exclude->str : NULL);
    add_text(checksum, project->include ? project->include->str : NULL);
    add_text(checksum, history);
    return g_strdup(g_checksum_get_string(checksum));
}

/* An index that was written this very moment could be written again without its times showing it.
 */
static char *index_state(const TbScan *scan)
{
    struct stat st;
    g_autofree char *path =
        scan->project->git_dir ? g_build_filename(scan->project->git_dir, "index", NULL) : NULL;
    if (!path || lstat(path, &st) < 0)
        return g_strdup("none");
    if (st.st_ctim.tv_sec > scan->started.tv_sec - FINE_SLACK_S)
        return g_strdup("");
    return g_strdup_printf("%" G_GUINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT
                           ".%09ld %" G_GINT64_FORMAT ".%09ld",
                           (guint64)st.st_ino, (gint64)st.st_size, (gint64)st.st_mtim.tv_sec,
                           st.st_mtim.tv_nsec, (gint64)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
}

bool tb_scan_read_rules(TbScan *scan, GError **error)
{
    if (!read_ignore_file(scan, error))
        return false;
    scan->rules = digest(scan);
    scan->index_state = index_state(scan);
    scan->masks_done = scan->listed == 0 && !scan->ignore_file && !scan->project->exclude;
    return true;
}

/* ---- what git tracks */

char *tb_scan_index_copy(TbGit *git)
{
    return g_build_filename(tb_git_path(git), COPY_NAME, NULL);
}

TbIndex *tb_scan_index(TbScan *scan, TbGit *git, GError **error)
{
    g_autofree char *copy = tb_scan_index_copy(git);
    if (scan->index && strcmp(scan->index_at, copy) == 0)
        return scan->index;
    g_clear_pointer(&scan->index, tb_index_free);
    g_free(scan->index_at);
    scan->index_at = g_steal_pointer(&copy);
    scan->index = tb_index_read(scan->project, git, scan->index_at, error);
    return scan->index;
}

/* The first entry that is not before `path`. */
static guint lower_bound(const TbIndex *index, const char *path)
{
    guint low = 0, high = index->entries->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        if (strcmp(g_array_index(index->entries, TbIndexEntry, middle).path, path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool starts_at(const TbIndex *index, guint at, const char *text, bool whole)
{
    if (at >= index->entries->len)
        return false;
    const char *path = g_array_index(index->entries, TbIndexEntry, at).path;
    return whole ? strcmp(path, text) == 0 : g_str_has_prefix(path, text);
}

static bool is_tracked(const TbIndex *index, const char *path)
{
    return starts_at(index, lower_bound(index, path), path, true);
}

static bool holds_tracked(const TbIndex *index, const char *dir)
{
    g_autofree char *start = g_strconcat(dir, "/", NULL);
    return starts_at(index, lower_bound(index, start), start, false);
}

/* In a repository inside of the project, or with one in it: what that tracks its own objects hold.
 */
static bool in_nested(const TbScan *scan, const char *path)
{
    for (guint i = 0; i < scan->nested->len; i++)
        if (tb_path_is_beneath(path, scan->nested->pdata[i]) ||
            strcmp(path, scan->nested->pdata[i]) == 0 ||
            tb_path_is_beneath(scan->nested->pdata[i], path))
            return true;
    return false;
}

/* ---- what is masked */

static void judge_listed(TbScan *scan, const TbIndex *index)
{
    for (guint i = 0; i < scan->items->len; i++) {
        TbItem *item = tb_scan_item(scan, i);
        item->mask &= TB_MASK_RULES; /* an older answer counts for nothing beside this index */
        if (item->listed && !tb_hole("masks") && !is_tracked(index, item->path))
            item->mask |= TB_MASK_LIST;
    }
}

static void remember_inode(TbScan *scan, const TbItem *item)
{
    if (item->kind != TB_ENTRY_FILE || item->ours)
        return;
    int64_t *inode = g_new(int64_t, 1);
    *inode = (int64_t)item->ino;
    g_hash_table_add(scan->masked_inodes, inode);
}

/* Marks what lies below masked directories with their reason, and all other names of masked files.
 */
static void spread(TbScan *scan)
{
    const TbItem *above = NULL;
    for (guint i = 0; i < scan->items->len; i++) {
        TbItem *item = tb_scan_item(scan, i);
        if (above && !tb_path_is_beneath(item->path, above->path))
            above = NULL;
        if (above)
            item->mask |= above->mask;
        else if (item->mask && item->kind == TB_ENTRY_DIR)
            above = item;
        if (item->mask)
            remember_inode(scan, item);
    }
    if (g_hash_table_size(scan->masked_inodes) == 0)
        return;
    for (guint i = 0; i < scan->items->len; i++) {
        TbItem *item = tb_scan_item(scan, i);
        if (item->linked && !item->mask && !item->ours && item->source == TB_SOURCE_ROOT &&
            g_hash_table_contains(scan->masked_inodes, &item->ino))
            item->mask |= TB_MASK_LINK;
    }
}

static const char *reason(const TbItem *item)
{
    if (item->mask & TB_MASK_EXCLUDE)
        return "--exclude";
    if (item->mask & TB_MASK_FILE)
        return IGNORE_FILE;
    return item->mask & TB_MASK_LIST ? item->listed : "a hard link of a masked file";
}

static bool in_objects(const TbScan *scan, const TbItem *item)
{
    if (!scan->index)
        return (item->mask & TB_MASK_TRACKED) != 0;
    bool tracked = item->kind == TB_ENTRY_DIR ? holds_tracked(scan->index, item->path)
                                              : is_tracked(scan->index, item->path);
    return tracked || (item->mask != TB_MASK_LIST && in_nested(scan, item->path));
}

static void record(TbScan *scan, TbItem *item)
{
    bool dir = item->kind == TB_ENTRY_DIR, tracked = in_objects(scan, item);
    item->mask |= tracked ? TB_MASK_TRACKED : 0;
    scan->masked_tracked += tracked;
    g_autofree char *name = tb_escape_name(item->path);
    g_ptr_array_add(scan->masked, g_strdup_printf("%s%s: %s%s", name, dir ? "/" : "", reason(item),
                                                  tracked ? " (tracked)" : ""));
    g_ptr_array_add(scan->masked_paths, g_strdup(item->path));
}

static void empty(TbScan *scan, TbItem *item)
{
    if (item->kind == TB_ENTRY_DIR)
        return;
    scan->bytes -= item->kind == TB_ENTRY_FILE ? item->size : 0;
    g_free(item->text);
    item->mode = S_IFREG | (item->kind == TB_ENTRY_FILE ? item->mode & 0777 : 0644);
    item->kind = TB_ENTRY_FILE;
    item->size = 0;
    item->text = g_strdup("");
    item->ino = tb_text_number(item->text);
    item->ours = true;
}

static void drop(TbScan *scan, TbItem *item)
{
    scan->files -= item->kind != TB_ENTRY_DIR;
    scan->bytes -= item->kind == TB_ENTRY_FILE ? item->size : 0;
    g_free(item->path);
    g_free(item->text);
}

static void note_shown(TbScan *scan, const TbItem *item)
{
    g_autofree char *name = tb_escape_name(item->path);
    g_ptr_array_add(scan->shown, g_strdup_printf("%s: %s", name, item->listed));
}

/* Replaces what is masked. The list of items is never seen half done. */
static void carry_out(TbScan *scan)
{
    guint kept = 0;
    const char *inside = NULL;
    g_hash_table_remove_all(scan->by_path);
    for (guint i = 0; i < scan->items->len; i++) {
        TbItem *item = tb_scan_item(scan, i);
        bool below = inside && tb_path_is_beneath(item->path, inside);
        if (below) {
            drop(scan, item);
            *item = (TbItem){0};
            continue;
        }
        inside = NULL;
        if (item->mask) {
            record(scan, item);
            empty(scan, item);
        } else if (item->listed) {
            note_shown(scan, item);
        }
        if (item->mask && item->kind == TB_ENTRY_DIR) {
            inside = item->path;
            g_hash_table_add(scan->masked_dirs, item->path);
        }
        if (kept != i) {
            *tb_scan_item(scan, kept) = *item;
            *item = (TbItem){0};
        }
        kept++;
    }
    g_array_set_size(scan->items, kept);
    for (guint i = 0; i < kept; i++)
        g_hash_table_insert(scan->by_path, tb_scan_item(scan, i)->path, GUINT_TO_POINTER(i + 1));
    scan->masks_done = true;
}

void tb_scan_carry_out(TbScan *scan)
{
    spread(scan);
    carry_out(scan);
}

bool tb_scan_without_history(const TbScan *scan)
{
    TbHistoryKind kind = scan->project->history.kind;
    return kind == TB_HISTORY_NONE || (kind == TB_HISTORY_AUTO && scan->masked_tracked > 0);
}

bool tb_scan_mask(TbScan *scan, TbGit *git, GError **error)
{
    if (scan->masks_done)
        return true;
    if (!git)
        return tb_error_set(error, TB_ERROR_INTERNAL, "masks were asked for without git");
    if (!tb_mask_ask(scan, git, error))
        return false;
    const TbIndex *index = tb_scan_index(scan, git, error);
    if (!index)
        return false;
    judge_listed(scan, index);
    tb_scan_carry_out(scan);
    return true;
}

bool tb_scan_is_masked(const TbScan *scan, const char *path)
{
    const TbItem *item = tb_scan_find(scan, path);
    if (item)
        return item->mask != 0;
    if (g_hash_table_size(scan->masked_dirs) == 0)
        return false;
    g_autofree char *part = g_strdup(path);
    for (char *slash; (slash = strrchr(part, '/'));) {
        *slash = '\0';
        if (g_hash_table_contains(scan->masked_dirs, part))
            return true;
    }
    return false;
}
