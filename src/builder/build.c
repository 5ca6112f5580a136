/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The path of a build. It is done in a staging directory (staging.c). */
#include "builder/build.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "builder/build-private.h"
#include "image/staging.h"
#include "image/store-private.h"
#include "image/qcow2.h"
#include "util/auto.h"
#include "util/command.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/interrupt.h"
#include "util/log.h"
#include "util/units.h"
#include "vm/box.h"

#define SPACE_NEEDED (4ULL * 1024 * 1024 * 1024)

static bool make_staging(TbStaging *staging, TbBuild *build, GError **error)
{
    if (!tb_staging_make(staging, build->digest, SPACE_NEEDED, "build an image", error))
        return false;
    build->staging = g_strdup(staging->path);
    build->work = g_build_filename(build->staging, "work", NULL);
    return mkdir(build->work, 0700) == 0 ||
           tb_error_set_errno(error, errno, "cannot create '%s'", build->work);
}

/* --- the end of a build ------------------------------------------------------------------------
 */

/* The jail could have written anything there; a header that names other files must not pass. */
static bool check_disk(const TbBuild *build, GError **error)
{
    g_autofree char *disk = g_build_filename(build->staging, TB_IMAGE_DISK, NULL);
    if (!(build->base ? tb_qcow2_check_layer(disk, tb_box_layer_backing, error)
                      : tb_qcow2_check(disk, error)))
        return false;
    g_autofree char *alone = tb_disk_description(disk, NULL);
    g_autoptr(TbCommand) command = tb_command_new("qemu-img");
    tb_command_add(command, "check", "-q", alone, NULL);
    return tb_command_run(command, NULL, error);
}

/* After scripts have run the file holds what they deleted, too: write it anew without. (Of a layer
 * that would be a copy of all; what is deleted there leaves holes in the file.) */
static bool compact(const TbBuild *build, GError **error)
{
    if (build->base || !tb_recipe_has_steps(build->recipe))
        return true;
    g_autofree char *disk = g_build_filename(build->staging, TB_IMAGE_DISK, NULL);
    g_autofree char *small = g_build_filename(build->work, "compact.qcow2", NULL);
    tb_status("compacting the disk");
    g_autoptr(TbCommand) command = tb_command_new("qemu-img");
    tb_command_add(command, "convert", "-f", "qcow2", "-O", "qcow2", disk, small, NULL);
    if (!tb_command_run(command, NULL, error))
        return false;
    return rename(small, disk) == 0 ||
           tb_error_set_errno(error, errno, "cannot replace '%s'", disk);
}

static TbImage *describe(const TbBuild *build)
{
    TbImage *image = g_new0(TbImage, 1);
    image->lock = -1;
    image->name = g_strdup(build->recipe->name);
    image->digest = g_strdup(build->digest);
    image->cmdline = g_strdup(build->cmdline);
    image->cpus = build->recipe->cpus;
    image->memory = build->recipe->memory;
    image->disk_size = build->recipe->disk;
    image->mount_type = build->recipe->mount_type;
    image->filesystems = g_strdup(build->filesystems);
    image->kernel_release = g_strdup(build->kernel_release);
    image->arch = g_strdup(tb_host_arch());
    image->taskbox = g_strdup(TB_VERSION);
    image->created = g_get_real_time() / G_USEC_PER_SEC;
    image->hosts = g_ptr_array_ref(build->hosts);
    image->own_initrd = build->own_initrd;
    image->env = g_strdupv(build->recipe->env);
    image->warm = g_strdupv(build->recipe->warm);
    if (build->base) {
        image->base_name = g_strdup(build->recipe->from);
        image->base_digest = g_strdup(build->base->digest);
        image->base_sum = g_strdup(build->base_sum);
    }
    return image;
}

static char *manifest_text(const TbBuild *build, const char *const sums[3])
{
    g_autoptr(TbImage) image = describe(build);
    const TbManifestSources sources = {
        .suite = build->recipe->suite,
        .sources = build->sources,
        .location = build->cloud_entry ? build->cloud_entry->location : NULL,
        .location_digest = build->cloud_digest,
        .guest_digest = build->guest_digest,
        .packages = build->packages,
    };
    return tb_image_manifest_write(image, &sources, sums);
}

static bool write_manifest(const TbBuild *build, const TbStaging *staging, GError **error)
{
    g_autofree char *disk = tb_staging_finish_file(staging, TB_IMAGE_DISK, error);
    g_autofree char *kernel = disk ? tb_staging_finish_file(staging, TB_IMAGE_KERNEL, error) : NULL;
    g_autofree char *initrd =
        kernel ? tb_staging_finish_file(staging, TB_IMAGE_INITRD, error) : NULL;
    if (!initrd)
        return false;
    const char *const sums[] = {disk, kernel, initrd};
    g_autofree char *text = manifest_text(build, sums);
    return tb_staging_describe(staging, text, sums, error);
}

