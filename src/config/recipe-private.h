/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What recipe.c (a recipe and what is made of it), recipe-read.c (its keys) and recipe-files.c
 * share. */
#pragma once

#include "config/yaml.h"
#include "config/recipe.h"

/* Fills the recipe from the document: keys, their rules, defaults. */
bool recipe_read(TbYaml *yaml, TbRecipe *recipe, GError **error);

/* Handlers of keys. */
bool recipe_read_files(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error);
bool recipe_read_packages(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error);
void recipe_file_free(void *file);
void recipe_provision_free(void *provision);
void recipe_image_free(void *image);
