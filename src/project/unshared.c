/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a share of the project's own directory must not show. The guest covers with the delta what
 * its tasks should not see, but its root can look beneath: only what the jail of the file server
 * has no way to is hidden.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "project/image-private.h"
#include "project/private.h"
#include "util/error.h"

#define MAX_PATH 3072 /* the jail has its own in front */

static gint by_path(gconstpointer a, gconstpointer b)
{
    return tb_path_order(*(const char *const *)a, *(const char *const *)b);
}

/* A directory that is there, and not a link to one. */
static void add_dir(GPtrArray *list, const TbProject *project, const char *path)
{
    struct stat st;
    if (*path && strlen(path) < MAX_PATH &&
        fstatat(project->fds[TB_SOURCE_ROOT], path, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) ==
            0 &&
        S_ISDIR(st.st_mode))
        g_ptr_array_add(list, g_strdup(path));
}

static void add_git_dir(GPtrArray *list, const TbProject *project, const char *dir)
{
    size_t length = strlen(project->root);
    if (dir && strncmp(dir, project->root, length) == 0 && dir[length] == '/')
        add_dir(list, project, dir + length + 1);
}

/* Those that lie below others go. */
static void keep_outermost(GPtrArray *list)
{
    guint kept = 0;
    g_ptr_array_sort(list, by_path); /* what lies below one follows it at once */
    for (guint i = 0; i < list->len; i++) {
        const char *path = list->pdata[i], *last = kept > 0 ? list->pdata[kept - 1] : NULL;
        if (last && (g_str_equal(path, last) || tb_path_is_beneath(path, last)))
            continue;
        gpointer swapped = list->pdata[kept];
        list->pdata[kept++] = list->pdata[i];
        list->pdata[i] = swapped;
    }
    g_ptr_array_set_size(list, (gint)kept);
}

char **tb_project_unshared(const TbProjectImage *image, const TbScan *scan, unsigned most,
                           GError **error)
{
    const TbProject *project = scan->project;
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
    if (scan->masked->len > 0) {
        tb_error_set(error, TB_ERROR_UNSUPPORTED,
                     "a box that shares the project by %s would see what must be hidden: %s "
                     "(use --mount image, or --include it)",
                     tb_project_image_filesystem(image), (char *)scan->masked->pdata[0]);
        return NULL;
    }
    add_dir(list, project, ".git");
    add_git_dir(list, project, project->git_dir);
    add_git_dir(list, project, project->common_dir);
    for (guint i = 0; i < scan->items->len; i++) {
        const TbItem *item = tb_scan_item(scan, i);
        if (item->kind == TB_ENTRY_DIR && g_str_has_suffix(item->path, "/.git"))
            add_dir(list, project, item->path);
    }
    GHashTableIter iter;
    gpointer path;
    g_hash_table_iter_init(&iter, scan->omitted);
    while (g_hash_table_iter_next(&iter, &path, NULL))
        add_dir(list, project, path);
    keep_outermost(list);
    if (list->len > most) {
        tb_error_set(error, TB_ERROR_UNSUPPORTED,
                     "a box that shares the project by %s would see what must be hidden: it has "
                     "%u git directories and other mounts, and at most %u can be hidden (use "
                     "--mount image)",
                     tb_project_image_filesystem(image), list->len, most);
        return NULL;
    }
    g_ptr_array_add(list, NULL);
    return (char **)g_ptr_array_steal(list, NULL);
}
