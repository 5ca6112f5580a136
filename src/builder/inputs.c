/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an image is made of, as one digest: the recipe, the guest program, the cloud image or the
 * package sources. A version number covers what this code itself puts in; raise it when that
 * changes.
 */
#include <fcntl.h>
#include <string.h>
#include "builder/build-private.h"
#include "builder/sources.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/hole.h"
#include "util/paths.h"

#define CONTENT_VERSION 3

void tb_build_free(TbBuild *build)
{
    if (!build)
        return;
    tb_recipe_free(build->recipe);
    g_free(build->bases);
    tb_image_free(build->base);
    char *const texts[] = {
        build->digest,      build->staging,      build->work,    build->guest,
        build->unit,        build->guest_digest, build->tar,     build->unit_digest,
        build->cloud,       build->cloud_digest, build->cmdline, build->kernel_release,
        build->filesystems, build->base_sum,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
    g_clear_pointer(&build->sources, g_ptr_array_unref);
    g_clear_pointer(&build->packages, g_ptr_array_unref);
    g_clear_pointer(&build->hosts, g_ptr_array_unref);
    tb_clear_fd(&build->tar_lock);
    g_free(build);
}

static char *digest_of(const char *path, GError **error)
{
    tb_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        tb_error_set_errno(error, errno, "cannot open '%s'", path);
        return NULL;
    }
    return tb_sha256_fd(fd, path, error);
}

bool tb_check_digest(const char *path, const char *hex, GError **error)
{
    g_autofree char *found = digest_of(path, error);
    if (!found)
        return false;
    return g_str_equal(found, hex) || tb_hole("image-digest") ||
           tb_error_set(error, TB_ERROR_IMAGE,
                        "'%s' is not the file the recipe names: its digest is sha256:%s, not "
                        "sha256:%s",
                        path, found, hex);
}

static bool find_parts(TbBuild *build, GError **error)
{
    build->guest = tb_path_libexec("guest/taskbox-guest", "taskbox-guest", error);
    g_autofree char *recipes = build->guest ? tb_path_recipes(error) : NULL;
    if (!recipes)
        return false;
    build->unit = g_build_filename(recipes, "taskbox-guest.service", NULL);
    build->guest_digest = digest_of(build->guest, error);
    build->unit_digest = build->guest_digest ? digest_of(build->unit, error) : NULL;
    return build->unit_digest != NULL;
}

bool tb_build_inputs(TbBuild *build, GError **error)
{
    if (!find_parts(build, error))
        return false;
    g_autofree char *recipe = tb_recipe_canonical(build->recipe);
    g_autoptr(GString) text = g_string_new(recipe);
    g_string_append_printf(text, "format %d content %d\narch %s\nguest %s\nunit %s\n",
                           TB_IMAGE_FORMAT, CONTENT_VERSION, tb_host_arch(), build->guest_digest,
                           build->unit_digest);
    if (build->base) {
        build->base_sum = tb_image_disk_sum(build->base->dir, error);
        if (!build->base_sum)
            return false;
        g_string_append_printf(text, "base %s disk %s\n", build->base->digest, build->base_sum);
    } else if (build->recipe->suite) {
        build->sources = tb_sources_host(build->recipe->suite);
        for (unsigned i = 0; i < build->sources->len; i++)
            g_string_append_printf(text, "source %s\n",
                                   (char *)g_ptr_array_index(build->sources, i));
    } else {
        if (!tb_build_fetch(build, error))
            return false;
        g_string_append_printf(text, "image %s\n", build->cloud_digest);
    }
    build->digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text->str, (gssize)text->len);
    return true;
}