static bool finish(TbStaging *staging, TbBuild *build, GError **error)
{
    tb_status("finishing the image");
    return check_disk(build, error) && compact(build, error) &&
           write_manifest(build, staging, error) && tb_interrupt_check(error) &&
           tb_staging_publish(staging, build->digest, build->recipe->name, error);
}

/* --- the path ----------------------------------------------------------------------------------
 */

static bool do_build(TbBuild *build, GError **error)
{
    g_auto(TbStaging) staging = TB_STAGING_NONE;
    tb_info("building image '%s' (%.12s)", build->recipe->name, build->digest);
    bool ok = make_staging(&staging, build, error) &&
              (!build->recipe->suite || tb_build_bootstrap(build, error)) &&
              (build->base ? tb_build_layer(build, error) : tb_build_disk(build, error)) &&
              tb_build_provision(build, error) && finish(&staging, build, error);
    tb_status_done();
    return ok;
}

/* The image of this digest when it is there and sound, under the recipe's name. NULL without error:
 * it must be built. */
static TbImage *find_built(const TbBuild *build, GError **error)
{
    if (!tb_store_has(build->digest))
        return NULL;
    g_autoptr(GError) why = NULL;
    TbImage *image = tb_image_open(build->digest, &why);
    if (g_error_matches(why, TB_ERROR, TB_ERROR_INTERRUPTED)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    if (!image) {
        tb_warn("the image that is there cannot be used: %s", why->message);
        return NULL;
    }
    if (!tb_store_set_name(build->recipe->name, build->digest, error))
        g_clear_pointer(&image, tb_image_free);
    return image;
}

static TbImage *build_locked(TbBuild *build, bool *built, GError **error)
{
    GError *why = NULL;
    TbImage *image = find_built(build, &why);
    if (image || why) {
        if (why)
            g_propagate_error(error, why);
        return image;
    }
    int64_t start = g_get_monotonic_time();
    if (!do_build(build, error))
        return NULL;
    *built = true;
    g_autofree char *took = tb_duration_format((uint64_t)(g_get_monotonic_time() - start) / 1000);
    tb_info("image '%s' is ready (%s)", build->recipe->name, took);
    return tb_image_open(build->recipe->name, error);
}

/* "a, b, a": each on the next. */
static bool note_recipe(GPtrArray *chain, const GPtrArray *above, const char *path, GError **error)
{
    bool twice = false;
    for (guint i = 0; above && i < above->len; i++) {
        twice = twice || g_str_equal(above->pdata[i], path);
        g_ptr_array_add(chain, above->pdata[i]);
    }
    g_ptr_array_add(chain, (char *)path);
    if (!twice && chain->len > TB_LAYERS_MAX + 1)
        return tb_error_set(error, TB_ERROR_CONFIG,
                            "cannot build '%s': more than %d layers would lie on each other (put "
                            "what two of them do into one)",
                            (const char *)chain->pdata[0], TB_LAYERS_MAX);
    if (!twice)
        return true;
    g_ptr_array_add(chain, NULL);
    g_autofree char *list = g_strjoinv(" from ", (char **)chain->pdata);
    return tb_error_set(error, TB_ERROR_CONFIG, "a recipe cannot lie on itself: %s", list);
}

static TbImage *build_image(const char *recipe, const GPtrArray *above, bool *built, GError **error)
{
    g_autoptr(GPtrArray) chain = g_ptr_array_new();
    g_autoptr(TbBuild) build = g_new0(TbBuild, 1);
    build->tar_lock = -1;
    build->recipe = tb_recipe_load(recipe, error);
    if (!build->recipe || !note_recipe(chain, above, build->recipe->path, error))
        return NULL;
    for (guint i = 0; i < build->recipe->ignored->len; i++)
        tb_warn("%s", (const char *)build->recipe->ignored->pdata[i]);
    if (!tb_build_open_base(build, chain, error) || !tb_build_inputs(build, error))
        return NULL;
    tb_autofd locks = tb_store_dir("locks", NULL, error);
    if (locks < 0)
        return NULL;
    g_autofree char *name = g_strconcat("build-", build->digest, NULL);
    tb_autofd lock = tb_store_lock_build(locks, name, build->recipe->name, error);
    if (lock < 0)
        return NULL;
    TbImage *image = build_locked(build, built, error);
    unlinkat(locks, name, 0); /* while we hold it: who waits for it looks again */
    return image;
}

TbImage *tb_image_build_below(const char *recipe, const GPtrArray *above, GError **error)
{
    bool built = false;
    return build_image(recipe, above, &built, error);
}

TbImage *tb_image_build(const char *recipe, bool *built, GError **error)
{
    bool ignored;
    built = built ? built : &ignored;
    *built = false;
    return build_image(recipe, NULL, built, error);
}
