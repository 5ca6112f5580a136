/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The disk: an empty one with the bootstrap's tar unpacked on it, or a private copy of the cloud
 * image; then the same for both, in one appliance: inject, take out kernel and initramfs.
 *
 * Bytes of a cloud image are parsed by the appliance's kernel and never by this host's.
 */
#include <stdlib.h>
#include <string.h>
#include "builder/build-private.h"
#include "builder/worker.h"
#include "image/qcow2.h"
#include "util/command.h"
#include "util/error.h"
#include "util/log.h"
#include "vm/box.h"

#define ROOT_LABEL "taskbox-root"
/* No lazy initialisation: each box would do it again in its overlay. */
#define ROOT_FLAGS  "rootflags=noinit_itable"
#define JOURNAL_MIB 16

typedef struct {
    char *device; /* in the appliance */
    char *type;   /* "ext4" */
    char *spec;   /* root= on the command line */
} Root;

static void root_clear(Root *root)
{
    g_free(root->device);
    g_free(root->type);
    g_free(root->spec);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Root, root_clear)

static bool qemu_img(GError **error, const char *verb, ...)
{
    va_list args;
    va_start(args, verb);
    g_autoptr(TbCommand) command = tb_command_new("qemu-img");
    tb_command_add(command, verb, NULL);
    for (const char *arg; (arg = va_arg(args, const char *));)
        tb_command_add(command, arg, NULL);
    va_end(args);
    return tb_command_run(command, NULL, error);
}

static bool create_empty(const TbBuild *build, const char *disk, GError **error)
{
    g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, build->recipe->disk);
    return qemu_img(error, "create", "-q", "-f", "qcow2", disk, size, NULL);
}

static bool copy_cloud(const TbBuild *build, const char *disk, GError **error)
{
    g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, build->recipe->disk);
    g_autoptr(GError) why = NULL;
    tb_status("copying the cloud image");
    if (!tb_check_digest(build->cloud, build->cloud_digest, error) ||
        !tb_qcow2_check(build->cloud, error) ||
        !qemu_img(error, "convert", "-f", "qcow2", "-O", "qcow2", build->cloud, disk, NULL))
        return false;
    if (qemu_img(&why, "resize", "-q", "-f", "qcow2", disk, size, NULL))
        return true;
    return tb_error_set(error, TB_ERROR_IMAGE,
                        "cannot make the disk %" G_GUINT64_FORMAT
                        " MiB large (is the cloud image larger? set 'disk' in the recipe): %s",
                        build->recipe->disk >> 20, why->message);
}

static bool fill_bootstrap(TbBuild *build, guestfs_h *g, Root *root, GError **error)
{
    tb_status("unpacking the root file system");
    if (guestfs_mke2fs(g, "/dev/sda", GUESTFS_MKE2FS_FSTYPE, "ext4", GUESTFS_MKE2FS_LABEL,
                       ROOT_LABEL, GUESTFS_MKE2FS_JOURNALSIZE, (int64_t)JOURNAL_MIB,
                       GUESTFS_MKE2FS_RESERVEDBLOCKSPERCENTAGE, 0, -1) != 0 ||
        guestfs_mount_options(g, "noatime,noinit_itable", "/dev/sda", "/") != 0 ||
        guestfs_tar_in_opts(g, build->tar, "/", GUESTFS_TAR_IN_OPTS_XATTRS, 1, -1) != 0)
        return tb_error_set_guestfs(error, g, "write the root file system");
    root->device = g_strdup("/dev/sda");
    root->type = g_strdup("ext4");
    root->spec = g_strdup("LABEL=" ROOT_LABEL);
    return true;
}

static bool mount_all(guestfs_h *g, const char *device, GError **error)
{
    char **mounts = guestfs_inspect_get_mountpoints(g, device);
    if (!mounts)
        return tb_error_set_guestfs(error, g, "find the cloud image's file systems");
    /* "/" before "/boot" before "/boot/efi": by length, as each is within the shorter. */
    bool ok = true;
    for (size_t length = 1; ok && length < 64; length++) {
        for (char **pair = mounts; ok && pair[0] && pair[1]; pair += 2) {
            if (strlen(pair[0]) != length)
                continue;
            ok = guestfs_mount_options(g, length == 1 ? "noatime" : "", pair[1], pair[0]) == 0 ||
                 length > 1; /* one that is named but not there is not needed */
        }
    }
    if (!ok)
        tb_error_set_guestfs(error, g, "mount the cloud image's root file system");
    g_strfreev(mounts);
    return ok;
}

