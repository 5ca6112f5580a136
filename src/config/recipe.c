/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A recipe, where it is found, and what counts as the same one. Its keys: recipe-read.c.
 *
 * tb_recipe_canonical decides what counts as the same recipe: only what reaches the image's bytes
 * or the manifest.
 */
#include "config/recipe.h"

#include <string.h>
#include <sys/utsname.h>
#include "config/recipe-private.h"
#include "util/error.h"
#include "util/paths.h"

void tb_recipe_free(TbRecipe *recipe)
{
    if (!recipe)
        return;
    g_free(recipe->path);
    g_free(recipe->name);
    g_free(recipe->suite);
    g_free(recipe->from);
    g_free(recipe->arch);
    g_strfreev(recipe->packages);
    g_strfreev(recipe->env);
    g_strfreev(recipe->install);
    g_strfreev(recipe->warm);
    g_ptr_array_unref(recipe->images);
    g_ptr_array_unref(recipe->files);
    g_ptr_array_unref(recipe->provision);
    g_ptr_array_unref(recipe->agents);
    g_ptr_array_unref(recipe->ignored);
    g_free(recipe);
}

const char *tb_host_arch(void)
{
    static struct utsname host;
    if (!host.machine[0])
        uname(&host);
    return host.machine;
}

bool tb_image_name_valid(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= 64 && g_ascii_isalnum(name[0]) &&
           strspn(name, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "._-") == length;
}

static TbRecipe *recipe_new(const char *path, GError **error)
{
    g_autoptr(TbRecipe) recipe = g_new0(TbRecipe, 1);
    recipe->images = g_ptr_array_new_with_free_func(recipe_image_free);
    recipe->files = g_ptr_array_new_with_free_func(recipe_file_free);
    recipe->provision = g_ptr_array_new_with_free_func(recipe_provision_free);
    recipe->agents = g_ptr_array_new_with_free_func(recipe_provision_free);
    recipe->ignored = g_ptr_array_new_with_free_func(g_free);
    recipe->path = g_strdup(path);
    recipe->name = g_path_get_basename(path);
    char *dot = strrchr(recipe->name, '.');
    if (dot && (g_str_equal(dot, ".yaml") || g_str_equal(dot, ".yml")))
        *dot = '\0';
    if (tb_image_name_valid(recipe->name))
        return g_steal_pointer(&recipe);
    tb_error_set(error, TB_ERROR_CONFIG,
                 "cannot name an image after recipe '%s': a name has letters, digits and '._-', 64 "
                 "at most (rename the file)",
                 path);
    return NULL;
}

static TbRecipe *from_yaml(const char *path, TbYaml *yaml, GError **error)
{
    g_autoptr(TbRecipe) recipe = recipe_new(path, error);
    return recipe && recipe_read(yaml, recipe, error) ? g_steal_pointer(&recipe) : NULL;
}

TbRecipe *tb_recipe_parse(const char *path, const void *data, size_t length, GError **error)
{
    g_autoptr(TbYaml) yaml = tb_yaml_parse(path, data, length, error);
    return yaml ? from_yaml(path, yaml, error) : NULL;
}

char *tb_recipe_find(const char *name, GError **error)
{
    if (strchr(name, '/') || g_str_has_suffix(name, ".yaml") || g_str_has_suffix(name, ".yml"))
        return g_canonicalize_filename(name, NULL);
    g_autofree char *file = g_strconcat(name, ".yaml", NULL);
    g_autofree char *config = tb_path_config();
    g_autofree char *own = g_build_filename(config, "images", file, NULL);
    if (g_file_test(own, G_FILE_TEST_EXISTS))
        return g_steal_pointer(&own);
    g_autofree char *dir = tb_path_recipes(error);
    if (!dir)
        return NULL;
    g_autofree char *shipped = g_build_filename(dir, file, NULL);
    if (g_file_test(shipped, G_FILE_TEST_EXISTS))
        return g_steal_pointer(&shipped);
    tb_error_set(error, TB_ERROR_NOT_FOUND,
                 "no recipe '%s' in %s/images or %s (give a path to use another file)", name,
                 config, dir);
    return NULL;
}

TbRecipe *tb_recipe_load(const char *name, GError **error)
{
    g_autofree char *path = tb_recipe_find(name, error);
    if (!path)
        return NULL;
    g_autoptr(TbYaml) yaml = tb_yaml_load(path, error);
    return yaml ? from_yaml(path, yaml, error) : NULL;
}

