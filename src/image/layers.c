/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images that lie on others. A layer names what it lies on by digest and by the bytes of its disk:
 * a name that means another image meanwhile changes nothing, and an image that was built a second
 * time, with the same digest and other bytes, is not taken for the first. So what a layer lies on
 * stays while the layer does: it is not removed before, whether by hand or by `gc`.
 */
#include <string.h>

#include "image/manifest.h"
#include "image/store-private.h"
#include "util/error.h"

GPtrArray *tb_store_layers(const char *digest, GError **error)
{
    g_autoptr(GPtrArray) images = tb_image_list(error);
    if (!images)
        return NULL;
    GPtrArray *layers = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < images->len; i++) {
        const TbImage *image = g_ptr_array_index(images, i);
        if (g_strcmp0(image->base_digest, digest) == 0)
            g_ptr_array_add(layers,
                            image->name ? g_strdup(image->name) : g_strndup(image->digest, 12));
    }
    return layers;
}

bool tb_store_add_bases(GHashTable *digests, GError **error)
{
    g_autoptr(GPtrArray) images = tb_image_list(error);
    if (!images)
        return false;
    for (bool more = true; more;) {
        more = false;
        for (guint i = 0; i < images->len; i++) {
            const TbImage *image = g_ptr_array_index(images, i);
            if (image->base_digest && g_hash_table_contains(digests, image->digest) &&
                !g_hash_table_contains(digests, image->base_digest))
                more = g_hash_table_insert(digests, g_strdup(image->base_digest), NULL);
        }
    }
    return true;
}

/* Why the image below cannot be used, and what to do about the layer. */
static bool bad_base(const TbImage *image, const GError *why, GError **error)
{
    return tb_error_set(error, tb_error_code(why),
                        "image '%s' is a layer on image '%s' (%.12s), which cannot be used: %s "
                        "(run 'taskbox image build %s')",
                        image->name, image->base_name, image->base_digest, why->message,
                        image->name);
}

static bool check_bytes(const TbImage *image, GError **error)
{
    g_autofree char *sum = tb_image_disk_sum(image->base->dir, error);
    if (!sum)
        return false;
    return g_str_equal(sum, image->base_sum) ||
           tb_error_set(error, TB_ERROR_IMAGE,
                        "image '%s' is a layer on image '%s' (%.12s), which was built anew since "
                        "(run 'taskbox image build %s')",
                        image->name, image->base_name, image->base_digest, image->name);
}

const char **tb_store_disks(const TbImage *image, unsigned *count)
{
    *count = 1;
    for (const char **disk = image->bases; disk && *disk; disk++)
        ++*count;
    const char **disks = g_new0(const char *, *count + 1);
    disks[0] = image->disk;
    for (unsigned i = 1; i < *count; i++)
        disks[i] = image->bases[i - 1];
    return disks;
}

bool tb_store_open_bases(TbImage *image, unsigned depth, GError **error)
{
    g_autoptr(GError) why = NULL;
    if (!image->base_digest)
        return true;
    if (depth >= TB_LAYERS_MAX)
        return tb_error_set(error, TB_ERROR_UNSUPPORTED,
                            "cannot use image '%s': more than %d layers lie on each other",
                            image->name, TB_LAYERS_MAX);
    image->base = tb_image_open_digest(image->base_digest, image->base_name, depth + 1, &why);
    if (g_error_matches(why, TB_ERROR, TB_ERROR_INTERRUPTED)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    if (!image->base)
        return bad_base(image, why, error);
    if (!check_bytes(image, error))
        return false;
    unsigned count = 0;
    image->bases = tb_store_disks(image->base, &count);
    return true;
}
