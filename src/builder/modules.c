/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * modules.dep holds "FILE: FILE..." with all files that FILE needs, directly or not. They are
 * resolved depth first over each one's own line, so that the order is right whatever order depmod
 * chose.
 */
#include "builder/modules.h"

#include <string.h>

#define DEPTH_MAX 32

struct TbModules {
    GHashTable *files;   /* name -> file */
    GHashTable *needs;   /* file -> GStrv of files */
    GHashTable *builtin; /* set of names */
};

/* "kernel/fs/ext4/ext4.ko.xz" -> "ext4" with '_' for '-'. */
static char *module_name(const char *file)
{
    char *name = g_path_get_basename(file);
    char *end = strstr(name, ".ko");
    if (end)
        *end = '\0';
    return g_strdelimit(name, "-", '_');
}

static bool safe_path(const char *file)
{
    return *file && *file != '/' && !strstr(file, "..") && strlen(file) < 512 &&
           strstr(file, ".ko");
}

static void add_line(TbModules *modules, char *line)
{
    char *colon = strchr(line, ':');
    if (!colon)
        return;
    *colon = '\0';
    if (!safe_path(line))
        return;
    GPtrArray *needs = g_ptr_array_new();
    g_auto(GStrv) words = g_strsplit(colon + 1, " ", -1);
    for (char **word = words; *word; word++)
        if (safe_path(g_strstrip(*word)))
            g_ptr_array_add(needs, g_strdup(*word));
    g_ptr_array_add(needs, NULL);
    g_hash_table_replace(modules->files, module_name(line), g_strdup(line));
    g_hash_table_replace(modules->needs, g_strdup(line), g_ptr_array_free(needs, FALSE));
}

TbModules *tb_modules_parse(const char *dep, const char *builtin)
{
    TbModules *modules = g_new0(TbModules, 1);
    modules->files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    modules->needs =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_strfreev);
    modules->builtin = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(GStrv) lines = g_strsplit(dep, "\n", -1);
    for (char **line = lines; *line; line++)
        add_line(modules, *line);
    g_auto(GStrv) names = g_strsplit(builtin, "\n", -1);
    for (char **name = names; *name; name++)
        if (**name)
            g_hash_table_add(modules->builtin, module_name(*name));
    return modules;
}

void tb_modules_free(TbModules *modules)
{
    if (!modules)
        return;
    g_hash_table_unref(modules->files);
    g_hash_table_unref(modules->needs);
    g_hash_table_unref(modules->builtin);
    g_free(modules);
}

bool tb_modules_builtin(const TbModules *modules, const char *name)
{
    g_autofree char *key = module_name(name);
    return g_hash_table_contains(modules->builtin, key);
}

static bool add_file(const TbModules *modules, const char *file, GPtrArray *order, int depth)
{
    if (g_ptr_array_find_with_equal_func(order, file, g_str_equal, NULL))
        return true;
    char **needs = g_hash_table_lookup(modules->needs, file);
    if (!needs || depth > DEPTH_MAX)
        return false;
    for (char **need = needs; *need; need++)
        if (!add_file(modules, *need, order, depth + 1))
            return false;
    g_ptr_array_add(order, g_strdup(file));
    return true;
}

bool tb_modules_resolve(const TbModules *modules, const char *name, GPtrArray *order)
{
    g_autofree char *key = module_name(name);
    if (g_hash_table_contains(modules->builtin, key))
        return true;
    const char *file = g_hash_table_lookup(modules->files, key);
    return file && add_file(modules, file, order, 0);
}
