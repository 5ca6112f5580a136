/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of an image build: what must not be the same in every box is removed (identity, keys,
 * seeds) and what only takes room (package lists, caches, logs), then free blocks are given back.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/guest.h"

typedef bool (*Match)(const char *name);

static bool is_host_key(const char *name)
{
    return strncmp(name, "ssh_host_", 9) == 0;
}

static bool is_cache(const char *name)
{
    size_t length = strlen(name);
    return length > 4 && strcmp(name + length - 4, ".bin") == 0;
}

static void empty_dir(const TbGuestConfig *config, const char *path, Match match)
{
    char full[TB_PATH_SIZE];
    snprintf(full, sizeof full, "%s%s", config->root, path);
    DIR *dir = opendir(full);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (tb_is_entry(entry->d_name) && match(entry->d_name))
            tb_remove_all(dirfd(dir), entry->d_name);
    if (dir)
        closedir(dir);
}

static void remove_file(const TbGuestConfig *config, const char *path)
{
    char full[TB_PATH_SIZE];
    snprintf(full, sizeof full, "%s%s", config->root, path);
    unlink(full);
}

/* Writers keep their log open: it is emptied, not removed. */
static void empty_logs(int parent, const char *name)
{
    struct stat st;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    if (S_ISREG(st.st_mode)) {
        tb_auto_fd file = openat(parent, name, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
        return;
    }
    int fd = S_ISDIR(st.st_mode)
                 ? openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                 : -1;
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (tb_is_entry(entry->d_name))
            empty_logs(fd, entry->d_name);
    if (dir)
        closedir(dir);
}

static void remove_histories(const TbGuestConfig *config)
{
    char full[TB_PATH_SIZE];
    remove_file(config, "/root/.bash_history");
    snprintf(full, sizeof full, "%s/home", config->root);
    DIR *dir = opendir(full);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char path[TB_PATH_SIZE];
        snprintf(path, sizeof path, "/home/%s/.bash_history", entry->d_name);
        remove_file(config, path);
    }
    if (dir)
        closedir(dir);
}

static bool empty_machine_id(const TbGuestConfig *config, TbFault *fault)
{
    char path[TB_PATH_SIZE];
    snprintf(path, sizeof path, "%s/etc/machine-id", config->root);
    tb_auto_fd fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444);
    return fd >= 0 || tb_fault_errno(fault, "cannot empty '%s'", path);
}

static void trim(const TbGuestConfig *config)
{
    struct fstrim_range range = {.len = UINT64_MAX};
    tb_auto_fd fd = config->disk ? open(config->disk, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    sync();
    if (fd >= 0)
        ioctl(fd, FITRIM, &range);
}

bool tb_seal(const TbGuestConfig *config, TbFault *fault)
{
    char path[TB_PATH_SIZE];
    empty_dir(config, "/etc/ssh", is_host_key);
    remove_file(config, "/var/lib/systemd/random-seed");
    remove_file(config, "/var/lib/urandom/random-seed");
    remove_file(config, "/var/lib/systemd/credential.secret");
    empty_dir(config, "/var/lib/apt/lists", tb_is_entry);
    empty_dir(config, "/var/cache/apt/archives", tb_is_entry);
    empty_dir(config, "/var/cache/apt", is_cache);
    empty_dir(config, "/var/log/journal", tb_is_entry);
    empty_dir(config, "/tmp", tb_is_entry);
    empty_dir(config, "/var/tmp", tb_is_entry);
    remove_histories(config);
    snprintf(path, sizeof path, "%s/var/log", config->root);
    empty_logs(AT_FDCWD, path);
    DIR *dir = opendir(config->state);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (tb_is_entry(entry->d_name))
            tb_remove_all(dirfd(dir), entry->d_name);
    if (dir)
        closedir(dir);
    if (!tb_setup_restore_identity(config, fault) || !empty_machine_id(config, fault))
        return false;
    trim(config);
    return true;
}
