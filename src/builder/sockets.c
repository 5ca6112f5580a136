/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * As root libguestfs keeps its sockets in a new directory of /tmp and takes no other place, because
 * elsewhere their paths may be too long. It tells nobody the name and removes the directory only
 * when it ends by itself. So what has come up since it was started, and is dead once it is, is its.
 */
#include "builder/sockets.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "util/auto.h"
#include "util/fs.h"
#include "util/log.h"

#define PARENT "/tmp"
#define PREFIX "libguestfs"
#define RANDOM strlen("XXXXXX")

static bool is_name(const char *name)
{
    return g_str_has_prefix(name, PREFIX) && strlen(name) == strlen(PREFIX) + RANDOM;
}

GHashTable *tb_guestfs_sockets(void)
{
    GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GDir *dir = g_dir_open(PARENT, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir)))
        if (is_name(name))
            g_hash_table_add(names, g_strdup(name));
    if (dir)
        g_dir_close(dir);
    return names;
}

static bool is_ours(int parent, const char *name)
{
    struct stat st;
    return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
           st.st_uid == geteuid();
}

/* Another libguestfs may have been started in the meantime. */
static bool is_alive(const char *sockets, const char *name)
{
    g_autofree char *path = g_strdup_printf(PARENT "/%s/", name);
    return strstr(sockets, path) != NULL;
}

void tb_guestfs_sockets_remove(GHashTable *before)
{
    g_autofree char *sockets = NULL;
    g_autoptr(GHashTable) now = tb_guestfs_sockets();
    tb_autofd parent = open(PARENT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0 || !g_file_get_contents("/proc/net/unix", &sockets, NULL, NULL))
        return;
    GHashTableIter iter;
    void *name;
    g_hash_table_iter_init(&iter, now);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        g_autoptr(GError) error = NULL;
        if (g_hash_table_contains(before, name) || !is_ours(parent, name) ||
            is_alive(sockets, name))
            continue;
        if (!tb_remove_tree(parent, name, &error))
            tb_warn("cannot remove what libguestfs left: %s", error->message);
    }
}
