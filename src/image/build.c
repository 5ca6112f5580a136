/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The path of a build. All work is done in a staging directory of the store under a lock named
 * after the digest; the image appears by one rename, with everything in it on the disk. A build
 * that was killed leaves the directory without a lock holder, and the next one removes it.
 */
#include "image/build.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "image/build-private.h"
#include "image/store-private.h"
#include "util/auto.h"
#include "util/command.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/interrupt.h"
#include "util/log.h"
#include "util/units.h"

#define SPACE_NEEDED (4ULL * 1024 * 1024 * 1024)

/* --- staging -----------------------------------------------------------------------------------
 */

typedef struct {
    int images;
    char *name; /* removed when set */
} Staging;

static void staging_clear(Staging *staging)
{
    g_autoptr(GError) error = NULL;
    if (staging->name && !tb_remove_tree(staging->images, staging->name, &error))
        tb_warn("cannot remove what the build left: %s", error->message);
    g_free(staging->name);
    tb_clear_fd(&staging->images);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Staging, staging_clear)

static bool check_space(const char *path, GError **error)
{
    uint64_t free_bytes = tb_free_space(path);
    if (free_bytes == 0 || free_bytes >= SPACE_NEEDED)
        return true;
    g_autofree char *have = tb_size_format(free_bytes);
    g_autofree char *need = tb_size_format(SPACE_NEEDED);
    return tb_error_set(error, TB_ERROR_NO_SPACE,
                        "cannot build an image: %s free in '%s', and a build takes up to %s", have,
                        path, need);
}

static bool make_staging(Staging *staging, TbBuild *build, GError **error)
{
    g_autofree char *path = NULL;
    staging->images = tb_store_dir("images", &path, error);
    if (staging->images < 0 || !check_space(path, error))
        return false;
    g_autofree char *name = g_strconcat(TB_STAGING_PREFIX, build->digest, NULL);
    if (!tb_remove_tree(staging->images, name, error))
        return false;
    if (mkdirat(staging->images, name, 0700) < 0)
        return tb_error_set_errno(error, errno, "cannot create '%s/%s'", path, name);
    build->staging = g_build_filename(path, name, NULL);
    build->work = g_build_filename(build->staging, "work", NULL);
    staging->name = g_steal_pointer(&name);
    return mkdir(build->work, 0700) == 0 ||
           tb_error_set_errno(error, errno, "cannot create '%s'", build->work);
}

/* --- the end of a build ------------------------------------------------------------------------
 */

/* The jail could have written anything there; a header that names other files must not pass. */
static bool check_disk(const TbBuild *build, GError **error)
{
    g_autofree char *disk = g_build_filename(build->staging, TB_IMAGE_DISK, NULL);
    if (!tb_qcow2_check(disk, error))
        return false;
    g_autoptr(TbCommand) command = tb_command_new("qemu-img");
    tb_command_add(command, "check", "-q", "-f", "qcow2", disk, NULL);
    return tb_command_run(command, NULL, error);
}

/* After scripts have run the file holds what they deleted, too: write it anew without. */
static bool compact(const TbBuild *build, GError **error)
{
    if (build->recipe->provision->len == 0)
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

/* Read-only and on the disk before it is hashed: the ctime must not move afterwards. */
static char *finish_file(int staging, const char *name, GError **error)
{
    tb_autofd fd = tb_open_beneath(staging, name, O_RDONLY, 0);
    if (fd < 0 || fchown(fd, geteuid(), getegid()) < 0 || fchmod(fd, 0444) < 0 || fsync(fd) < 0) {
        tb_error_set_errno(error, errno, "cannot finish '%s'", name);
        return NULL;
    }
    return tb_sha256_fd(fd, name, error);
}

static bool write_text(int staging, const char *name, const char *text, GError **error)
{
    return tb_write_atomic(staging, name, text, strlen(text), 0444, error);
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
        .own_initrd = build->own_initrd,
    };
    return tb_image_manifest_write(image, &sources, sums);
}

