/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What makes an installed system a box: the guest program and its unit, an empty identity, a user,
 * and silence of all that wakes up by itself or waits for hardware that is not there.
 */
#include <string.h>
#include "builder/build-private.h"
#include "util/error.h"

#define GUEST_PATH "/usr/lib/taskbox/taskbox-guest"
#define UNIT_NAME  "taskbox-guest.service"
#define UNIT_PATH  "/etc/systemd/system/" UNIT_NAME

/* Timers that would run in each box anew, and waits for a network that never comes. */
static const char *const masked[] = {
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "logrotate.timer",
    "man-db.timer",
    "motd-news.timer",
    "snapd.snap-repair.timer",
    "update-notifier-download.timer",
    "update-notifier-motd.timer",
    "unattended-upgrades.service",
    "ua-timer.timer",
    "fwupd-refresh.timer",
    "apport.service",
    "multipathd.service",
    "systemd-networkd-wait-online.service",
    "NetworkManager-wait-online.service",
    "systemd-timesyncd.service",
    "systemd-hwdb-update.service",
    "systemd-random-seed.service",
    "getty@tty1.service",
    "serial-getty@ttyS0.service",
    "console-getty.service",
    "getty-static.service",
    "ldconfig.service",
    "systemd-journal-catalog-update.service",
    "systemd-update-done.service",
    "growroot.service",
};

static bool write_file(guestfs_h *g, const char *path, const char *text, int mode)
{
    return guestfs_write(g, path, text, strlen(text)) == 0 && guestfs_chmod(g, mode, path) == 0;
}

/* Where the unit itself says it belongs. */
static char *wanted_by(const TbBuild *build)
{
    g_autoptr(GKeyFile) unit = g_key_file_new();
    g_autofree char *target = NULL;
    if (g_key_file_load_from_file(unit, build->unit, G_KEY_FILE_NONE, NULL))
        target = g_key_file_get_string(unit, "Install", "WantedBy", NULL);
    return g_strdup_printf("/etc/systemd/system/%s.wants",
                           target ? g_strstrip(target) : "multi-user.target");
}

static bool inject_guest(const TbBuild *build, guestfs_h *g)
{
    g_autofree char *wants = wanted_by(build);
    g_autofree char *link = g_build_filename(wants, UNIT_NAME, NULL);
    return guestfs_mkdir_p(g, "/usr/lib/taskbox") == 0 &&
           guestfs_upload(g, build->guest, GUEST_PATH) == 0 &&
           guestfs_chmod(g, 0755, GUEST_PATH) == 0 && guestfs_chown(g, 0, 0, GUEST_PATH) == 0 &&
           guestfs_upload(g, build->unit, UNIT_PATH) == 0 &&
           guestfs_chmod(g, 0644, UNIT_PATH) == 0 && guestfs_mkdir_p(g, wants) == 0 &&
           guestfs_ln_sf(g, UNIT_PATH, link) == 0;
}

static bool mask_units(guestfs_h *g)
{
    for (size_t i = 0; i < G_N_ELEMENTS(masked); i++) {
        g_autofree char *path = g_strconcat("/etc/systemd/system/", masked[i], NULL);
        if (guestfs_ln_sf(g, "/dev/null", path) != 0)
            return false;
    }
    /* Straight to what a box is for: no graphical target. */
    return guestfs_ln_sf(g, "/lib/systemd/system/multi-user.target",
                         "/etc/systemd/system/default.target") == 0;
}

/* Without a trailing newline in what is there the new line would join the last one. */
static bool append_line(guestfs_h *g, const char *path, const char *line)
{
    size_t size = 0;
    g_autofree char *old = guestfs_read_file(g, path, &size);
    if (!old)
        return false;
    g_autofree char *new = g_strdup_printf("%.*s%s%s\n", (int)size, old,
                                           size && old[size - 1] != '\n' ? "\n" : "", line);
    return guestfs_write(g, path, new, strlen(new)) == 0;
}

/* The task's user: sudo without a password, in the box only. The guest program gives it the uid of
 * the project's owner at each start. */
static bool add_user(guestfs_h *g)
{
    static const char *const rule =
        "agent ALL=(ALL:ALL) NOPASSWD: ALL\n"
        "Defaults env_keep += \"HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY "
        "http_proxy https_proxy all_proxy no_proxy\"\n";
    int there = guestfs_is_dir(g, "/home/agent");
    if (there != 0)
        return there == 1;
    return append_line(g, "/etc/passwd", "agent:x:1000:1000:AI Agent:/home/agent:/bin/bash") &&
           append_line(g, "/etc/group", "agent:x:1000:") &&
           append_line(g, "/etc/shadow", "agent:*:19000:0:99999:7:::") &&
           guestfs_mkdir_p(g, "/home/agent") == 0 && guestfs_chmod(g, 0755, "/home/agent") == 0 &&
           guestfs_chown(g, 1000, 1000, "/home/agent") == 0 &&
           guestfs_mkdir_p(g, "/etc/sudoers.d") == 0 &&
           write_file(g, "/etc/sudoers.d/taskbox", rule, 0440);
}

static bool set_identity(guestfs_h *g)
{
    return write_file(g, "/etc/machine-id", "", 0444) && guestfs_rm_f(g, "/etc/hostname") == 0 &&
           write_file(g, "/etc/hostname", "taskbox\n", 0644) &&
           guestfs_mkdir_p(g, "/workspace") == 0 && guestfs_chmod(g, 0755, "/workspace") == 0 &&
           guestfs_mkdir_p(g, "/var/lib/taskbox") == 0 &&
           /* fewer writes for what nobody reads after the box is gone */
           guestfs_mkdir_p(g, "/etc/systemd/journald.conf.d") == 0 &&
           write_file(g, "/etc/systemd/journald.conf.d/taskbox.conf",
                      "[Journal]\nStorage=volatile\nRuntimeMaxUse=16M\n", 0644);
}

static bool set_cloud(guestfs_h *g)
{
    return guestfs_mkdir_p(g, "/etc/cloud") == 0 &&
           write_file(g, "/etc/cloud/cloud-init.disabled", "", 0644);
}

/* A bootstrap leaves all of these to whoever knows the disk. */
static bool set_bootstrap(guestfs_h *g)
{
    return write_file(g, "/etc/fstab", "# the root is mounted by the initramfs\n", 0644) &&
           guestfs_rm_f(g, "/etc/resolv.conf") == 0 &&
           write_file(g, "/etc/resolv.conf", "", 0644) &&
           write_file(g, "/etc/hosts", "127.0.0.1 localhost taskbox\n::1 localhost ip6-localhost\n",
                      0644);
}

bool tb_build_inject(TbBuild *build, guestfs_h *g, GError **error)
{
    if (guestfs_is_dir_opts(g, "/etc/systemd/system", GUESTFS_IS_DIR_OPTS_FOLLOWSYMLINKS, 1, -1) !=
        1)
        return tb_error_set(error, TB_ERROR_UNSUPPORTED,
                            "cannot use this root file system: there is no systemd in it (add "
                            "'systemd-sysv' to the recipe's packages)");
    if (!inject_guest(build, g) || !mask_units(g) || !set_identity(g) || !add_user(g) ||
        (build->recipe->suite ? !set_bootstrap(g) : !set_cloud(g)))
        return tb_error_set_guestfs(error, g, "prepare the root file system");
    return true;
}
