/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The user's own files of what is ignored, and of attributes. */
#include "project/private.h"

static char *existing(char *path)
{
    if (path && path[0] == '/' && g_file_test(path, G_FILE_TEST_IS_REGULAR))
        return path;
    g_free(path);
    return NULL;
}

static char *look_up(const char *key, const char *name)
{
    char *path = tb_user_config(key, "path");
    return existing(path ? path : g_build_filename(g_get_user_config_dir(), "git", name, NULL));
}

char *tb_project_user_attributes(void)
{
    return look_up("core.attributesFile", "attributes");
}

const char *tb_project_user_excludes(TbProject *project)
{
    if (!project->excludes_known)
        project->user_excludes = look_up("core.excludesFile", "ignore");
    project->excludes_known = true;
    return project->user_excludes;
}
