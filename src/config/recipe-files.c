/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `files` and `packages` of a recipe: what ends in paths and command lines of the image's build. */
#include <string.h>
#include "config/recipe-private.h"

#define PATH_LIMIT 1024

void recipe_file_free(void *data)
{
    TbRecipeFile *file = data;
    g_free(file->path);
    g_free(file->content);
    g_free(file->owner);
    g_free(file);
}

static const char *scalar(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

/* What is not there any more, or not the image's, when a task begins. */
static bool is_passing(const char *path)
{
    static const char *const places[] = {"/dev/", "/proc/",    "/run/",      "/sys/",
                                         "/tmp/", "/var/tmp/", "/workspace/"};
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++)
        if (g_str_has_prefix(path, places[i]))
            return true;
    return false;
}

static bool read_path(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    const char *path = scalar(node);
    g_autofree char *plain = g_canonicalize_filename(path, "/");
    if (path[0] != '/' || !path[1] || strlen(path) > PATH_LIMIT || !g_str_equal(plain, path))
        return tb_yaml_error(yaml, node, error,
                             "bad path (must be absolute, without '.', '..', '//' and a '/' at its "
                             "end)");
    if (is_passing(path))
        return tb_yaml_error(yaml, node, error,
                             "a file there would not be in the image (it is emptied, or mounted "
                             "over, when a box starts)");
    return tb_yaml_string(yaml, node, field, error);
}

/* Unlike other strings it may be empty. */
static bool read_content(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    if (strlen(scalar(node)) != node->data.scalar.length)
        return tb_yaml_error(yaml, node, error, "the value holds a NUL byte");
    char **content = field;
    g_free(*content);
    *content = g_strdup(scalar(node));
    return true;
}

static bool read_mode(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    const char *text = scalar(node);
    size_t length = strlen(text);
    if (length < 3 || length > 4 || strspn(text, "01234567") != length ||
        (length == 4 && text[0] != '0'))
        return tb_yaml_error(yaml, node, error, "bad mode (three octal digits, like 644 or 0755)");
    *(unsigned *)field = (unsigned)g_ascii_strtoull(text, NULL, 8);
    return true;
}

/* "name" or "name:name", as chown takes it. */
static bool read_owner(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    g_auto(GStrv) names = g_strsplit(scalar(node), ":", 3);
    bool ok = names[0] && (!names[1] || !names[2]);
    for (char **name = names; ok && *name; name++)
        ok = (g_ascii_islower(**name) || **name == '_') && strlen(*name) <= 32 &&
             strspn(*name, G_CSET_a_2_z G_CSET_DIGITS "_-") == strlen(*name);
    if (!ok)
        return tb_yaml_error(yaml, node, error, "bad owner (like 'agent' or 'root:adm')");
    return tb_yaml_string(yaml, node, field, error);
}

static const TbYamlKey file_keys[] = {
    {"path", YAML_SCALAR_NODE, read_path, offsetof(TbRecipeFile, path)},
    {"content", YAML_SCALAR_NODE, read_content, offsetof(TbRecipeFile, content)},
    {"mode", YAML_SCALAR_NODE, read_mode, offsetof(TbRecipeFile, mode)},
    {"owner", YAML_SCALAR_NODE, read_owner, offsetof(TbRecipeFile, owner)},
    {0},
};

static bool read_file(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    TbRecipeFile *file = g_new0(TbRecipeFile, 1);
    file->mode = 0644;
    g_ptr_array_add(*(GPtrArray **)field, file);
    if (!tb_yaml_map(yaml, node, file_keys, file, error))
        return false;
    return (file->path && file->content) ||
           tb_yaml_error(yaml, node, error, "'%s' is missing", file->path ? "content" : "path");
}

bool recipe_read_files(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    return tb_yaml_each(yaml, node, YAML_MAPPING_NODE, read_file, field, error);
}

static bool check_package(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    const char *text = scalar(node);
    if (!g_ascii_isalnum(*text) || strspn(text, G_CSET_a_2_z G_CSET_DIGITS "+.-:") != strlen(text))
        return tb_yaml_error(yaml, node, error, "bad package name (small letters, digits, '+.-')");
    return true;
}

bool recipe_read_packages(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    return tb_yaml_each(yaml, node, YAML_SCALAR_NODE, check_package, NULL, error) &&
           tb_yaml_string_list(yaml, node, field, error);
}
