/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An image is the best a box can have: it is a snapshot, masks hold by construction, and reading it
 * is several times faster than by any share (docs/performance.md, "Mounts"). It costs reading the
 * whole project once, and its size on the disk. So 'auto' takes a share only when that first
 * image would keep somebody waiting for longer than a share makes up for.
 */
#include "run/mounting.h"

#include "util/error.h"
#include "util/units.h"
#include "vm/box.h"

/* Measured: 100,000 files are imaged in 0.7 s, a GiB in 0.9: each of these is some eight seconds.
 */
#define IMAGE_FILES UINT64_C(1000000)
#define IMAGE_BYTES (UINT64_C(8) << 30)

TbMountType tb_mounting_asked(const TbRunOptions *options, const TbSettings *settings,
                              const TbImage *image)
{
    TbMountType mount = options->mount    ? options->mount
                        : settings->mount ? settings->mount
                                          : image->mount_type;
    return MAX(mount, TB_MOUNT_IMAGE);
}

bool tb_mounting_possible(TbMountType mount, const TbImage *image, GError **error)
{
    if (mount != TB_MOUNT_9P && mount != TB_MOUNT_VIRTIOFS)
        return true;
    const char *name = tb_mount_type_name(mount);
    g_auto(GStrv) known = g_strsplit(image->filesystems ? image->filesystems : "", ",", -1);
    if (!g_strv_contains((const char *const *)known, name))
        return tb_error_set(error, TB_ERROR_UNSUPPORTED,
                            "cannot share the project by %s: the kernel of image '%s' has no %s "
                            "(" TB_MOUNT_KERNELS "; build an image with it, or use --mount image)",
                            name, image->name, name);
    return mount != TB_MOUNT_VIRTIOFS || tb_box_can_share(error);
}

bool tb_mounting_fits(TbMountType mount, const TbProject *project, GError **error)
{
    uint64_t most = tb_box_share_files(), files = 0, bytes = 0;
    if (mount != TB_MOUNT_VIRTIOFS)
        return true;
    tb_project_measure(project, most, UINT64_MAX, &files, &bytes);
    return files <= most ||
           tb_error_set(error, TB_ERROR_LIMIT,
                        "cannot share the project by virtiofs: it has more than %" G_GUINT64_FORMAT
                        " files, and virtiofsd may keep no more open (raise 'ulimit -Hn', or use "
                        "--mount image)",
                        most);
}

TbMountType tb_mounting_choose(const TbImage *image, const TbProject *project, char **why)
{
    static const TbMountType shares[] = {TB_MOUNT_VIRTIOFS, TB_MOUNT_9P};
    uint64_t files = 0, bytes = 0;
    if (tb_project_image_kept(project)) {
        *why = g_strdup("an image of the project is kept already");
        return TB_MOUNT_IMAGE;
    }
    tb_project_measure(project, IMAGE_FILES, IMAGE_BYTES, &files, &bytes);
    g_autofree char *size = tb_size_format(bytes);
    if (files <= IMAGE_FILES && bytes <= IMAGE_BYTES) {
        *why = g_strdup_printf("%" G_GUINT64_FORMAT " files of %s are imaged quickly", files, size);
        return TB_MOUNT_IMAGE;
    }
    g_autofree char *large =
        files > IMAGE_FILES
            ? g_strdup_printf("more than %" G_GUINT64_FORMAT " files", IMAGE_FILES)
            : g_strdup_printf("more than %" G_GUINT64_FORMAT " GiB", IMAGE_BYTES >> 30);
    g_autoptr(GError) reason = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(shares); i++) {
        g_clear_error(&reason);
        if (!tb_mounting_possible(shares[i], image, &reason) ||
            !tb_mounting_fits(shares[i], project, &reason))
            continue;
        *why = g_strdup_printf("an image of %s takes long", large);
        return shares[i];
    }
    *why = g_strdup_printf("neither virtiofs nor 9p can be had for %s here: %s", large,
                           reason->message);
    return TB_MOUNT_IMAGE;
}
