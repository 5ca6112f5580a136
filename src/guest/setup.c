/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What makes this box itself and nobody else: time, random state, names, user. It runs once, before
 * anything of the task does, and must do the same after a cold boot and after a fork. Entropy goes
 * first, since the machine id is made of it.
 *
 * After a fork it is on the way of every task, so what all tasks of a user share is done before the
 * freeze already (tb_setup_common), when this very process was there to see it; and what differs
 * lies in /run, in memory, where writing is a fraction of the work: the files in /etc are links to
 * it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "guest/guest.h"

enum { TEXT_SIZE = 64 * 1024 };

static bool set_clock(const TbSetupMessage *setup, TbFault *fault)
{
    struct timespec time = {.tv_sec = setup->seconds, .tv_nsec = setup->nanoseconds};
    return clock_settime(CLOCK_REALTIME, &time) == 0 ||
           tb_fault_errno(fault, "cannot set the clock");
}

static bool add_entropy(const TbSetupMessage *setup, TbFault *fault)
{
    union {
        struct rand_pool_info info;
        uint8_t bytes[sizeof(struct rand_pool_info) + TB_ENTROPY_SIZE];
    } pool = {.info = {.entropy_count = 8 * TB_ENTROPY_SIZE, .buf_size = TB_ENTROPY_SIZE}};
    memcpy(pool.bytes + sizeof(struct rand_pool_info), setup->entropy, TB_ENTROPY_SIZE);
    tb_auto_fd fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
    bool ok = fd >= 0 && ioctl(fd, RNDADDENTROPY, &pool) == 0 && ioctl(fd, RNDRESEEDCRNG) == 0;
    explicit_bzero(&pool, sizeof pool);
    return ok || tb_fault_errno(fault, "cannot add entropy");
}

/* The files of a box's identity: in etc, and under this name in run/taskbox. */
static const char *const identity_files[] = {"machine-id", "hostname", "hosts"};

/* Replaces the file in etc by a link into run, unless it is one; what it held goes along. */
static bool move_to_memory(const TbGuestConfig *config, const char *name, TbFault *fault)
{
    char path[TB_PATH_SIZE], temporary[TB_PATH_SIZE + 16], place[TB_PATH_SIZE], target[64];
    char present[64] = "";
    char *text = calloc(1, TEXT_SIZE);
    size_t length = 0;
    snprintf(path, sizeof path, "%s/etc/%s", config->root, name);
    snprintf(temporary, sizeof temporary, "%s.taskbox", path);
    snprintf(place, sizeof place, "%s/run/taskbox/%s", config->root, name);
    snprintf(target, sizeof target, "../run/taskbox/%s", name);
    bool ok = text || tb_fault(fault, "no memory");
    if (ok && readlink(path, present, sizeof present - 1) > 0 && strcmp(present, target) == 0 &&
        access(place, F_OK) == 0) {
        free(text);
        return true;
    }
    umount2(path, MNT_DETACH); /* systemd may have mounted its machine id over it */
    ok = ok && tb_read_whole(path, text, TEXT_SIZE, &length, fault) &&
         tb_replace_file(place, text, length, 0644, fault);
    unlink(temporary);
    ok = ok && ((symlink(target, temporary) == 0 && rename(temporary, path) == 0) ||
                tb_fault_errno(fault, "cannot make '%s' a link", path));
    free(text);
    return ok;
}

static bool move_identity(const TbGuestConfig *config, TbFault *fault)
{
    char place[TB_PATH_SIZE];
    snprintf(place, sizeof place, "%s/run/taskbox", config->root);
    if (!tb_make_dirs(place, 0755) || chmod(place, 0755) != 0)
        return tb_fault_errno(fault, "cannot make '%s'", place);
    for (size_t i = 0; i < sizeof identity_files / sizeof *identity_files; i++)
        if (!move_to_memory(config, identity_files[i], fault))
            return false;
    return true;
}

bool tb_setup_restore_identity(const TbGuestConfig *config, TbFault *fault)
{
    char *text = calloc(1, TEXT_SIZE);
    bool ok = text || tb_fault(fault, "no memory");
    for (size_t i = 0; ok && i < sizeof identity_files / sizeof *identity_files; i++) {
        char path[TB_PATH_SIZE];
        size_t length = 0;
        snprintf(path, sizeof path, "%s/etc/%s", config->root, identity_files[i]);
        ok = tb_read_whole(path, text, TEXT_SIZE, &length, fault) &&
             tb_replace_file(path, text, length, 0644, fault);
    }
    free(text);
    return ok;
}

