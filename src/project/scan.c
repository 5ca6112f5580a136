/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a scan holds and how it is asked. The walk that fills it is in scan-walk.c. */
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

int tb_path_order(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    int x = *a == '/' ? 1 : *a ? (unsigned char)*a + 1 : 0;
    int y = *b == '/' ? 1 : *b ? (unsigned char)*b + 1 : 0;
    return x - y;
}

bool tb_path_is_beneath(const char *path, const char *dir)
{
    size_t length = strlen(dir);
    return strncmp(path, dir, length) == 0 && path[length] == '/';
}

bool tb_path_in_git(const char *path)
{
    return strcmp(path, ".git") == 0 || tb_path_is_beneath(path, ".git");
}

TbItem *tb_scan_item(const TbScan *scan, guint index)
{
    return &g_array_index(scan->items, TbItem, index);
}

TbItem *tb_scan_find(const TbScan *scan, const char *path)
{
    guint index = GPOINTER_TO_UINT(g_hash_table_lookup(scan->by_path, path));
    return index ? tb_scan_item(scan, index - 1) : NULL;
}

void tb_scan_leave_out(TbScan *scan, const char *path, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *reason = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *name = tb_escape_name(path);
    g_ptr_array_add(scan->left_out, g_strdup_printf("%s: %s", name, reason));
    g_hash_table_add(scan->omitted, g_strdup(path));
}

void tb_item_take_stat(TbItem *item, const struct stat *st)
{
    item->mode = st->st_mode;
    item->size = (uint64_t)st->st_size;
    item->ino = st->st_ino;
    item->mtime = st->st_mtim;
    item->ctime = st->st_ctim;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool tb_item_same(const TbItem *item, const struct stat *st)
{
    return item->mode == st->st_mode && item->ino == st->st_ino &&
           item->size == (uint64_t)st->st_size && same_time(&item->mtime, &st->st_mtim) &&
           same_time(&item->ctime, &st->st_ctim);
}

int tb_item_open(const TbProject *project, const TbItem *item, struct stat *st, GError **error)
{
    tb_autofd fd = tb_hole("scan-follow")
                       ? openat(project->fds[item->source], item->path + item->skip, O_RDONLY)
                       : tb_open_beneath(project->fds[item->source], item->path + item->skip,
                                         O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY, 0);
    int reason = fd < 0 || fstat(fd, st) < 0 ? errno : 0;
    if (reason == 0 && S_ISREG(st->st_mode))
        return tb_steal_fd(&fd);
    g_autofree char *name = tb_escape_name(item->path);
    if (reason)
        tb_error_set_errno(error, reason, "cannot open '%s'", name);
    else
        tb_error_set(error, TB_ERROR_BUSY, "cannot open '%s': it is no file any more", name);
    return -1;
}

static void item_clear(void *data)
{
    TbItem *item = data;
    g_free(item->path);
    g_free(item->text);
}

void tb_scan_own_items(TbScan *scan)
{
    g_array_set_clear_func(scan->items, item_clear);
}

TbScan *tb_scan_alloc(TbProject *project)
{
    TbScan *scan = g_new0(TbScan, 1);
    scan->project = project;
    scan->items = g_array_new(FALSE, TRUE, sizeof(TbItem));
    tb_scan_own_items(scan);
    scan->by_path = g_hash_table_new(g_str_hash, g_str_equal);
    scan->omitted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    scan->left_out = g_ptr_array_new_with_free_func(g_free);
    scan->nested = g_ptr_array_new_with_free_func(g_free);
    scan->masked = g_ptr_array_new_with_free_func(g_free);
    scan->masked_paths = g_ptr_array_new_with_free_func(g_free);
    scan->masked_dirs = g_hash_table_new(g_str_hash, g_str_equal);
    scan->masked_inodes = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    scan->shown = g_ptr_array_new_with_free_func(g_free);
    scan->list = tb_mask_list_new();
    /* The clock that the kernel takes file times from. */
    clock_gettime(CLOCK_REALTIME_COARSE, &scan->started);
    return scan;
}

void tb_scan_free(TbScan *scan)
{
    if (!scan)
        return;
    g_hash_table_unref(scan->by_path);
    g_hash_table_unref(scan->omitted);
    g_array_unref(scan->items);
    g_ptr_array_unref(scan->left_out);
    g_ptr_array_unref(scan->nested);
    g_hash_table_unref(scan->masked_dirs);
    g_hash_table_unref(scan->masked_inodes);
    g_ptr_array_unref(scan->masked);
    g_ptr_array_unref(scan->masked_paths);
    g_ptr_array_unref(scan->shown);
    tb_mask_list_free(scan->list);
    tb_index_free(scan->index);
    g_free(scan->index_at);
    g_free(scan->ignore_file);
    g_free(scan->rules);
    g_free(scan->index_state);
    g_free(scan->odd_git_input);
    g_free(scan);
}

uint64_t tb_scan_files(const TbScan *scan)
{
    return scan->files;
}

uint64_t tb_scan_bytes(const TbScan *scan)
{
    return scan->bytes;
}

const GPtrArray *tb_scan_nested(const TbScan *scan)
{
    return scan->nested;
}

const GPtrArray *tb_scan_masked(const TbScan *scan)
{
    return scan->masked;
}

const GPtrArray *tb_scan_masked_paths(const TbScan *scan)
{
    return scan->masked_paths;
}

const GPtrArray *tb_scan_shown(const TbScan *scan)
{
    return scan->shown;
}

const GPtrArray *tb_scan_left_out(const TbScan *scan)
{
    return scan->left_out;
}
