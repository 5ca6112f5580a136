/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a recipe and as the user's settings: refused with a message, or understood, and then
 * the rules hold. */
#include <stdlib.h>
#include <string.h>

#include "config/settings.h"
#include "config/recipe.h"
#include "util/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_error(const GError *error)
{
    require(error && *error->message && tb_error_code(error) != TB_ERROR_INTERNAL);
}

static void try_recipe(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbRecipe) recipe = tb_recipe_parse("/images/fuzz.yaml", data, size, &error);
    if (!recipe) {
        check_error(error);
        return;
    }
    require(!error && tb_image_name_valid(recipe->name) && recipe->packages && recipe->env &&
            (recipe->images->len > 0) + !!recipe->suite + !!recipe->from == 1);
    tb_recipe_inherit(recipe, &(TbRecipeDefaults){1, 1, 1, TB_MOUNT_IMAGE, NULL});
    require(recipe->cpus > 0 && recipe->memory > 0 && recipe->disk > 0);
    for (guint i = 0; i < recipe->files->len; i++)
        require(((const TbRecipeFile *)recipe->files->pdata[i])->path[0] == '/');
    g_autofree char *canonical = tb_recipe_canonical(recipe);
    require(canonical && *canonical);
    tb_recipe_image(recipe, NULL);
}

static void try_settings(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbSettings) settings = tb_settings_parse("config.yaml", data, size, &error);
    if (!settings) {
        check_error(error);
        return;
    }
    for (guint i = 0; i < settings->agents->len; i++) {
        const TbAgent *agent = settings->agents->pdata[i];
        require(agent->name && agent->command && agent->command[0] && agent->env);
        g_auto(GStrv) argv = tb_agent_argv(agent, "{prompt}");
        require(g_strv_length(argv) == g_strv_length(agent->command));
    }
    tb_settings_agent(settings, NULL, NULL);
}

/* A project's own file can say nothing of what only its user may. */
static void try_project(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbSettings) settings = tb_settings_parse_project(".taskbox.yaml", data, size, &error);
    if (!settings) {
        check_error(error);
        return;
    }
    require(settings->agents->len == 0 && !settings->agent && !settings->allow_hosts &&
            !settings->secrets && !settings->include && !settings->has_keep &&
            !settings->capacity.cpus && !settings->capacity.memory);
    for (char **pattern = settings->exclude; pattern && *pattern; pattern++)
        require(**pattern != '!');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_recipe(data, size);
    try_settings(data, size);
    try_project(data, size);
    return 0;
}