/* Gives an identity file its content, in place. */
static bool write_identity(const TbGuestConfig *config, const char *name, const char *text,
                           TbFault *fault)
{
    char path[TB_PATH_SIZE];
    snprintf(path, sizeof path, "%s/run/taskbox/%s", config->root, name);
    return tb_write_text(path, text) || tb_fault_errno(fault, "cannot write '%s'", path);
}

static bool set_machine_id(const TbGuestConfig *config, TbFault *fault)
{
    uint8_t id[16];
    char text[40], path[TB_PATH_SIZE];
    if (getrandom(id, sizeof id, 0) != (ssize_t)sizeof id)
        return tb_fault_errno(fault, "cannot get random bytes");
    id[6] = (uint8_t)((id[6] & 0x0f) | 0x40); /* a version 4 UUID, as systemd makes it */
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
    for (int i = 0; i < 16; i++)
        snprintf(text + (size_t)i * 2, 4, "%02x", id[i]);
    strcpy(text + 32, "\n");
    snprintf(path, sizeof path, "%s/run/machine-id", config->root);
    if (access(path, F_OK) == 0)
        tb_write_text(path, text);
    return write_identity(config, "machine-id", text, fault);
}

static bool name_is_fine(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= 64 && name[0] != '-' && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") ==
               length;
}