/* Whether no partition of the disk lies behind number `number`. */
static bool is_last(guestfs_h *g, const char *disk, int number)
{
    struct guestfs_partition_list *list = guestfs_part_list(g, disk);
    uint64_t start = 0, last = 0;
    for (uint32_t i = 0; list && i < list->len; i++) {
        last = MAX(last, list->val[i].part_start);
        if (list->val[i].part_num == number)
            start = list->val[i].part_start;
    }
    guestfs_free_partition_list(list);
    return start > 0 && start == last;
}

/* The disk has grown: a root partition at its end grows with it. The file system follows at the
 * first boot. Without this the image works, too, only with less room. */
static void grow_partition(guestfs_h *g, const char *device)
{
    char *disk = guestfs_part_to_dev(g, device);
    char *type = disk ? guestfs_part_get_parttype(g, disk) : NULL;
    int number = guestfs_part_to_partnum(g, device);
    int64_t sectors = disk ? guestfs_blockdev_getsz(g, disk) : -1;
    if (type && number > 0 && sectors > 0 && is_last(g, disk, number)) {
        bool gpt = g_str_equal(type, "gpt");
        bool ok = (!gpt || guestfs_part_expand_gpt(g, disk) == 0) &&
                  guestfs_part_resize(g, disk, number, sectors - (gpt ? 34 : 1)) == 0;
        if (!ok)
            tb_verbose("cannot grow the root partition: %s", guestfs_last_error(g));
    }
    free(type);
    free(disk);
}

static bool open_cloud(guestfs_h *g, Root *root, GError **error)
{
    tb_status("looking at the cloud image");
    char **roots = guestfs_inspect_os(g);
    if (!roots)
        return tb_error_set_guestfs(error, g, "look at the cloud image");
    unsigned count = g_strv_length(roots);
    root->device = count == 1 ? g_strdup(roots[0]) : NULL;
    g_strfreev(roots);
    if (!root->device)
        return tb_error_set(error, TB_ERROR_IMAGE,
                            "cannot use the cloud image: it holds %u operating systems, not one",
                            count);
    grow_partition(g, root->device);
    if (!mount_all(g, root->device, error))
        return false;
    char *type = guestfs_vfs_type(g, root->device);
    char *uuid = guestfs_vfs_uuid(g, root->device);
    if (type && uuid && *uuid) {
        root->type = g_strdup(type);
        root->spec = g_strconcat("UUID=", uuid, NULL);
    }
    free(type);
    free(uuid);
    return root->spec || tb_error_set_guestfs(error, g, "identify the root file system");
}

/* Compares as rpm and dpkg do: runs of digits by value. */
static int compare_versions(const char *a, const char *b)
{
    while (*a && *b) {
        if (g_ascii_isdigit(*a) && g_ascii_isdigit(*b)) {
            char *a_end, *b_end;
            guint64 x = g_ascii_strtoull(a, &a_end, 10), y = g_ascii_strtoull(b, &b_end, 10);
            if (x != y)
                return x < y ? -1 : 1;
            a = a_end;
            b = b_end;
        } else if (*a != *b) {
            return *a < *b ? -1 : 1;
        } else {
            a++;
            b++;
        }
    }
    return *a ? 1 : *b ? -1 : 0;
}

/* The newest kernel that has modules, too. */
static char *newest_kernel(guestfs_h *g, GError **error)
{
    char **files = guestfs_glob_expand_opts(g, "/boot/vmlinuz-*",
                                            GUESTFS_GLOB_EXPAND_OPTS_DIRECTORYSLASH, 0, -1);
    char *best = NULL;
    for (char **file = files; file && *file; file++) {
        const char *release = *file + strlen("/boot/vmlinuz-");
        g_autofree char *modules = g_build_filename("/lib/modules", release, NULL);
        if (strchr(release, '/') || guestfs_is_dir(g, modules) != 1 ||
            (best && compare_versions(release, best) <= 0))
            continue;
        g_free(best);
        best = g_strdup(release);
    }
    g_strfreev(files);
    if (!best)
        tb_error_set(error, TB_ERROR_IMAGE,
                     "the root file system has no kernel in /boot (add one such as "
                     "'linux-image-cloud-amd64' to the recipe's packages)");
    return best;
}

