/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The user's own ignore file. git is asked for it only when there is something to ask. */
#include "project/private.h"

#include <string.h>

#define MAX_WORDS 65536

static char *existing(char *path)
{
    if (path && path[0] == '/' && g_file_test(path, G_FILE_TEST_IS_REGULAR))
        return path;
    g_free(path);
    return NULL;
}

/* True when the file could set core.excludesFile, itself or by an include. git knows no other way
 * to write these words than with their letters, of either case. */
static bool may_say(const char *path)
{
    g_autofree char *text = NULL;
    gsize length = 0;
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return false;
    if (!g_file_get_contents(path, &text, &length, NULL) || length > MAX_WORDS ||
        strlen(text) != length)
        return true;
    g_autofree char *lower = g_ascii_strdown(text, (gssize)length);
    return memmem(lower, length, "excludesfile", 12) || memmem(lower, length, "include", 7);
}

/* The files that tb_user_config has git read. */
static bool worth_asking(void)
{
    const char *home = g_getenv("HOME"), *config = g_getenv("XDG_CONFIG_HOME");
    if (!home)
        return true;
    g_autofree char *own = g_build_filename(home, ".gitconfig", NULL);
    g_autofree char *shared = config && *config
                                  ? g_build_filename(config, "git", "config", NULL)
                                  : g_build_filename(home, ".config/git/config", NULL);
    return may_say(own) || may_say(shared);
}

static char *look_up(void)
{
    char *path = worth_asking() ? tb_user_config("core.excludesFile", "path") : NULL;
    return existing(path ? path : g_build_filename(g_get_user_config_dir(), "git", "ignore", NULL));
}

const char *tb_project_user_excludes(TbProject *project)
{
    if (!project->excludes_known)
        project->user_excludes = look_up();
    project->excludes_known = true;
    return project->user_excludes;
}