/* Our line in /etc/hosts is known by its end. */
static bool set_hosts(const TbGuestConfig *config, const char *name, TbFault *fault)
{
    static const char mark[] = "# taskbox";
    char path[TB_PATH_SIZE];
    char *old = calloc(1, TEXT_SIZE), *new = calloc(1, TEXT_SIZE + 256), *save = NULL;
    bool ok = old && new;
    if (!ok)
        tb_fault(fault, "no memory");
    snprintf(path, sizeof path, "%s/run/taskbox/hosts", config->root);
    size_t length;
    if (ok && (ok = tb_read_whole(path, old, TEXT_SIZE, &length, fault))) {
        size_t used = 0;
        for (char *line = strtok_r(old, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
            if (!strstr(line, mark))
                used += (size_t)sprintf(new + used, "%s\n", line);
        used += (size_t)sprintf(new + used, "127.0.0.1\tlocalhost %s %s\n", name, mark);
        ok = write_identity(config, "hosts", new, fault);
    }
    free(old);
    free(new);
    return ok;
}

static bool set_hostname(const TbGuestConfig *config, const char *name, TbFault *fault)
{
    char text[80];
    if (!name_is_fine(name))
        return tb_fault(fault, "the host name is none");
    if (sethostname(name, strlen(name)) != 0)
        return tb_fault_errno(fault, "cannot set the host name");
    snprintf(text, sizeof text, "%s\n", name);
    return write_identity(config, "hostname", text, fault) && set_hosts(config, name, fault);
}

/* Appends `ours` to a file of /etc, which may not be there, unless that has `mark`. */
static bool append_once(const TbGuestConfig *config, const char *name, const char *mark,
                        const char *ours, TbFault *fault)
{
    char path[TB_PATH_SIZE];
    size_t length = strlen(ours), used;
    char *text = calloc(1, TEXT_SIZE + length + 1);
    if (!text)
        return tb_fault(fault, "no memory");
    snprintf(path, sizeof path, "%s/etc/%s", config->root, name);
    bool ok = tb_read_whole(path, text, TEXT_SIZE, &used, fault);
    if (ok && !strstr(text, mark)) {
        if (used > 0 && text[used - 1] != '\n')
            text[used++] = '\n';
        memcpy(text + used, ours, length);
        ok = tb_replace_file(path, text, used + length, 0644, fault);
    }
    free(text);
    return ok;
}

/* The host's stat data are believed by git in the box, so that its first status rehashes nothing:
 * inode, device and change time are others here, the modification times are the same. */
static bool set_git_config(const TbGuestConfig *config, TbFault *fault)
{
    return append_once(config, "gitconfig", "# taskbox\n",
                       "# taskbox\n"
                       "[user]\n\tname = AI Agent\n\temail = agent@internal.sandbox\n"
                       "[safe]\n\tdirectory = *\n"
                       "[core]\n\tcheckStat = minimal\n\ttrustctime = false\n"
                       "[init]\n\tdefaultBranch = main\n",
                       fault);
}

/* Ids for the containers of the task's user (subuid(5)); high, for the user's own uid, which is the
 * project owner's, must not be among them. */
static bool add_subordinate_ids(const TbGuestConfig *config, TbFault *fault)
{
    static const char ours[] = "agent:2100000000:65536\n";
    return append_once(config, "subuid", ours, ours, fault) &&
           append_once(config, "subgid", ours, ours, fault);
}

static bool allow_sudo(const TbGuestConfig *config, TbFault *fault)
{
    static const char text[] = "agent ALL=(ALL) NOPASSWD: ALL\n"
                               "Defaults env_keep += \"HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY "
                               "http_proxy https_proxy all_proxy no_proxy\"\n";
    char path[TB_PATH_SIZE];
    snprintf(path, sizeof path, "%s/etc/sudoers.d", config->root);
    if (access(path, F_OK) != 0)
        return true;
    snprintf(path, sizeof path, "%s/etc/sudoers.d/taskbox", config->root);
    return access(path, F_OK) == 0 || tb_replace_file(path, text, sizeof text - 1, 0440, fault);
}

/* The kernel makes it once a boot, and a fork never booted. What reads it sees ours. With a mount
 * on it, /proc is no longer whole, and in a user namespace, where rootless containers are made, the
 * kernel then refuses another one (fs/namespace.c, mnt_already_visible); so a whole one lies
 * beside. */
static void set_boot_id(const TbGuestConfig *config)
{
    static const char kernels[] = "/proc/sys/kernel/random/boot_id";
    char path[TB_PATH_SIZE], id[64];
    snprintf(path, sizeof path, "%s/run/taskbox/boot-id", config->root);
    if (!config->own_machine || tb_read_text("/proc/sys/kernel/random/uuid", id, sizeof id) <= 0)
        return;
    tb_auto_fd fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444);
    if (fd < 0 || !tb_write_full(fd, id, strlen(id)) ||
        mount(path, kernels, NULL, MS_BIND, NULL) < 0)
        return;
    /* Beneath an empty directory: what walks /run must not walk it, too. */
    snprintf(path, sizeof path, "%s/run/taskbox/whole/proc", config->root);
    if (!tb_make_dirs(path, 0700) ||
        mount("proc", path, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return;
    *strrchr(path, '/') = '\0';
    mount("tmpfs", path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k");
}

bool tb_setup_common(const TbGuestConfig *config, uint32_t uid, uint32_t gid, bool grow_partition,
                     TbUser *user, TbFault *fault)
{
    char etc[TB_PATH_SIZE];
    snprintf(etc, sizeof etc, "%s/etc", config->root);
    if (uid == 0 || uid == UINT32_MAX || gid == UINT32_MAX)
        return tb_fault(fault, "uid %u cannot be the task's", uid);
    if (!tb_make_dirs(etc, 0755))
        return tb_fault_errno(fault, "cannot make '%s'", etc);
    tb_disk_grow(config, grow_partition);
    return move_identity(config, fault) && tb_setup_user(config, uid, gid, user, fault) &&
           allow_sudo(config, fault) && set_git_config(config, fault) &&
           add_subordinate_ids(config, fault) && tb_setup_loopback(fault);
}

/* A card means that an image is built, whose disk nobody has settled. */
static bool is_settled(const TbSetupMessage *setup, const TbUser *settled)
{
    return settled->uid != 0 && settled->uid == setup->uid && settled->gid == setup->gid &&
           setup->network != TB_NETWORK_CARD;
}

bool tb_setup_run(const TbGuestConfig *config, const TbSetupMessage *setup, const TbUser *settled,
                  TbUser *user, TbFault *fault)
{
    if (!set_clock(setup, fault) || !add_entropy(setup, fault))
        return false;
    if (is_settled(setup, settled))
        *user = *settled;
    else if (!tb_setup_common(config, setup->uid, setup->gid, setup->network != TB_NETWORK_CARD,
                              user, fault))
        return false;
    if (!set_machine_id(config, fault) || !set_hostname(config, setup->hostname, fault))
        return false;
    set_boot_id(config);
    switch (setup->network) {
    case TB_NETWORK_CARD:
        return tb_setup_network(config, fault);
    case TB_NETWORK_PROXY:
        return tb_proxy_start(config, fault);
    default:
        return true;
    }
}
