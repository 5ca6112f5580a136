/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one place where git is asked about the user's own configuration, far from any repository. */
#include "project/private.h"

#define TIMEOUT 10

/* Not by --global, which reads one of the user's two files only and follows no includes. */
char *tb_user_config(const char *key, const char *type)
{
    static const char *const kept[] = {"PATH", "HOME", "XDG_CONFIG_HOME"};
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
