/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Places. A program of ours is looked for in the build tree that the running binary belongs to,
 * else where meson installs it; nothing in the environment can name another.
 *
 * A build tree is the nearest folder above the binary (four at most, the depth of our unit tests)
 * that meson marked as one and that belongs to the binary's owner: with a binary in /tmp a
 * stranger's /tmp/meson-private must not count.
 */
#include "util/paths.h"

#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "util/error.h"

#define LEVELS_UP 4

static char *xdg_folder(const char *variable, const char *fallback)
{
    const char *value = g_getenv(variable);
    if (value && g_path_is_absolute(value))
        return g_build_filename(value, "taskbox", NULL);
    return g_build_filename(g_get_home_dir(), fallback, "taskbox", NULL);
}

char *tb_path_state(void)
{
    return xdg_folder("XDG_STATE_HOME", ".local/state");
}

char *tb_path_data(void)
{
    return xdg_folder("XDG_DATA_HOME", ".local/share");
}

char *tb_path_cache(void)
{
    return xdg_folder("XDG_CACHE_HOME", ".cache");
}

char *tb_path_config(void)
{
    return xdg_folder("XDG_CONFIG_HOME", ".config");
}

static bool is_build_tree(const char *folder, uid_t owner)
{
    g_autofree char *mark = g_build_filename(folder, "meson-private", NULL);
    struct stat st;
    return lstat(mark, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == owner;
}

/* The build tree of the running binary, NULL when it is installed. */
static char *build_tree(void)
{
    g_autofree char *binary = g_file_read_link("/proc/self/exe", NULL);
    struct stat st;
    if (!binary || stat("/proc/self/exe", &st) < 0)
        return NULL;
    g_autofree char *folder = g_path_get_dirname(binary);
    for (int level = 0; level < LEVELS_UP; level++) {
        char *parent = g_path_get_dirname(folder);
        g_free(folder);
        folder = parent;
        if (is_build_tree(folder, st.st_uid))
            return g_steal_pointer(&folder);
    }
    return NULL;
}

static char *first_existing(char *in_build, char *installed, const char *what, GError **error)
{
    g_autofree char *first = in_build;
    g_autofree char *second = installed;
    if (first && g_file_test(first, G_FILE_TEST_EXISTS))
        return g_steal_pointer(&first);
    if (g_file_test(second, G_FILE_TEST_EXISTS))
        return g_steal_pointer(&second);
    tb_error_set(error, TB_ERROR_NOT_FOUND, "cannot find %s: '%s' is not there (install taskbox)",
                 what, second);
    return NULL;
}

char *tb_path_libexec(const char *build_path, const char *name, GError **error)
{
    g_autofree char *tree = build_tree();
    g_autofree char *what = g_strdup_printf("'%s'", name);
    return first_existing(tree ? g_build_filename(tree, "src", build_path, NULL) : NULL,
                          g_build_filename(TB_LIBEXECDIR, name, NULL), what, error);
}

char *tb_path_recipes(GError **error)
{
    g_autofree char *tree = build_tree();
    return first_existing(tree ? g_build_filename(tree, "images", NULL) : NULL,
                          g_build_filename(TB_DATADIR, "images", NULL), "the shipped recipes",
                          error);
}

char *tb_path_redteam(GError **error)
{
    g_autofree char *tree = build_tree();
    return first_existing(tree ? g_build_filename(tree, "redteam", NULL) : NULL,
                          g_build_filename(TB_DATADIR, "redteam", NULL), "the red-team suite",
                          error);
}
