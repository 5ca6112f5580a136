/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The project's place: image (read-only), delta and upper, joined by overlayfs. The project disk
 * is known by its serial number, never by its name. Its cached blocks are dropped first, because a
 * box forked from a template had looked at a placeholder.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/guest.h"

#define SERIAL "tbproject"

enum { DISK_WAIT_MS = 5000, DEVICE_WAIT_MS = 10000 };

void tb_mount_filesystems(char *out, size_t size)
{
    static const char *const wanted[] = {"erofs", "squashfs", "ext4", "9p", "virtiofs"};
    static const char *const modules[] = {"modprobe",     "-qa",      "virtio_blk", "overlay",
                                          "erofs",        "squashfs", "ext4",       "9p",
                                          "9pnet_virtio", "virtiofs", NULL};
    char known[8192], line[64];
    size_t used = 0;
    tb_run_program(modules);
    out[0] = '\0';
    if (tb_read_text("/proc/filesystems", known, sizeof known) < 0)
        return;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        snprintf(line, sizeof line, "\t%s\n", wanted[i]);
        if (strstr(known, line) && used < size)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? "," : "", wanted[i]);
    }
}

static bool find_disk_once(char *out, size_t size)
{
    DIR *dir = opendir("/sys/block");
    bool found = false;
    for (struct dirent *entry; dir && !found && (entry = readdir(dir));) {
        char path[512], serial[64];
        snprintf(path, sizeof path, "/sys/block/%s/serial", entry->d_name);
        if (tb_read_text(path, serial, sizeof serial) <= 0)
            continue;
        serial[strcspn(serial, "\n")] = '\0';
        found = strcmp(serial, SERIAL) == 0;
        if (found)
            snprintf(out, size, "/dev/%s", entry->d_name);
    }
    if (dir)
        closedir(dir);
    return found;
}

static bool find_disk(char *out, size_t size, TbFault *fault)
{
    int64_t deadline = tb_now() + DISK_WAIT_MS;
    while (!find_disk_once(out, size)) {
        if (tb_now() >= deadline)
            return tb_fault(fault, "there is no disk with serial '" SERIAL "'");
        tb_sleep_ms(20);
    }
    return true;
}

/* A device that was plugged into a fork may still be on its way through the kernel. */
static bool mount_shared(const char *type, const char *image, unsigned long flags, TbFault *fault)
{
    bool is_9p = strcmp(type, "9p") == 0;
    const char *options = is_9p ? "trans=virtio,version=9p2000.L,msize=512000" : NULL;
    int64_t deadline = tb_now() + (is_9p ? 0 : DEVICE_WAIT_MS);
    while (mount("project", image, type, flags, options) != 0) {
        if (errno != EINVAL || tb_now() >= deadline)
            return tb_fault_errno(fault, "cannot mount the shared project directory (%s)", type);
        tb_sleep_ms(10);
    }
    return true;
}

static bool mount_image(const TbMountMessage *mount_, const char *image, TbFault *fault)
{
    const unsigned long flags = MS_RDONLY | MS_NODEV | MS_NOSUID | MS_NOATIME;
    const char *type = mount_->filesystem;
    if (strcmp(type, "9p") == 0 || strcmp(type, "virtiofs") == 0)
        return mount_shared(type, image, flags, fault);
    char disk[512];
    if (!find_disk(disk, sizeof disk, fault))
        return false;
    tb_auto_fd fd = open(disk, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return tb_fault_errno(fault, "cannot open '%s'", disk);
    ioctl(fd, BLKFLSBUF, 0);
    const char *options = strcmp(type, "ext4") == 0 ? "noload" : NULL;
    if (mount(disk, image, type, flags, options) != 0)
        return tb_fault_errno(fault, "cannot mount the project image '%s' (%s)", disk, type);
    return true;
}

static bool make_layers(const TbGuestConfig *config, const TbUser *user, TbFault *fault)
{
    static const char *const names[] = {"delta", "image", "upper", "work"};
    char path[TB_PATH_SIZE];
    if (!tb_make_dirs(config->state, 0700))
        return tb_fault_errno(fault, "cannot make '%s'", config->state);
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", config->state, names[i]);
        if (!tb_make_dirs(path, 0755) || chmod(path, 0755) != 0)
            return tb_fault_errno(fault, "cannot make '%s'", path);
        /* The upper's root is what the task sees as the root of its project. */
        if (strcmp(names[i], "upper") == 0 && chown(path, user->uid, user->gid) != 0)
            return tb_fault_errno(fault, "cannot give '%s' to the task", path);
    }
    return true;
}

static bool mount_overlay(const TbGuestConfig *config, const char *place, bool with_image,
                          TbFault *fault)
{
    char options[4 * TB_PATH_SIZE];
    char image[TB_PATH_SIZE] = "";
    const char *state = config->state;
    if (with_image)
        snprintf(image, sizeof image, ":%s/image", state);
    snprintf(options, sizeof options,
             "lowerdir=%s/delta%s,upperdir=%s/upper,workdir=%s/work,"
             "redirect_dir=on,metacopy=off,index=off,xino=auto",
             state, image, state, state);
    if (mount("project", place, "overlay", MS_NODEV, options) != 0)
        return tb_fault_errno(fault, "cannot mount the project's overlay");
    return true;
}

static bool name_is_fine(const char *name)
{
    return name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           !strchr(name, '/');
}

bool tb_mount_project(const TbGuestConfig *config, const TbMountMessage *mount_, const TbUser *user,
                      TbFault *fault)
{
    char place[TB_PATH_SIZE], image[TB_PATH_SIZE];
    bool with_image = strcmp(mount_->filesystem, "none") != 0;
    if (!name_is_fine(mount_->name))
        return tb_fault(fault, "the project's name cannot be a directory's");
    if (!make_layers(config, user, fault))
        return false;
    snprintf(image, sizeof image, "%s/image", config->state);
    if (with_image && !mount_image(mount_, image, fault))
        return false;
    snprintf(place, sizeof place, "%s/%s", config->workspace, mount_->name);
    if (!tb_make_dirs(place, 0755)) {
        tb_fault_errno(fault, "cannot make '%s'", place);
    } else if (mount_overlay(config, place, with_image, fault)) {
        return true;
    }
    if (with_image)
        umount2(image, MNT_DETACH);
    return false;
}
