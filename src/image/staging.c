/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All work is done in a staging directory of the store, under a lock named after the digest; the
 * image appears by one rename, with everything in it on the disk. What a killed taskbox leaves has
 * no lock holder, and the next command removes it.
 */
#include "image/staging.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/manifest.h"
#include "image/store-private.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/units.h"

void tb_staging_clear(TbStaging *staging)
{
    g_autoptr(GError) error = NULL;
    if (staging->name && !tb_remove_tree(staging->images, staging->name, &error))
        tb_warn("cannot remove what the build left: %s", error->message);
    g_free(staging->name);
    g_free(staging->path);
    tb_clear_fd(&staging->images);
}

static bool check_space(const char *path, uint64_t need, const char *what, GError **error)
{
    uint64_t free_bytes = tb_free_space(path);
    if (free_bytes == 0 || free_bytes >= need)
        return true;
    g_autofree char *have = tb_size_format(free_bytes);
    g_autofree char *wanted = tb_size_format(need);
    return tb_error_set(error, TB_ERROR_NO_SPACE,
                        "cannot %s: %s free in '%s', and it may take up to %s", what, have, path,
                        wanted);
}

bool tb_staging_make(TbStaging *staging, const char *digest, uint64_t need, const char *what,
                     GError **error)
{
    g_autofree char *path = NULL;
    staging->images = tb_store_dir("images", &path, error);
    if (staging->images < 0 || !check_space(path, need, what, error))
        return false;
    g_autofree char *name = g_strconcat(TB_STAGING_PREFIX, digest, NULL);
    if (!tb_remove_tree(staging->images, name, error))
        return false;
    if (mkdirat(staging->images, name, 0700) < 0)
        return tb_error_set_errno(error, errno, "cannot create '%s/%s'", path, name);
    staging->path = g_build_filename(path, name, NULL);
    staging->name = g_steal_pointer(&name);
    return true;
}

static int open_staging(const TbStaging *staging, GError **error)
{
    int fd = tb_open_beneath(staging->images, staging->name, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        tb_error_set_errno(error, errno, "cannot open '%s'", staging->path);
    return fd;
}

/* Before it is hashed: the ctime must not move afterwards. */
char *tb_staging_finish_file(const TbStaging *staging, const char *name, GError **error)
{
    tb_autofd dir = open_staging(staging, error);
    if (dir < 0)
        return NULL;
    tb_autofd fd = tb_open_beneath(dir, name, O_RDONLY, 0);
    if (fd < 0 || fchown(fd, geteuid(), getegid()) < 0 || fchmod(fd, 0444) < 0 || fsync(fd) < 0) {
        tb_error_set_errno(error, errno, "cannot finish '%s'", name);
        return NULL;
    }
    return tb_sha256_fd(fd, name, error);
}

bool tb_staging_describe(const TbStaging *staging, const char *manifest, const char *const sums[3],
                         GError **error)
{
    tb_autofd dir = open_staging(staging, error);
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, manifest, -1);
    g_autofree char *list = tb_image_sums_format(sums, sum);
    return dir >= 0 &&
           tb_write_atomic(dir, TB_IMAGE_MANIFEST, manifest, strlen(manifest), 0444, error) &&
           tb_write_atomic(dir, TB_IMAGE_SUMS, list, strlen(list), 0444, error);
}

bool tb_staging_publish(TbStaging *staging, const char *digest, const char *name, GError **error)
{
    tb_autofd fd = open_staging(staging, error);
    if (fd < 0 || !tb_remove_tree(fd, "work", error))
        return false;
    if (fchmod(fd, 0555) < 0 || fsync(fd) < 0)
        return tb_error_set_errno(error, errno, "cannot finish '%s'", staging->path);
    if (tb_store_has(digest) && !tb_store_drop(digest, true, error))
        return false;
    /* Against a gc between the rename and the name. */
    tb_autofd lock = tb_store_lock_shared(digest, error);
    if (lock < 0)
        return false;
    if (renameat(staging->images, staging->name, staging->images, digest) < 0 ||
        fsync(staging->images) < 0)
        return tb_error_set_errno(error, errno, "cannot put the image in its place");
    g_clear_pointer(&staging->name, g_free);
    return tb_store_set_name(name, digest, error);
}
