/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a build would do, said without doing any of it: nothing is downloaded, booted or written. */
#include <string.h>

#include "builder/build-private.h"
#include "builder/build.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/log.h"
#include "util/units.h"

static void line(GString *out, const char *word, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* "word      text", the text safe to show. */
static void line(GString *out, const char *word, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *shown = tb_escape_name(text);
    g_string_append_printf(out, "%-10s%s\n", word, shown);
}

static unsigned count_lines(const char *text)
{
    unsigned count = 0;
    for (const char *at = text; *at; at = strchrnul(at, '\n'), at += *at != '\0')
        count++;
    return count;
}

static bool add_cloud(GString *out, const TbRecipe *recipe, GError **error)
{
    const TbRecipeImage *image = tb_recipe_image(recipe, error);
    if (!image)
        return false;
    line(out, "source", "cloud image %s", image->location);
    line(out, "digest", "%s",
         image->digest ? image->digest : "none is named: what the location has is taken");
    return true;
}

static bool add_source(GString *out, const TbRecipe *recipe, unsigned depth, GError **error);

/* The recipe below must do, too. */
static bool add_below(GString *out, const TbRecipe *recipe, unsigned depth, GError **error)
{
    g_autoptr(TbImage) there = tb_image_open(recipe->from, NULL);
    if (depth > TB_LAYERS_MAX)
        return tb_error_set(error, TB_ERROR_CONFIG,
                            "cannot build '%s': more than %d layers would lie on each other, or "
                            "one on itself",
                            recipe->path, TB_LAYERS_MAX);
    if (!tb_build_has_recipe(recipe->from)) {
        line(out, "source", "layer on image '%s', which is %s", recipe->from,
             there ? there->digest : "not there");
        return there || tb_error_set(error, TB_ERROR_NOT_FOUND,
                                     "cannot build '%s': there is no recipe and no image '%s'",
                                     recipe->path, recipe->from);
    }
    line(out, "source", "layer on '%s', which %s", recipe->from,
         there ? "is there, and is built anew if its recipe says something else by now"
               : "is built first");
    g_autoptr(TbRecipe) below = tb_recipe_load(recipe->from, error);
    return below && add_source(out, below, depth + 1, error);
}

static bool add_source(GString *out, const TbRecipe *recipe, unsigned depth, GError **error)
{
    if (recipe->from)
        return add_below(out, recipe, depth, error);
    if (!recipe->suite)
        return add_cloud(out, recipe, error);
    line(out, "source", "bootstrap of '%s' with %u packages", recipe->suite,
         g_strv_length(recipe->packages));
    return true;
}

static void add_box(GString *out, const TbRecipe *recipe)
{
    g_autofree char *memory = tb_size_format(recipe->memory);
    g_autofree char *disk = tb_size_format(recipe->disk);
    g_autofree char *cpus = g_strdup_printf("%u", recipe->cpus);
    line(out, "box", "%s cpus, %s of memory, %s of disk, project by %s",
         recipe->cpus ? cpus : "as below:", recipe->memory ? memory : "as below",
         recipe->disk ? disk : "as below",
         recipe->mount_type == TB_MOUNT_UNSAID ? "what is below"
                                               : tb_mount_type_name(recipe->mount_type));
}

static void add_steps(GString *out, const TbRecipe *recipe)
{
    g_autofree char *packages = g_strjoinv(" ", recipe->install);
    if (*packages)
        line(out, "packages", "%s", packages);
    for (guint i = 0; i < recipe->files->len; i++) {
        const TbRecipeFile *file = recipe->files->pdata[i];
        line(out, "file", "%s (%04o, %s), %zu bytes", file->path, file->mode,
             file->owner ? file->owner : "root", strlen(file->content));
    }
    for (guint i = 0; i < recipe->provision->len; i++) {
        const TbProvision *step = recipe->provision->pdata[i];
        line(out, "script", "as %s, %u lines", step->user ? "the task's user" : "root",
             count_lines(step->script));
    }
    for (char **variable = recipe->env; *variable; variable++)
        line(out, "variable", "%s", *variable);
    for (char **command = recipe->warm; *command; command++)
        line(out, "warm", "%s", *command);
}

char *tb_image_plan(const char *name, GError **error)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(TbRecipe) recipe = tb_recipe_load(name, error);
    if (!recipe)
        return NULL;
    for (guint i = 0; i < recipe->ignored->len; i++)
        tb_warn("%s", (const char *)recipe->ignored->pdata[i]);
    line(out, "recipe", "%s", recipe->path);
    line(out, "image", "%s", recipe->name);
    if (!add_source(out, recipe, 1, error))
        return NULL;
    add_box(out, recipe);
    add_steps(out, recipe);
    return g_string_free(g_steal_pointer(&out), FALSE);
}
