/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config/profile.h"

#include <fcntl.h>
#include <string.h>

#include "config/settings-private.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/paths.h"

#define PROFILE_LIMIT ((size_t)64 << 10)
#define SUFFIX        ".yaml"

static bool add_one(TbSettings *settings, const char *dir, const char *file, bool shipped,
                    GError **error)
{
    g_autofree char *name = g_strndup(file, strlen(file) - strlen(SUFFIX));
    if (settings_find_agent(settings, name))
        return true;
    g_autofree char *path = g_build_filename(dir, file, NULL);
    g_autoptr(GBytes) text = tb_read_file_at(AT_FDCWD, path, PROFILE_LIMIT, error);
    if (!text)
        return false;
    gsize size = 0;
    const void *data = g_bytes_get_data(text, &size);
    TbAgent *agent = tb_agent_parse(name, path, data, size, error);
    if (!agent)
        return false;
    agent->shipped = shipped;
    g_ptr_array_add(settings->agents, agent);
    return true;
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All of a directory that need not be there, by name. */
static bool add_dir(TbSettings *settings, const char *dir, bool shipped, GError **error)
{
    g_autoptr(GDir) listing = g_dir_open(dir, 0, NULL);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    const char *entry;
    while (listing && (entry = g_dir_read_name(listing)))
        if (g_str_has_suffix(entry, SUFFIX) && entry[0] != '.')
            g_ptr_array_add(files, g_strdup(entry));
    g_ptr_array_sort(files, compare_names);
    for (guint i = 0; i < files->len; i++)
        if (!add_one(settings, dir, files->pdata[i], shipped, error))
            return false;
    return true;
}

bool tb_profiles_add(TbSettings *settings, GError **error)
{
    g_autofree char *config = tb_path_config();
    g_autofree char *own = g_build_filename(config, "agents", NULL);
    if (!add_dir(settings, own, false, error))
        return false;
    g_autofree char *recipes = tb_path_recipes(NULL);
    g_autofree char *shipped = recipes ? g_build_filename(recipes, "agents", NULL) : NULL;
    return !shipped || add_dir(settings, shipped, true, error);
}

TbAgent *tb_profile_find(const char *name, GError **error)
{
    g_autoptr(TbSettings) settings = tb_settings_new();
    if (!tb_profiles_add(settings, error))
        return NULL;
    for (guint i = 0; i < settings->agents->len; i++)
        if (strcmp(((const TbAgent *)settings->agents->pdata[i])->name, name) == 0)
            return g_ptr_array_steal_index(settings->agents, i);
    g_autofree char *names = tb_settings_agent_names(settings);
    tb_error_set(error, TB_ERROR_NOT_FOUND, "there is no profile of an agent '%s' (there are: %s)",
                 name, names ? names : "");
    return NULL;
}
