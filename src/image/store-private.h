/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What store and build share. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "image/store.h"

#define TB_STAGING_PREFIX ".staging-"
#define TB_TRASH_PREFIX   ".trash-"

/* A directory of the store ("images", "names", "locks"), made when it is not there. The descriptor
 * or -1; *path (g_free, may be NULL). */
int tb_store_dir(const char *sub, char **path, GError **error);
/* Entries of a directory of the store, sorted; what starts with a dot only with `hidden`. */
GPtrArray *tb_store_entries(const char *sub, bool hidden, GError **error);
/* The digest that a name means; NULL when there is no such name. g_free. */
char *tb_store_digest_of(const char *name);
/* digest -> first name that means it */
GHashTable *tb_store_names_by_digest(GError **error);
bool tb_digest_valid(const char *digest);
/* Shared lock on an image; -1 with TB_ERROR_BUSY while somebody removes it. */
int tb_store_lock_shared(const char *digest, GError **error);
/* The exclusive lock "build-DIGEST" (`name`) in the directory of locks, waited for; `image` is for
 * the message. -1 with error. */
int tb_store_lock_build(int locks, const char *name, const char *image, GError **error);
/* Whether the image's directory is there. */
bool tb_store_has(const char *digest);
/* Makes `name` mean `digest`. */
bool tb_store_set_name(const char *name, const char *digest, GError **error);
/* Removes the image's directory; TB_ERROR_BUSY when it is in use, and when there are layers on it
 * unless `layers_too`: these stay and are refused from then on. */
bool tb_store_drop(const char *digest, bool layers_too, GError **error);
/* layers.c: the images that lie on this one; GPtrArray of char *: names, else 12 digits. */
GPtrArray *tb_store_layers(const char *digest, GError **error);
/* Adds to a set of digests what the images in it lie on. */
bool tb_store_add_bases(GHashTable *digests, GError **error);
/* The disk of an open image, then those it lies on, NULL at the end; *count is how many. The
 * strings are the images'; g_free. */
const char **tb_store_disks(const TbImage *image, unsigned *count);
/* Opens what `image` lies on, if anything. */
bool tb_store_open_bases(TbImage *image, unsigned depth, GError **error);
/* Opens the image of a digest, which is `shown` in messages and lies under `depth` layers. */
TbImage *tb_image_open_digest(const char *digest, const char *shown, unsigned depth,
                              GError **error);
