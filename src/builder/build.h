/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recipe to golden image. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "image/store.h"

/* Reads a recipe, and those it lies on, and says in lines what a build would do (text, g_free).
 * Nothing is downloaded or written; what the recipe says that means nothing here is warned of. */
char *tb_image_plan(const char *recipe, GError **error);

/* Builds the image of a recipe (a name or a path, see tb_recipe_find), or finds it built already
 * (*built = false; `built` may be NULL). A second build of the same recipe waits for the first and
 * takes its image. Progress on stderr. Returns the image, open. */
TbImage *tb_image_build(const char *recipe, bool *built, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Finds old root file systems in the cache and what killed builds left of theirs; with `apply`
 * removes them. A string for each goes to `found` (may be NULL). Cheap; every command does it. */
void tb_builder_clean(bool apply, GPtrArray *found);
