/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Garbage collection. Dry and real runs walk the same path and differ in one flag, so the first
 * says what the second does. Busy tasks are passed over: their lock cannot be had.
 */
#include "task/gc.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "builder/build.h"
#include "image/store.h"
#include "image/template.h"
#include "project/project.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"
#include "vm/box.h"

static void item_free(void *data)
{
    TbGcItem *item = data;
    g_free(item->what);
    g_free(item);
}

static void add_item(GPtrArray *items, char *what, uint64_t bytes)
{
    TbGcItem *item = g_new(TbGcItem, 1);
    *item = (TbGcItem){.what = what, .bytes = bytes};
    g_ptr_array_add(items, item);
}

/* Bytes on disk of a tree; what cannot be read counts nothing. Closes `fd`. */
static uint64_t tree_bytes(int fd)
{
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    uint64_t sum = 0;
    for (struct dirent *entry; stream && (entry = readdir(stream));) {
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(dirfd(stream), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        sum += (uint64_t)st.st_blocks * 512;
        if (S_ISDIR(st.st_mode))
            sum += tree_bytes(openat(dirfd(stream), entry->d_name,
                                     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    }
    if (stream)
        closedir(stream);
    return sum;
}

static uint64_t bytes_of(const TbTask *task, const char *name)
{
    return tree_bytes(openat(task->dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

static bool is_old(const TbTask *task, uint64_t max_age)
{
    int64_t since = task->ended ? task->ended : task->created;
    return g_get_real_time() / 1000 - since >= (int64_t)max_age * 1000;
}

static bool drop_kept_box(TbTask *task, GError **error)
{
    g_autofree char *box = tb_task_path(task, "box");
    task->keep = false;
    return tb_box_clean(box, error) && tb_task_save(task, task->state, error);
}

/* What goes of a task that nobody works on. */
typedef enum { GOES_NOTHING, GOES_BOX, GOES_TASK } Goes;

static Goes what_goes(const TbTask *task, uint64_t max_age)
{
    bool old = is_old(task, max_age);
    bool ended = task->state == TB_TASK_FAILED || task->state == TB_TASK_APPLIED;
    if (task->state == TB_TASK_DISCARDED || (ended && old))
        return GOES_TASK;
    return task->keep && old ? GOES_BOX : GOES_NOTHING;
}

/* The disk of a box that stays lies on its image's: the image is added to `images`. */
static bool collect_task(TbStore *store, TbTask *task, uint64_t max_age, bool apply,
                         GPtrArray *items, GHashTable *images, GError **error)
{
    g_autoptr(GError) busy = NULL;
    bool ours = !tb_task_state_unfinished(task->state) && tb_task_lock(task, &busy);
    Goes goes = ours ? what_goes(task, max_age) : GOES_NOTHING;
    if (goes == GOES_TASK) {
        add_item(items, g_strdup_printf("task %s (%s)", task->id, tb_task_state_name(task->state)),
                 bytes_of(task, "."));
        return !apply || tb_task_remove(store, task, error);
    }
    if (goes == GOES_BOX) {
        add_item(items, g_strdup_printf("kept box of task %s", task->id), bytes_of(task, "box"));
        return !apply || drop_kept_box(task, error);
    }
    if (task->keep && task->image_digest)
        g_hash_table_add(images, g_strdup(task->image_digest));
    return true;
}

static bool collect_images(uint64_t max_age, bool apply, GHashTable *keep, GPtrArray *items,
                           GError **error)
{
    unsigned count = 0;
    uint64_t bytes = 0;
    if (!tb_project_images_gc(max_age, apply, &count, &bytes, error))
        return false;
    if (count > 0)
        add_item(items, g_strdup_printf("%u unused project image%s", count, count == 1 ? "" : "s"),
                 bytes);
    g_autoptr(GPtrArray) images = tb_image_gc(apply, keep, error);
    if (images && !tb_template_gc(max_age, apply, images, error))
        return false;
    if (images)
        tb_builder_clean(apply, images);
    for (guint i = 0; images && i < images->len; i++)
        add_item(items, g_strdup(images->pdata[i]), 0);
    return images != NULL;
}

GPtrArray *tb_gc(TbStore *store, uint64_t max_age, bool apply, GError **error)
{
    g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(item_free);
    g_autoptr(GPtrArray) tasks = tb_task_list(store, error);
    if (!tasks)
        return NULL;
    g_autoptr(GHashTable) keep = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < tasks->len; i++) {
        g_autoptr(GError) why = NULL; /* one that stays does not keep the others */
        if (!collect_task(store, tasks->pdata[i], max_age, apply, items, keep, &why))
            tb_warn("%s", why->message);
    }
    return collect_images(max_age, apply, keep, items, error) ? g_steal_pointer(&items) : NULL;
}