static bool download(const TbBuild *build, guestfs_h *g, const char *from, const char *name,
                     GError **error)
{
    g_autofree char *to = g_build_filename(build->staging, name, NULL);
    return guestfs_download(g, from, to) == 0 ||
           tb_error_set_guestfs(error, g, "take the kernel out of the image");
}

static bool own_initrd(TbBuild *build, guestfs_h *g, const char *release, GError **error)
{
    static const char *const patterns[] = {"/boot/initrd.img-%s", "/boot/initramfs-%s.img",
                                           "/boot/initrd-%s"};
    tb_info("the image's own initramfs is used (ours has not what it needs; boots take longer)");
    for (size_t i = 0; i < G_N_ELEMENTS(patterns); i++) {
        g_auto(GStrv) parts = g_strsplit(patterns[i], "%s", 2);
        g_autofree char *path = g_strconcat(parts[0], release, parts[1], NULL);
        if (guestfs_is_file_opts(g, path, GUESTFS_IS_FILE_OPTS_FOLLOWSYMLINKS, 1, -1) == 1)
            return download(build, g, path, TB_IMAGE_INITRD, error);
    }
    return tb_error_set(error, TB_ERROR_IMAGE,
                        "the image's kernel '%s' lacks modules for virtio and has no initramfs",
                        release);
}

static bool take_kernel(TbBuild *build, guestfs_h *g, const Root *root, GError **error)
{
    g_autofree char *release = newest_kernel(g, error);
    if (!release)
        return false;
    g_autofree char *path = g_strconcat("/boot/vmlinuz-", release, NULL);
    if (!download(build, g, path, TB_IMAGE_KERNEL, error) ||
        !tb_build_initrd(build, g, release, root->type, &build->own_initrd, error))
        return false;
    return build->own_initrd || own_initrd(build, g, release, error);
}

/* An emulated machine on a busy host fails the kernel's check of the timer, and then panics. */
static const char *timer_words(void)
{
    return g_str_equal(tb_host_arch(), "x86_64") ? " no_timer_check" : "";
}

static void set_cmdline(TbBuild *build, const Root *root)
{
    build->cmdline = g_strdup_printf(
        "root=%s rootfstype=%s %srw console=ttyS0 quiet loglevel=4 panic=-1 net.ifnames=0 "
        "systemd.show_status=0 fsck.mode=skip%s",
        root->spec, root->type, g_str_equal(root->type, "ext4") ? ROOT_FLAGS " " : "",
        timer_words());
}

static bool close_appliance(guestfs_h *g, GError **error)
{
    if (guestfs_umount_all(g) != 0 || guestfs_shutdown(g) != 0)
        return tb_error_set_guestfs(error, g, "finish the disk");
    return true;
}

/* In the child: the answer is "own" or "distribution", a space, and the command line. */
static bool work_on_disk(void *data, GString *out, GError **error)
{
    TbBuild *build = data;
    g_autofree char *disk = g_build_filename(build->staging, TB_IMAGE_DISK, NULL);
    g_autoptr(guestfs_h) g = tb_appliance_launch(build, disk, error);
    g_auto(Root) root = {0};
    if (!g || !(build->recipe->suite ? fill_bootstrap(build, g, &root, error)
                                     : open_cloud(g, &root, error)))
        return false;
    tb_status("preparing the root file system");
    if (!tb_build_inject(build, g, error) || !take_kernel(build, g, &root, error))
        return false;
    set_cmdline(build, &root);
    g_string_printf(out, "%s %s", build->own_initrd ? "own" : "distribution", build->cmdline);
    return close_appliance(g, error);
}

bool tb_build_disk(TbBuild *build, GError **error)
{
    g_autofree char *disk = g_build_filename(build->staging, TB_IMAGE_DISK, NULL);
    if (!(build->recipe->suite ? create_empty(build, disk, error) : copy_cloud(build, disk, error)))
        return false;
    tb_accel_probe(NULL); /* here, where it is kept for the first boot, too */
    tb_status("starting libguestfs");
    g_autoptr(GString) answer = g_string_new(NULL);
    if (!tb_worker_run(work_on_disk, build, answer, error))
        return false;
    g_auto(GStrv) words = g_strsplit(answer->str, " ", 2);
    build->own_initrd = g_str_equal(words[0], "own");
    g_free(build->cmdline);
    build->cmdline = g_strdup(words[1]);
    return true;
}
