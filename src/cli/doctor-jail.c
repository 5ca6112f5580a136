/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What cannot be read off a version: whether this user may make the namespaces of the jail,
 * whether KVM runs a guest, whether libvirt in the jail finds QEMU. Each is tried, as it is used.
 */
#include <grp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "config/layers.h"
#include "util/command.h"
#include "util/error.h"
#include "util/landlock.h"
#include "vm/box.h"
#include "vm/capabilities.h"
#include "vm/cgroup.h"
#include "vm/jail.h"

#define TRY_TIMEOUT 20

/* In the child: system calls only. */
static int become(void *data)
{
    const TbJailUser *user = data;
    return syscall(SYS_setgroups, 0, NULL) < 0 ||
           syscall(SYS_setresgid, user->gid, user->gid, user->gid) < 0 ||
           syscall(SYS_setresuid, user->uid, user->uid, user->uid) < 0;
}

static bool file_says(const char *path, const char *value)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return false;
    g_strstrip(text);
    return strcmp(text, value) == 0;
}

/* What most likely forbids it. */
static const char *namespace_fix(void)
{
    if (file_says("/proc/sys/kernel/unprivileged_userns_clone", "0"))
        return "sudo sysctl kernel.unprivileged_userns_clone=1";
    if (file_says("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"))
        return "give bwrap an AppArmor profile with 'userns,' (Ubuntu: apt install "
               "apparmor-profiles, "
               "then sudo ln -s /usr/share/apparmor/extra-profiles/bwrap-userns-restrict "
               "/etc/apparmor.d/ and reload), or sudo sysctl "
               "kernel.apparmor_restrict_unprivileged_userns=0";
    if (file_says("/proc/sys/user/max_user_namespaces", "0"))
        return "sudo sysctl user.max_user_namespaces=10000";
    return "allow user namespaces; in a container, run it with a seccomp profile that does";
}

static void check_namespaces(GPtrArray *checks)
{
    TbJailUser user;
    g_autoptr(GError) error = NULL;
    if (!tb_jail_user("doctor", &user, &error)) {
        tb_check_add(checks, "user namespaces", TB_CHECK_FAIL, g_strdup(error->message),
                     "create a system user 'taskbox'");
        return;
    }
    g_autoptr(TbCommand) command = tb_command_new("bwrap");
    tb_command_add(command, "--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr",
                   "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--proc",
                   "/proc", "--dev", "/dev", "/usr/bin/true", NULL);
    tb_command_set_cwd(command, "/");
    tb_command_set_timeout(command, TRY_TIMEOUT);
    if (user.drops)
        tb_command_set_child_setup(command, become, &user);
    if (tb_command_run(command, NULL, &error))
        tb_check_add(checks, "user namespaces", TB_CHECK_OK,
                     g_strdup_printf("bwrap --unshare-all works as uid %u", (unsigned)user.uid),
                     NULL);
    else
        tb_check_add(checks, "user namespaces", TB_CHECK_FAIL, g_strdup(error->message),
                     namespace_fix());
}

static const char *kvm_fix(void)
{
    if (access("/dev/kvm", F_OK) < 0)
        return "run on a machine with hardware virtualization (in a VM: enable nesting)";
    if (access("/dev/kvm", R_OK | W_OK) < 0)
        return "sudo usermod -aG kvm $USER, then log in again";
    return "use a host whose KVM runs guests (in a VM: nested virtualization), if speed matters";
}

static bool check_kvm(GPtrArray *checks)
{
    g_autofree char *why = NULL;
    bool works = tb_accel_probe(&why) == TB_ACCEL_KVM;
    if (works)
        tb_check_add(checks, "kvm", TB_CHECK_OK, g_strdup("runs a guest"), NULL);
    else
        tb_check_add(checks, "kvm", TB_CHECK_WARN,
                     g_strdup_printf("%s: boxes are emulated (TCG): slower, and emulation is no "
                                     "security boundary by itself, so the jail is the wall",
                                     why ? why : "does not work"),
                     kvm_fix());
    return works;
}

static void check_landlock(GPtrArray *checks)
{
    unsigned version = tb_landlock_version();
    tb_check_add(checks, "landlock", TB_CHECK_OK,
                 version ? g_strdup_printf("version %u, a second fence in all three jails", version)
                         : g_strdup("not in this kernel; the jails hold without it"),
                 NULL);
}

static void check_cgroups(GPtrArray *checks)
{
    g_autofree char *why = NULL;
    g_autoptr(TbCgroupPlace) place = tb_cgroup_find(&why);
    tb_check_add(checks, "cgroups", TB_CHECK_OK,
                 place ? g_strdup_printf("each box is in a group of its own below %s (memory, "
                                         "processes%s)",
                                         place->dir, place->cpu ? ", share of the processors" : "")
                       : g_strdup_printf("no group around a box: %s; the limits of each of its "
                                         "processes hold instead",
                                         why),
                 NULL);
}

/* That a ceiling on addresses is kept here; there are kernels in sandboxes that do not. */
static void check_ceiling(GPtrArray *checks)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbCommand) command = tb_command_new("/bin/sh");
    tb_command_add(command, "-c", "ulimit -v 1024 || exit 0; exec cat /dev/null", NULL);
    tb_command_set_timeout(command, TRY_TIMEOUT);
    bool kept = !tb_command_run(command, NULL, &error);
    tb_check_add(checks, "memory ceiling", kept ? TB_CHECK_OK : TB_CHECK_WARN,
                 g_strdup(kept ? "each process of a box has one (twice the box's memory and 3 GiB, "
                                 "of addresses)"
                               : "the kernel does not keep a process to its RLIMIT_AS"),
                 "run it on a kernel that does, or in a control group");
}

/* What the settings demand, against what there is. */
static void check_require_kvm(GPtrArray *checks, bool kvm)
{
    g_autoptr(TbSettings) settings = tb_settings_load(NULL); /* whose errors are told elsewhere */
    if (!settings)
        return;
    bool refused = settings->require_kvm && !kvm;
    tb_check_add(checks, "require-kvm", refused ? TB_CHECK_FAIL : TB_CHECK_OK,
                 g_strdup(refused
                              ? "'require_kvm' of the settings refuses every box here: KVM does "
                                "not work"
                          : settings->require_kvm ? "set, and KVM works"
                          : kvm                   ? "not set; boxes run by KVM"
                                                  : "not set: boxes run by emulation"),
                 refused ? "see 'kvm' above, or take 'require_kvm' out of the settings" : NULL);
}

static void check_libvirt(GPtrArray *checks, bool kvm)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) capabilities = tb_capabilities_get(kvm, &error);
    if (capabilities)
        tb_check_add(checks, "libvirt", TB_CHECK_OK, g_strdup("finds QEMU, in the jail"), NULL);
    else
        tb_check_add(checks, "libvirt", TB_CHECK_FAIL, g_strdup(error->message),
                     "mend what stands above first; then see 'taskbox doctor -vv'");
}

void tb_doctor_jail(GPtrArray *checks)
{
    check_namespaces(checks);
    check_landlock(checks);
    check_cgroups(checks);
    check_ceiling(checks);
    bool kvm = check_kvm(checks);
    check_require_kvm(checks, kvm);
    check_libvirt(checks, kvm);
}