void tb_recipe_inherit(TbRecipe *recipe, const TbRecipeDefaults *from)
{
    recipe->cpus = recipe->cpus ? recipe->cpus : from->cpus;
    recipe->memory = recipe->memory ? recipe->memory : from->memory;
    recipe->disk = MAX(recipe->disk, from->disk); /* a disk never shrinks */
    if (recipe->mount_type == TB_MOUNT_UNSAID)
        recipe->mount_type = from->mount_type;
    char **env = tb_env_join((const char *const *)recipe->env, (const char *const *)from->env);
    g_strfreev(recipe->env);
    recipe->env = env;
}

bool tb_recipe_has_steps(const TbRecipe *recipe)
{
    return recipe->install[0] || recipe->files->len > 0 || recipe->provision->len > 0;
}

static bool sets_same(const char *const *list, const char *variable)
{
    size_t length = (size_t)(strchrnul(variable, '=') - variable) + 1;
    for (; list && *list; list++)
        if (strncmp(*list, variable, length) == 0)
            return true;
    return false;
}

char **tb_env_join(const char *const *above, const char *const *below)
{
    g_autoptr(GPtrArray) env = g_ptr_array_new();
    for (const char *const *variable = above; variable && *variable; variable++)
        g_ptr_array_add(env, g_strdup(*variable));
    for (const char *const *variable = below; variable && *variable; variable++)
        if (!sets_same(above, *variable))
            g_ptr_array_add(env, g_strdup(*variable));
    g_ptr_array_add(env, NULL);
    return (char **)g_ptr_array_steal(env, NULL);
}

const TbRecipeImage *tb_recipe_image(const TbRecipe *recipe, GError **error)
{
    if (recipe->arch && !g_str_equal(recipe->arch, tb_host_arch())) {
        tb_error_set(error, TB_ERROR_UNSUPPORTED, "recipe '%s' is for '%s', and this host is '%s'",
                     recipe->path, recipe->arch, tb_host_arch());
        return NULL;
    }
    for (unsigned i = 0; i < recipe->images->len; i++) {
        const TbRecipeImage *image = g_ptr_array_index(recipe->images, i);
        if (!image->arch || g_str_equal(image->arch, tb_host_arch()))
            return image;
    }
    tb_error_set(error, TB_ERROR_UNSUPPORTED, "recipe '%s' has no image for this host's '%s'",
                 recipe->path, tb_host_arch());
    return NULL;
}

/* Lengths before texts: no two recipes have the same canonical form. */
static void add_text(GString *out, const char *key, const char *text)
{
    g_string_append_printf(out, "%s %zu:%s\n", key, strlen(text), text);
}

static void add_list(GString *out, const char *key, char *const *texts)
{
    for (; *texts; texts++)
        add_text(out, key, *texts);
}

char *tb_recipe_canonical(const TbRecipe *recipe)
{
    GString *out = g_string_new("taskbox recipe\n");
    g_string_append_printf(
        out, "cpus %u\nmemory %" G_GUINT64_FORMAT "\ndisk %" G_GUINT64_FORMAT "\nmount %s\n",
        recipe->cpus, recipe->memory, recipe->disk,
        tb_mount_type_name(MAX(recipe->mount_type, TB_MOUNT_IMAGE)));
    if (recipe->suite)
        add_text(out, "suite", recipe->suite);
    for (char **package = recipe->packages; *package; package++)
        add_text(out, "package", *package);
    for (unsigned i = 0; i < recipe->provision->len; i++) {
        const TbProvision *step = g_ptr_array_index(recipe->provision, i);
        add_text(out, step->user ? "user" : "system", step->script);
    }
    add_list(out, "env", recipe->env);
    add_list(out, "install", recipe->install);
    for (unsigned i = 0; i < recipe->files->len; i++) {
        const TbRecipeFile *file = g_ptr_array_index(recipe->files, i);
        g_string_append_printf(out, "file %o\n", file->mode);
        add_text(out, "path", file->path);
        add_text(out, "owner", file->owner ? file->owner : "");
        add_text(out, "content", file->content);
    }
    add_list(out, "warm", recipe->warm);
    return g_string_free(out, FALSE);
}
