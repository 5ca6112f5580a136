/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one place where git is asked about the user's own configuration, far from any repository, and
 * only when there is something to ask. And where the repository's is looked at besides. */
#include "project/private.h"

#include <fcntl.h>
#include <string.h>

#include "util/auto.h"
#include "util/fs.h"

#define TIMEOUT     10
#define MAX_WORDS   65536
#define CONFIG_FILE ((size_t)4 << 20)

/* True when the file could set the key whose last part is `word`, itself or by an include. git
 * knows no other way to write these words than with their letters, of either case. */
static bool may_say(const char *path, const char *word)
{
    g_autofree char *text = NULL;
    gsize length = 0;
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return false;
    if (!g_file_get_contents(path, &text, &length, NULL) || length > MAX_WORDS ||
        strlen(text) != length)
        return true;
    g_autofree char *lower = g_ascii_strdown(text, (gssize)length);
    return strstr(lower, word) || strstr(lower, "include");
}

/* Of the two files that git reads below. */
static bool worth_asking(const char *key)
{
    const char *home = g_getenv("HOME"), *config = g_getenv("XDG_CONFIG_HOME");
    if (!home)
        return true;
    g_autofree char *word = g_ascii_strdown(strrchr(key, '.') + 1, -1);
    g_autofree char *own = g_build_filename(home, ".gitconfig", NULL);
    g_autofree char *shared = config && *config
                                  ? g_build_filename(config, "git", "config", NULL)
                                  : g_build_filename(home, ".config/git/config", NULL);
    return may_say(own, word) || may_say(shared, word);
}

/* Not by --global, which reads one of the user's two files only and follows no includes. */
char *tb_user_config(const char *key, const char *type)
{
    static const char *const kept[] = {"PATH", "HOME", "XDG_CONFIG_HOME"};
    if (!worth_asking(key))
        return NULL;
    g_autoptr(TbCommand) command = tb_command_new("git");
    tb_command_add(command, "config", "--includes", "--get", NULL);
    if (type)
        tb_command_add(command, "--type", type, NULL);
    tb_command_add(command, key, NULL);
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
    if (!tb_command_run_status(command, &out, &status, NULL) || status != 0)
        return NULL;
    char *value = g_strdup(g_bytes_get_data(out, NULL));
    return g_strchomp(value);
}

char *tb_repository_config(const TbProject *project, const char *section, const char *key)
{
    tb_autofd fd = project->common_dir
                       ? open(project->common_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
                       : -1;
    g_autoptr(GBytes) config = fd >= 0 ? tb_read_file_at(fd, "config", CONFIG_FILE, NULL) : NULL;
    return config ? tb_git_config_value(g_bytes_get_data(config, NULL), section, key) : NULL;
}

bool tb_project_autocrlf(const TbProject *project)
{
    /* "": the bare key, which is true; "autocrlf =" would be false, but who writes that? */
    static const char *const yes[] = {"true", "input", "yes", "on", "1", "", NULL};
    g_autofree char *value = tb_repository_config(project, "core", "autocrlf");
    if (!value)
        value = tb_user_config("core.autocrlf", NULL);
    g_autofree char *lower = value ? g_ascii_strdown(value, -1) : NULL;
    return lower && g_strv_contains(yes, lower);
}
