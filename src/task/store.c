/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tasks on disk: made, found, locked, saved.
 *
 * A task appears under its id in one step: it is made under a dotted name, locked, given a first
 * record, and renamed. So whoever sees a task sees a record, and an unfinished task whose lock is
 * free has lost its taskbox (the kernel gives a dead process's lock back).
 */
#include "task/store-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "task/id.h"
#include "task/record.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/paths.h"

#define RECORD_LIMIT (16u << 20)
#define ID_TRIES     64
#define SHOWN_IDS    5

TbStore *tb_store_open_at(const char *path, GError **error)
{
    tb_autofd fd = tb_open_private_dir(path, error);
    if (fd < 0)
        return NULL;
    TbStore *store = g_new(TbStore, 1);
    *store = (TbStore){.path = g_strdup(path), .dirfd = tb_steal_fd(&fd)};
    return store;
}

TbStore *tb_store_open(GError **error)
{
    g_autofree char *state = tb_path_state();
    tb_autofd parent = tb_open_private_dir(state, error);
    if (parent < 0)
        return NULL;
    g_autofree char *path = g_build_filename(state, "tasks", NULL);
    return tb_store_open_at(path, error);
}

void tb_store_free(TbStore *store)
{
    if (!store)
        return;
    tb_clear_fd(&store->dirfd);
    g_free(store->path);
    g_free(store);
}

const char *tb_store_path(const TbStore *store)
{
    return store->path;
}

int tb_store_lock(TbStore *store, GError **error)
{
    return tb_lock(store->dirfd, ".lock", true, error);
}

char *tb_task_path(const TbTask *task, const char *name)
{
    return g_build_filename(task->dir, name, NULL);
}

static bool write_record(TbTask *task, GError **error)
{
    g_autofree char *json = tb_record_format(task);
    if (!tb_write_atomic(task->dirfd, "record.json", json, strlen(json), 0600, error)) {
        g_prefix_error(error, "cannot save task '%s': ", task->id);
        return false;
    }
    return true;
}

static int64_t now_ms(void)
{
    return g_get_real_time() / 1000;
}

bool tb_task_save(TbTask *task, TbTaskState state, GError **error)
{
    task->state = state;
    if (!task->ended && (state == TB_TASK_READY || state == TB_TASK_FAILED))
        task->ended = now_ms();
    return write_record(task, error);
}

void tb_task_fail(TbTask *task, const GError *reason)
{
    g_free(task->error_code);
    g_free(task->error_message);
    task->error_code = g_strdup(tb_error_code_name(tb_error_code(reason)));
    task->error_message = g_strdup(reason->message);
    g_autoptr(GError) error = NULL;
    if (!tb_task_save(task, TB_TASK_FAILED, &error))
        tb_warn("%s", error->message);
}

/* Makes the task `id` under its dotted name, locked. */
static TbTask *stage(TbStore *store, const char *id, const char *staging, GError **error)
{
    g_autoptr(TbTask) task = tb_record_new();
    task->id = g_strdup(id);
    task->dir = g_build_filename(store->path, id, NULL);
    task->created = now_ms();
    if (mkdirat(store->dirfd, staging, 0700) == 0)
        task->dirfd = tb_open_beneath(store->dirfd, staging, O_RDONLY | O_DIRECTORY, 0);
    if (task->dirfd < 0) {
        tb_error_set_errno(error, errno, "cannot create task directory '%s'", task->dir);
        return NULL;
    }
    task->lock_fd = tb_lock(task->dirfd, "lock", false, error);
    if (task->lock_fd < 0 || !write_record(task, error))
        return NULL;
    return g_steal_pointer(&task);
}

TbTask *tb_task_within(const TbTask *task, const char *name, GError **error)
{
    g_autoptr(TbTask) part = tb_record_new();
    part->id = g_strdup(task->id);
    part->dir = tb_task_path(task, name);
    part->created = now_ms();
    part->project_root = g_strdup(task->project_root);
    part->project_subdir = g_strdup(task->project_subdir);
    part->project_name = g_strdup(task->project_name);
    if (!tb_remove_tree(task->dirfd, name, error))
        return NULL;
    if (mkdirat(task->dirfd, name, 0700) == 0)
        part->dirfd = tb_open_beneath(task->dirfd, name, O_RDONLY | O_DIRECTORY, 0);
    if (part->dirfd < 0) {
        tb_error_set_errno(error, errno, "cannot create directory '%s'", part->dir);
        return NULL;
    }
    return g_steal_pointer(&part);
}

/* *taken: the id is another task's. */
static TbTask *create_as(TbStore *store, const char *id, bool *taken, GError **error)
{
    struct stat st;
    *taken = fstatat(store->dirfd, id, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (*taken || !tb_mark_set(store, id, error))
        return NULL;
    g_autofree char *staging = g_strconcat(TB_STORE_NEW, id, NULL);
    g_autoptr(TbTask) task = stage(store, id, staging, error);
    if (task && renameat2(store->dirfd, staging, store->dirfd, id, RENAME_NOREPLACE) < 0) {
        tb_error_set_errno(error, errno, "cannot create task '%s'", id);
        g_clear_pointer(&task, tb_task_free);
    }
    if (!task) {
        tb_remove_tree(store->dirfd, staging, NULL);
        return NULL;
    }
    fsync(store->dirfd);
    return g_steal_pointer(&task);
}

TbTask *tb_task_create(TbStore *store, GError **error)
{
    tb_autofd lock = tb_store_lock(store, error);
    if (lock < 0)
        return NULL;
    for (int tries = 0; tries < ID_TRIES; tries++) {
        g_autofree char *id = tb_id_new();
        bool taken = false;
        TbTask *task = create_as(store, id, &taken, error);
        if (!taken)
            return task;
    }
    tb_error_set(error, TB_ERROR_LIMIT, "cannot find a free task id (run 'taskbox gc --apply')");
    return NULL;
}

static bool read_record(TbTask *task, GError **error)
{
    g_autoptr(GBytes) bytes = tb_read_file_at(task->dirfd, "record.json", RECORD_LIMIT, error);
    size_t length = 0;
    const char *text = bytes ? g_bytes_get_data(bytes, &length) : NULL;
    if (!text || !tb_record_parse(task, text, length, error)) {
        g_prefix_error(error, "cannot read task '%s': ", task->id);
        return false;
    }
    return true;
}

TbTask *tb_store_load(TbStore *store, const char *id, GError **error)
{
    g_autoptr(TbTask) task = tb_record_new();
    task->id = g_strdup(id);
    task->dir = g_build_filename(store->path, id, NULL);
    task->dirfd = tb_open_beneath(store->dirfd, id, O_RDONLY | O_DIRECTORY, 0);
    if (task->dirfd < 0) {
        tb_error_set_errno(error, errno, "cannot open task '%s'", id);
        return NULL;
    }
    return read_record(task, error) ? g_steal_pointer(&task) : NULL;
}

bool tb_task_reload(TbTask *task, GError **error)
{
    TbTask *fresh = tb_record_new();
    fresh->id = g_strdup(task->id);
    fresh->dir = g_strdup(task->dir);
    fresh->dirfd = task->dirfd;
    fresh->lock_fd = task->lock_fd;
    TbTask old = *task;
    if (!read_record(fresh, error)) {
        fresh->dirfd = fresh->lock_fd = -1; /* stay the caller's */
        tb_task_free(fresh);
        return false;
    }
    *task = *fresh;
    *fresh = old;
    fresh->dirfd = fresh->lock_fd = -1;
    tb_task_free(fresh);
    return true;
}

bool tb_task_lock(TbTask *task, GError **error)
{
    if (task->lock_fd >= 0)
        return true;
    g_autoptr(GError) why = NULL;
    task->lock_fd = tb_lock(task->dirfd, "lock", false, &why);
    if (task->lock_fd < 0 && tb_error_code(why) == TB_ERROR_BUSY)
        return tb_error_set(error, TB_ERROR_BUSY,
                            "task '%s' is in use by another taskbox (wait until it ends)",
                            task->id);
    if (task->lock_fd < 0) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    return tb_task_reload(task, error);
}

bool tb_task_is_locked(TbTask *task)
{
    if (task->lock_fd >= 0)
        return false; /* by ourselves */
    tb_autofd fd = openat(task->dirfd, "lock", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* The record tells, and when that taskbox died, the lock. */
static bool is_going_on(TbTask *task)
{
    return tb_task_reload(task, NULL) &&
           (tb_task_state_unfinished(task->state) || task->trial.running);
}

bool tb_task_is_alive(TbTask *task)
{
    if (!is_going_on(task))
        return false;
    return tb_task_is_locked(task) || (is_going_on(task) && tb_task_is_locked(task));
}

GPtrArray *tb_dir_names(int dirfd, const char *path, GError **error)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    if (!stream) {
        tb_error_set_errno(error, errno, "cannot read directory '%s'", path);
        tb_clear_fd(&fd);
        return NULL;
    }
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    for (struct dirent *entry; (entry = readdir(stream));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            g_ptr_array_add(names, g_strdup(entry->d_name));
    closedir(stream);
    return names;
}

GPtrArray *tb_store_names(TbStore *store, GError **error)
{
    GPtrArray *names = tb_dir_names(store->dirfd, store->path, error);
    for (guint i = 0; names && i < names->len;) {
        if (*(const char *)names->pdata[i] == '.')
            g_ptr_array_remove_index_fast(names, i);
        else
            i++;
    }
    return names;
}

static int compare_newest_first(const void *a, const void *b)
{
    const TbTask *first = *(TbTask *const *)a, *second = *(TbTask *const *)b;
    if (first->created != second->created)
        return first->created < second->created ? 1 : -1;
    return strcmp(first->id, second->id);
}

GPtrArray *tb_task_list(TbStore *store, GError **error)
{
    g_autoptr(GPtrArray) names = tb_store_names(store, error);
    if (!names)
        return NULL;
    GPtrArray *tasks = g_ptr_array_new_with_free_func((GDestroyNotify)tb_task_free);
    for (guint i = 0; i < names->len; i++) {
        g_autoptr(GError) why = NULL;
        TbTask *task = tb_store_load(store, names->pdata[i], &why);
        if (task)
            g_ptr_array_add(tasks, task);
        else if (tb_error_code(why) != TB_ERROR_NOT_FOUND) /* removed a moment ago */
            tb_warn("%s", why->message);
    }
    g_ptr_array_sort(tasks, compare_newest_first);
    return tasks;
}

static TbTask *open_last(TbStore *store, GError **error)
{
    g_autoptr(GPtrArray) tasks = tb_task_list(store, error);
    if (!tasks)
        return NULL;
    if (tasks->len == 0) {
        tb_error_set(error, TB_ERROR_NOT_FOUND,
                     "there is no task yet (start one with 'taskbox run')");
        return NULL;
    }
    return g_ptr_array_steal_index(tasks, 0);
}

static bool set_ambiguous(const char *prefix, const GPtrArray *found, GError **error)
{
    g_autoptr(GString) list = g_string_new(NULL);
    for (guint i = 0; i < found->len && i < SHOWN_IDS; i++)
        g_string_append_printf(list, "%s%s", i ? ", " : "", (const char *)found->pdata[i]);
    return tb_error_set(error, TB_ERROR_USAGE, "'%s' names %u tasks: %s%s (give more letters)",
                        prefix, found->len, list->str, found->len > SHOWN_IDS ? ", ..." : "");
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

TbTask *tb_task_open(TbStore *store, const char *name, GError **error)
{
    if (strcmp(name, "@last") == 0)
        return open_last(store, error);
    g_autoptr(GPtrArray) names =
        tb_id_is_prefix(name) ? tb_store_names(store, error) : g_ptr_array_new();
    if (!names)
        return NULL;
    g_autoptr(GPtrArray) found = g_ptr_array_new();
    for (guint i = 0; i < names->len; i++) {
        if (strcmp(names->pdata[i], name) == 0)
            return tb_store_load(store, name, error);
        if (g_str_has_prefix(names->pdata[i], name))
            g_ptr_array_add(found, names->pdata[i]);
    }
    g_ptr_array_sort(found, compare_texts);
    if (found->len == 1)
        return tb_store_load(store, found->pdata[0], error);
    if (found->len == 0)
        tb_error_set(error, TB_ERROR_NOT_FOUND, "there is no task '%s' (see 'taskbox ls')", name);
    else
        set_ambiguous(name, found, error);
    return NULL;
}
