/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The arguments of bwrap. The root is an empty tmpfs; what is not named here is not there. The
 * tmpfs folders have a size, so that nobody in the jail can fill the host's memory through them.
 * `--unshare-user` and not `-all`, which would go on without a user namespace: that is no jail.
 */
#include "vm/jail-private.h"

#include "vm/layout.h"
#include "util/hole.h"

#define TMPFS_SIZE "67108864"
#define COVER_SIZE "4096"

static const char *const namespaces[] = {
    "--unshare-user",
    "--unshare-ipc",
    "--unshare-pid",
    "--unshare-uts",
    "--unshare-cgroup-try",
    "--hostname",
    "taskbox",
    "--die-with-parent",
    "--new-session",
    "--cap-drop",
    "ALL",
    "--clearenv",
    "--setenv",
    "PATH",
    "/usr/sbin", /* libvirt would start every QEMU it finds, to ask what it can do */
    "--setenv",
    "HOME",
    "/tmp",
    "--setenv",
    "LC_ALL",
    "C",
    NULL,
};

static const char *const system_files[] = {
    "--ro-bind", "/usr",      "/usr",   "--symlink", "usr/lib", "/lib",
    "--symlink", "usr/lib64", "/lib64", "--symlink", "usr/bin", "/bin",
    "--symlink", "usr/sbin",  "/sbin",  "--ro-bind", "/sys",    "/sys",
    "--proc",    "/proc",     "--dev",  "/dev",      NULL,
};

/* The loader's, and what libvirt looks up. passwd and group are made for the jail. */
static const char *const config_files[] = {"/etc/ld.so.cache", "/etc/alternatives", NULL};
static const char *const network_files[] = {"/etc/resolv.conf", "/etc/services", NULL};

static const char *const memory_folders[] = {"/tmp", "/run", "/var", NULL};

/* QEMU's own virtiofsd (7.2) changes its root and then gives up these and all it might have. */
static const char *const root_changer[] = {"--cap-add", "CAP_SYS_CHROOT", "--cap-add",
                                           "CAP_SETPCAP", NULL};

static void add_all(TbCommand *command, const char *option, const char *const *paths)
{
    for (const char *const *path = paths; *path; path++)
        tb_command_add(command, option, *path, *path, NULL);
}

/* A directory of its own lies on each; what the project has there cannot be reached, whatever the
 * program that shares it does. */
static void cover_unshared(TbCommand *command, const char *const *paths)
{
    for (; paths && *paths && !tb_hole("share-git"); paths++) {
        g_autofree char *path = g_build_filename(TB_JAIL_PROJECT_DIR, *paths, NULL);
        tb_command_add(command, "--size", COVER_SIZE, "--tmpfs", path, "--remount-ro", path, NULL);
    }
}

TbCommand *tb_jail_command(const TbJailPlan *plan)
{
    const TbJailSpec *spec = plan->spec;
    TbCommand *command = tb_command_new("bwrap");
    tb_command_env_clear(command);
    tb_command_add_strv(command, namespaces);
    if (tb_hole_open())
        tb_command_add(command, "--setenv", "TASKBOX_HOLE", tb_hole_open(), NULL);
    if (spec->uid) {
        tb_command_add(command, "--uid", NULL);
        tb_command_add_format(command, "%u", plan->uid);
        tb_command_add(command, "--gid", NULL);
        tb_command_add_format(command, "%u", plan->gid);
    }
    if (spec->changes_root)
        tb_command_add_strv(command, root_changer);
    if (!spec->network)
        tb_command_add(command, "--unshare-net", NULL);
    tb_command_add_strv(command, system_files);
    if (spec->kvm)
        tb_command_add(command, "--dev-bind", "/dev/kvm", "/dev/kvm", NULL);
    for (const char *const *folder = memory_folders; *folder; folder++)
        tb_command_add(command, "--size", TMPFS_SIZE, "--tmpfs", *folder, NULL);
    add_all(command, "--ro-bind-try", config_files);
    if (spec->network)
        add_all(command, "--ro-bind-try", network_files);
    if (!spec->file_server)
        tb_command_add(command, "--size", TMPFS_SIZE, "--tmpfs", TB_JAIL_LIBVIRT, NULL);
    if (spec->own_memory) {
        tb_command_add(command, "--size", NULL);
        tb_command_add_format(command, "%" G_GUINT64_FORMAT, spec->memory);
        tb_command_add(command, "--tmpfs", TB_JAIL_RAM, NULL);
    }
    for (unsigned i = 0; i < plan->n_data; i++) {
        tb_command_add(command, "--file", NULL);
        tb_command_add_format(command, "%u", FD_DATA + i);
        tb_command_add(command, plan->data[i].target, NULL);
    }
    if (spec->file_server)
        tb_command_add(command, tb_hole("share-open") ? "--bind" : "--ro-bind", plan->sources[0],
                       TB_JAIL_PROJECT_DIR, NULL);
    else
        tb_command_add(command, "--bind", plan->sources[0], TB_JAIL_DIR, NULL);
    tb_command_add(command, "--ro-bind", plan->sources[1], TB_JAIL_VMM, NULL);
    for (unsigned i = 0; i < spec->n_binds; i++)
        tb_command_add(command, spec->binds[i].writable ? "--bind" : "--ro-bind",
                       plan->sources[i + 2], spec->binds[i].target, NULL);
    cover_unshared(command, spec->unshared);
    tb_command_add(command, "--remount-ro", "/", "--chdir", spec->file_server ? "/" : TB_JAIL_DIR,
                   "--seccomp", NULL);
    tb_command_add_format(command, "%d", FD_FILTER);
    tb_command_add(command, "--info-fd", NULL);
    tb_command_add_format(command, "%d", FD_INFO);
    tb_command_add(command, "--", TB_JAIL_VMM, NULL);
    tb_command_add_strv(command, spec->arguments);
    return command;
}
