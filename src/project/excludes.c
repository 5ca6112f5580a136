/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The user's own ignore file: the one place where git is asked about the user's configuration, far
 * from any repository. */
#include "project/private.h"

#include <string.h>

#define TIMEOUT 10

static char *existing(char *path)
{
    if (path && path[0] == '/' && g_file_test(path, G_FILE_TEST_IS_REGULAR))
        return path;
    g_free(path);
    return NULL;
}

static char *look_up(void)
{
    g_autoptr(TbCommand) command = tb_command_new("git");
    tb_command_add(command, "config", "--global", "--get", "--type=path", "core.excludesFile",
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
        return existing(g_strchomp(path));
    }
    return existing(g_build_filename(g_get_user_config_dir(), "git", "ignore", NULL));
}

const char *tb_project_user_excludes(TbProject *project)
{
    if (!project->excludes_known)
        project->user_excludes = look_up();
    project->excludes_known = true;
    return project->user_excludes;
}
