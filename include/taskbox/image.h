/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Golden images: built once from a recipe, never written again. */
#pragma once

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

/* Builds the image of a recipe (a name or the path of a YAML file) or finds it built already.
 * Returns its digest, 64 hex digits (g_free). */
char *taskbox_image_build(const char *recipe, GError **error);
/* The manifest, JSON (g_free), of an image given by name or the beginning of its digest. */
char *taskbox_image_manifest(const char *image, GError **error);
/* Compares every byte with the manifest. */
bool taskbox_image_verify(const char *image, GError **error);
/* TASKBOX_ERROR_BUSY while a task uses it. */
bool taskbox_image_remove(const char *image, GError **error);

G_END_DECLS
