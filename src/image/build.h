/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recipe to golden image. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "image/store.h"

/* Builds the image of a recipe (a name or a path, see tb_recipe_find), or finds it built already
 * (*built = false; `built` may be NULL). A second build of the same recipe waits for the first and
 * takes its image. Progress on stderr. Returns the image, open. */
TbImage *tb_image_build(const char *recipe, bool *built, GError **error) G_GNUC_WARN_UNUSED_RESULT;
