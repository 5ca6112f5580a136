/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The user's own ignore file: the one place where git is asked about the user's configuration, far
 * from any repository; and only when there is something to ask. */
#include "project/private.h"

#include <string.h>

#define TIMEOUT   10
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

/* The files that git reads with the variables that it is given below. */
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

/* Not by --global, which would read one of the two files only. There is no repository to read. */
static char *ask_git(void)
{
    g_autoptr(TbCommand) command = tb_command_new("git");
    tb_command_add(command, "config", "--includes", "--get", "--type=path", "core.excludesFile",
                   NULL);
    static const char *const kept[] = {"PATH", "HOME", "XDG_CONFIG_HOME"};
    tb_command_env_clear(command);
    for (size_t i = 0; i < G_N_ELEMENTS(kept); i++)
        if (g_getenv(kept[i]))
            tb_command_setenv(command, kept[i], g_getenv(kept[i]));
    tb_command_setenv(command, "GIT_DIR", "/nonexistent");
    tb_command_setenv(command, "GIT_CONFIG_NOSYSTEM", "1");
    tb_command_set_cwd(command, "/");
    tb_command_set_timeout(command, TIMEOUT);
    g_autoptr(GBytes) out = NULL;
    int status = 0;
    if (tb_command_run_status(command, &out, &status, NULL) && status == 0) {
        char *path = g_strdup(g_bytes_get_data(out, NULL));
        return g_strchomp(path);
    }
    return NULL;
}

static char *look_up(void)
{
    char *path = worth_asking() ? ask_git() : NULL;
    return existing(path ? path : g_build_filename(g_get_user_config_dir(), "git", "ignore", NULL));
}

const char *tb_project_user_excludes(TbProject *project)
{
    if (!project->excludes_known)
        project->user_excludes = look_up();
    project->excludes_known = true;
    return project->user_excludes;
}
