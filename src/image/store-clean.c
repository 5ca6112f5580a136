/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What nobody needs: leftovers of killed builds and removals, which every command clears away, and
 * images without a name, which `gc` collects. A build that is going on holds its lock, a user of an
 * image the image's.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "image/store-private.h"
#include "image/store.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/paths.h"

/* A build that is going on holds its lock. */
static bool gc_staging(int images, const char *entry, bool apply, GPtrArray *found, GError **error)
{
    tb_autofd locks = tb_store_dir("locks", NULL, error);
    if (locks < 0)
        return false;
    const char *digest = entry + strlen(TB_STAGING_PREFIX);
    g_autofree char *name = g_strconcat("build-", digest, NULL);
    tb_autofd lock = tb_lock(locks, name, false, NULL);
    if (lock < 0)
        return true;
    g_ptr_array_add(found, g_strdup_printf("image build that was killed: %.12s", digest));
    return !apply || (tb_remove_tree(images, entry, error) &&
                      (unlinkat(locks, name, 0) == 0 || errno == ENOENT));
}

/* In a dry run, too, an image in use is not named. */
static bool is_free(const char *digest)
{
    tb_autofd locks = tb_store_dir("locks", NULL, NULL);
    tb_autofd lock = locks < 0 ? -1 : tb_lock(locks, digest, false, NULL);
    return lock >= 0;
}

/* *gone: it is removed, or would be. */
static bool gc_image(const char *digest, bool apply, GPtrArray *found, bool *gone, GError **error)
{
    g_autoptr(GError) why = NULL;
    *gone = apply || is_free(digest);
    if (!*gone)
        return true;
    if (apply && !tb_store_drop(digest, false, &why)) {
        *gone = false;
        if (g_error_matches(why, TB_ERROR, TB_ERROR_BUSY))
            return true;
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    g_ptr_array_add(found, g_strdup_printf("image without a name: %.12s", digest));
    return true;
}

/* *taken: it was one of these. */
static bool gc_leftover(int images, const char *entry, bool apply, GPtrArray *found, bool *taken,
                        GError **error)
{
    *taken = true;
    if (g_str_has_prefix(entry, TB_STAGING_PREFIX))
        return gc_staging(images, entry, apply, found, error);
    *taken = g_str_has_prefix(entry, TB_TRASH_PREFIX);
    if (!*taken)
        return true;
    g_ptr_array_add(found,
                    g_strdup_printf("half-removed image: %.12s", entry + strlen(TB_TRASH_PREFIX)));
    return !apply || tb_remove_tree(images, entry, error);
}

/* Layers go before what they lie on: again until nothing more goes. */
static bool gc_images(GPtrArray *unwanted, bool apply, GPtrArray *found, GError **error)
{
    for (bool progress = true; progress && unwanted->len > 0;) {
        progress = false;
        for (unsigned i = unwanted->len; i-- > 0;) {
            bool gone = false;
            if (!gc_image(g_ptr_array_index(unwanted, i), apply, found, &gone, error))
                return false;
            if (gone)
                g_ptr_array_remove_index(unwanted, i);
            progress = progress || gone;
        }
    }
    return true;
}

/* What names mean, what is to be kept, and all that these lie on. */
static GHashTable *wanted_images(GHashTable *keep, GError **error)
{
    g_autoptr(GHashTable) wanted = tb_store_names_by_digest(error);
    GHashTableIter iter;
    void *digest;
    if (wanted && keep) {
        g_hash_table_iter_init(&iter, keep);
        while (g_hash_table_iter_next(&iter, &digest, NULL))
            g_hash_table_insert(wanted, g_strdup(digest), NULL);
    }
    return wanted && tb_store_add_bases(wanted, error) ? g_steal_pointer(&wanted) : NULL;
}

GPtrArray *tb_image_gc(bool apply, GHashTable *keep, GError **error)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) unwanted = g_ptr_array_new();
    g_autoptr(GHashTable) wanted = wanted_images(keep, error);
    tb_autofd images = wanted ? tb_store_dir("images", NULL, error) : -1;
    g_autoptr(GPtrArray) list = images < 0 ? NULL : tb_store_entries("images", true, error);
    if (!list)
        return NULL;
    for (unsigned i = 0; i < list->len; i++) {
        char *entry = g_ptr_array_index(list, i);
        bool taken = false;
        if (!gc_leftover(images, entry, apply, found, &taken, error))
            return NULL;
        if (!taken && tb_digest_valid(entry) && !g_hash_table_contains(wanted, entry))
            g_ptr_array_add(unwanted, entry);
    }
    if (!gc_images(unwanted, apply, found, error))
        return NULL;
    return g_steal_pointer(&found);
}

void tb_image_clean(void)
{
    g_autofree char *data = tb_path_data();
    g_autofree char *path = g_build_filename(data, "images", NULL);
    if (!g_file_test(path, G_FILE_TEST_IS_DIR))
        return;
    tb_autofd images = tb_store_dir("images", NULL, NULL);
    g_autoptr(GPtrArray) list = images < 0 ? NULL : tb_store_entries("images", true, NULL);
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    for (unsigned i = 0; list && i < list->len; i++) {
        g_autoptr(GError) error = NULL;
        bool taken;
        if (!gc_leftover(images, g_ptr_array_index(list, i), true, found, &taken, &error))
            tb_warn("cannot clean up after an image build: %s", error->message);
    }
}
