/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A layer: an empty disk on that of the image it lies on, which is booted and provisioned as any
 * other. Kernel, initramfs and guest program are that image's; so no appliance is needed, and the
 * build is a boot and what the recipe wants done.
 */
#include <fcntl.h>
#include <string.h>

#include "builder/build-private.h"
#include "builder/build.h"
#include "image/store-private.h"
#include "util/auto.h"
#include "util/command.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"
#include "vm/box.h"

/* An image that was imported, or made of a recipe that lies elsewhere, has its name only. */
bool tb_build_has_recipe(const char *name)
{
    g_autofree char *path = tb_recipe_find(name, NULL);
    g_autoptr(TbImage) there = path ? tb_image_open(name, NULL) : NULL;
    return path && !(there && there->imported);
}

bool tb_build_open_base(TbBuild *build, const GPtrArray *above, GError **error)
{
    TbRecipe *recipe = build->recipe;
    if (!recipe->from)
        return true;
    build->base = tb_build_has_recipe(recipe->from)
                      ? tb_image_build_below(recipe->from, above, error)
                      : tb_image_open(recipe->from, error);
    if (!build->base) {
        g_prefix_error(error, "cannot build on '%s': ", recipe->from);
        return false;
    }
    unsigned depth = 0;
    build->bases = tb_store_disks(build->base, &depth);
    if (depth > TB_LAYERS_MAX)
        return tb_error_set(error, TB_ERROR_CONFIG,
                            "cannot build '%s' on '%s': more than %d layers would lie on each "
                            "other (put what two of them do into one)",
                            recipe->name, recipe->from, TB_LAYERS_MAX);
    const TbRecipeDefaults defaults = {build->base->cpus, build->base->memory,
                                       build->base->disk_size, build->base->mount_type,
                                       build->base->env};
    tb_recipe_inherit(recipe, &defaults);
    return true;
}

static bool copy(const char *from, int staging, const char *name, GError **error)
{
    return tb_copy_new(AT_FDCWD, from, staging, name, error);
}

bool tb_build_layer(TbBuild *build, GError **error)
{
    const TbImage *base = build->base;
    tb_autofd staging = open(build->staging, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (staging < 0)
        return tb_error_set_errno(error, errno, "cannot open '%s'", build->staging);
    build->cmdline = g_strdup(base->cmdline);
    build->own_initrd = base->own_initrd;
    return tb_box_layer_disk(staging, TB_IMAGE_DISK, build->recipe->disk, error) &&
           copy(base->kernel, staging, TB_IMAGE_KERNEL, error) &&
           copy(base->initrd, staging, TB_IMAGE_INITRD, error);
}
