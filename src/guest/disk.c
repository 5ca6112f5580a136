/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Grows the root file system to its disk, which may be larger than the image was built with. Only
 * ext4, only online, by the kernel itself. A root that is the last partition of its disk grows in
 * the kernel's view alone: a box is never booted a second time. Where the disk will be (an image
 * build), the partition table must stay true, so the partition is left alone.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "guest/guest.h"

#define EXT4_RESIZE _IOW('f', 16, uint64_t)

/* A number in a file of sysfs, -1 when it is not there. Sizes there are in 512-byte sectors. */
static int64_t sys_number(const char *dir, const char *name)
{
    char path[512], text[64];
    snprintf(path, sizeof path, "%.300s/%s", dir, name);
    return tb_read_text(path, text, sizeof text) > 0 ? strtoll(text, NULL, 10) : -1;
}

static bool is_last_partition(const char *device, int64_t start)
{
    char path[512];
    snprintf(path, sizeof path, "%.300s/..", device);
    DIR *dir = opendir(path);
    bool last = dir != NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char sibling[1024];
        snprintf(sibling, sizeof sibling, "%.300s/../%.200s", device, entry->d_name);
        if (sys_number(sibling, "partition") > 0 && sys_number(sibling, "start") > start)
            last = false;
    }
    if (dir)
        closedir(dir);
    return last;
}

/* The backup partition table at the end of a GPT disk (33 sectors) is left room for. */
static void grow_partition(const char *device, int64_t number)
{
    int64_t start = sys_number(device, "start");
    char parent[512], path[128];
    snprintf(parent, sizeof parent, "%.300s/..", device);
    int64_t disk_size = sys_number(parent, "size");
    unsigned major, minor;
    char text[64];
    snprintf(path, sizeof path, "%.100s/../dev", device);
    if (start <= 0 || disk_size <= 0 || !is_last_partition(device, start) ||
        tb_read_text(path, text, sizeof text) <= 0 || sscanf(text, "%u:%u", &major, &minor) != 2)
        return;
    int64_t size = (disk_size - 33 - start) & ~INT64_C(7);
    if (size <= sys_number(device, "size"))
        return;
    const char *node = "/run/taskbox-disk";
    unlink(node);
    if (mknod(node, S_IFBLK | 0600, makedev(major, minor)) != 0)
        return;
    tb_auto_fd fd = open(node, O_RDWR | O_CLOEXEC);
    unlink(node);
    struct blkpg_partition partition = {
        .start = start * 512, .length = size * 512, .pno = (int)number};
    struct blkpg_ioctl_arg arg = {
        .op = BLKPG_RESIZE_PARTITION, .datalen = sizeof partition, .data = &partition};
    if (fd >= 0)
        ioctl(fd, BLKPG, &arg);
}

void tb_disk_grow(const TbGuestConfig *config, bool partition)
{
    struct stat st;
    struct statfs fs;
    if (!config->disk || stat(config->disk, &st) != 0 || statfs(config->disk, &fs) != 0 ||
        fs.f_type != EXT4_SUPER_MAGIC || fs.f_bsize <= 0)
        return;
    char device[64];
    snprintf(device, sizeof device, "/sys/dev/block/%u:%u", major(st.st_dev), minor(st.st_dev));
    int64_t number = sys_number(device, "partition");
    if (number > 0 && partition)
        grow_partition(device, number);
    int64_t sectors = sys_number(device, "size");
    uint64_t blocks = sectors > 0 ? (uint64_t)sectors * 512 / (uint64_t)fs.f_bsize : 0;
    static uint64_t grown_to; /* a fork comes here with the same disk a second time */
    if (blocks <= (uint64_t)fs.f_blocks || blocks == grown_to)
        return;
    tb_auto_fd fd = open(config->disk, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && ioctl(fd, EXT4_RESIZE, &blocks) == 0)
        grown_to = blocks;
}
