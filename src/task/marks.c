/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which tasks may need to be looked after, so that a command reads the records of those alone and
 * not of all there ever were.
 *
 * A task is marked (an empty file of its name in .marks-BOOT) before it appears, before an apply
 * begins, before it is removed; whoever finds that nothing is left to do takes the mark off. All of
 * that happens under the store's lock. Marks are not forced to the disk: they outlive any process,
 * and after a crash of the machine its boot id is another one, for which every task is marked anew.
 */
#include "task/store-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"

#define PREFIX ".marks-"

static char *directory_name(void)
{
    g_autofree char *boot = NULL;
    if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &boot, NULL, NULL))
        boot = g_strdup("unknown");
    return g_strconcat(PREFIX, g_strstrip(boot), NULL);
}

static bool set_in(int marks, const char *id, GError **error)
{
    tb_autofd fd = openat(marks, id, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd >= 0 || tb_error_set_errno(error, errno, "cannot mark task '%s'", id);
}

/* The task that a name in the store has to do with; NULL: none. */
static const char *task_of(const char *name)
{
    static const char *const prefixes[] = {TB_STORE_NEW, TB_STORE_GONE};
    for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++)
        if (g_str_has_prefix(name, prefixes[i]))
            return name + strlen(prefixes[i]);
    return *name != '.' ? name : NULL;
}

/* The first command since the machine was started: all that is there is marked, marks of earlier
 * times go. The store is locked. */
static bool mark_all(TbStore *store, const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = tb_dir_names(store->dirfd, store->path, error);
    if (!names)
        return false;
    for (guint i = 0; i < names->len; i++)
        if (g_str_has_prefix(names->pdata[i], PREFIX) &&
            !tb_remove_tree(store->dirfd, names->pdata[i], error))
            return false;
    g_autofree char *unfinished = g_strconcat(name, ".new", NULL);
    tb_autofd marks = -1;
    if (mkdirat(store->dirfd, unfinished, 0700) == 0)
        marks = tb_open_beneath(store->dirfd, unfinished, O_RDONLY | O_DIRECTORY, 0);
    if (marks < 0)
        return tb_error_set_errno(error, errno, "cannot create a directory in '%s'", store->path);
    for (guint i = 0; i < names->len; i++) {
        const char *id = task_of(names->pdata[i]);
        if (id && !set_in(marks, id, error))
            return false;
    }
    return renameat(store->dirfd, unfinished, store->dirfd, name) == 0 ||
           tb_error_set_errno(error, errno, "cannot create a directory in '%s'", store->path);
}

/* The directory of marks; -1: not made yet in this boot, or an error. */
static int open_marks(TbStore *store, const char *name, GError **error)
{
    int fd = tb_open_beneath(store->dirfd, name, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0 && errno != ENOENT)
        tb_error_set_errno(error, errno, "cannot open directory '%s/%s'", store->path, name);
    return fd;
}

/* The same, made when it is not there. */
static int need_marks(TbStore *store, bool locked, GError **error)
{
    g_autofree char *name = directory_name();
    g_autoptr(GError) why = NULL;
    int fd = open_marks(store, name, &why);
    if (fd < 0 && !why) {
        tb_autofd lock = locked ? -1 : tb_store_lock(store, &why);
        if (!why)
            fd = open_marks(store, name, &why); /* another one may have made it meanwhile */
        if (fd < 0 && !why && mark_all(store, name, &why))
            fd = open_marks(store, name, &why);
    }
    if (why)
        g_propagate_error(error, g_steal_pointer(&why));
    return fd;
}

bool tb_mark_set(TbStore *store, const char *id, GError **error)
{
    tb_autofd marks = need_marks(store, true, error);
    return marks >= 0 && set_in(marks, id, error);
}

bool tb_mark_take_off(TbStore *store, const char *id, GError **error)
{
    tb_autofd marks = need_marks(store, true, error);
    return marks >= 0 &&
           (unlinkat(marks, id, 0) == 0 || errno == ENOENT ||
            tb_error_set_errno(error, errno, "cannot take the mark off task '%s'", id));
}

GPtrArray *tb_store_marked(TbStore *store, GError **error)
{
    tb_autofd marks = need_marks(store, false, error);
    return marks >= 0 ? tb_dir_names(marks, store->path, error) : NULL;
}