static bool write_manifest(const TbBuild *build, int staging, GError **error)
{
    g_autofree char *disk = finish_file(staging, TB_IMAGE_DISK, error);
    g_autofree char *kernel = disk ? finish_file(staging, TB_IMAGE_KERNEL, error) : NULL;
    g_autofree char *initrd = kernel ? finish_file(staging, TB_IMAGE_INITRD, error) : NULL;
    if (!initrd)
        return false;
    const char *const sums[] = {disk, kernel, initrd};
    g_autofree char *text = manifest_text(build, sums);
    g_autofree char *manifest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
    g_autofree char *list =
        g_strdup_printf("%s  " TB_IMAGE_DISK "\n%s  " TB_IMAGE_KERNEL "\n%s  " TB_IMAGE_INITRD
                        "\n%s  " TB_IMAGE_MANIFEST "\n",
                        disk, kernel, initrd, manifest);
    return write_text(staging, TB_IMAGE_MANIFEST, text, error) &&
           write_text(staging, TB_IMAGE_SUMS, list, error);
}

/* A damaged image of the same digest makes room; one that is in use cannot. */
static bool publish(Staging *staging, const TbBuild *build, GError **error)
{
    tb_autofd fd = tb_open_beneath(staging->images, staging->name, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return tb_error_set_errno(error, errno, "cannot open '%s'", build->staging);
    if (!tb_remove_tree(fd, "work", error))
        return false;
    if (fchmod(fd, 0555) < 0 || fsync(fd) < 0)
        return tb_error_set_errno(error, errno, "cannot finish '%s'", build->staging);
    if (tb_store_has(build->digest) && !tb_store_drop(build->digest, error))
        return false;
    /* Against a gc between the rename and the name. */
    tb_autofd lock = tb_store_lock_shared(build->digest, error);
    if (lock < 0)
        return false;
    if (renameat(staging->images, staging->name, staging->images, build->digest) < 0 ||
        fsync(staging->images) < 0)
        return tb_error_set_errno(error, errno, "cannot put the image in its place");
    g_clear_pointer(&staging->name, g_free);
    return tb_store_set_name(build->recipe->name, build->digest, error);
}

static bool finish(Staging *staging, TbBuild *build, GError **error)
{
    tb_status("finishing the image");
    tb_autofd fd = tb_open_beneath(staging->images, staging->name, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return tb_error_set_errno(error, errno, "cannot open '%s'", build->staging);
    return check_disk(build, error) && compact(build, error) && write_manifest(build, fd, error) &&
           tb_interrupt_check(error) && publish(staging, build, error);
}

/* --- the path ----------------------------------------------------------------------------------
 */

static bool do_build(TbBuild *build, GError **error)
{
    g_auto(Staging) staging = {.images = -1};
    tb_info("building image '%s' (%.12s)", build->recipe->name, build->digest);
    bool ok = make_staging(&staging, build, error) &&
              (!build->recipe->suite || tb_build_bootstrap(build, error)) &&
              tb_build_disk(build, error) && tb_build_provision(build, error) &&
              finish(&staging, build, error);
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

static int lock_build(int locks, const char *name, const char *image, GError **error)
{
    g_autoptr(GError) why = NULL;
    int lock = tb_lock(locks, name, false, &why);
    if (lock >= 0)
        return lock;
    if (!g_error_matches(why, TB_ERROR, TB_ERROR_BUSY)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return -1;
    }
    tb_info("another taskbox builds image '%s'; waiting for it", image);
    return tb_lock(locks, name, true, error);
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

TbImage *tb_image_build(const char *recipe, bool *built, GError **error)
{
    bool ignored;
    built = built ? built : &ignored;
    *built = false;
    g_autoptr(TbBuild) build = g_new0(TbBuild, 1);
    build->tar_lock = -1;
    build->recipe = tb_recipe_load(recipe, error);
    if (!build->recipe || !tb_build_inputs(build, error))
        return NULL;
    tb_autofd locks = tb_store_dir("locks", NULL, error);
    if (locks < 0)
        return NULL;
    g_autofree char *name = g_strconcat("build-", build->digest, NULL);
    tb_autofd lock = lock_build(locks, name, build->recipe->name, error);
    if (lock < 0)
        return NULL;
    TbImage *image = build_locked(build, built, error);
    unlinkat(locks, name, 0); /* while we hold it: who waits for it looks again */
    return image;
}
