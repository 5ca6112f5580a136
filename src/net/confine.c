/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bubblewrap has settled what can be seen: no project, no image, no store. What is left to whoever
 * takes this process over by a bug in a parser is the network of the host, so he gets little to
 * work with: the calls below are refused, and no other process is there.
 *
 * Calls whose arguments lie in memory cannot be judged; they are answered with "not there", and
 * the C library takes the older call.
 */
#include "net/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "util/error.h"

#define FAMILIES  64
#define MAX_FILES 1024

static const int refused[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(kill),
    SCMP_SYS(tkill),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(pidfd_send_signal),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise),
    SCMP_SYS(kcmp),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(bpf),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount),
    SCMP_SYS(fspick),
    SCMP_SYS(open_tree),
    SCMP_SYS(move_mount),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(name_to_handle_at),
    SCMP_SYS(creat),
    SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat),
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
    SCMP_SYS(symlink),
    SCMP_SYS(symlinkat),
    SCMP_SYS(link),
    SCMP_SYS(linkat),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(chmod),
    SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat),
    SCMP_SYS(chown),
    SCMP_SYS(fchown),
    SCMP_SYS(lchown),
    SCMP_SYS(fchownat),
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setreuid),
    SCMP_SYS(setregid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setgroups),
    SCMP_SYS(capset),
    SCMP_SYS(personality),
    SCMP_SYS(quotactl),
    SCMP_SYS(syslog),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(modify_ldt),
};

static const int absent[] = {SCMP_SYS(clone3), SCMP_SYS(openat2)};

/* All rules return 0 or a negative errno; the first of these is kept. */
static void note(int *result, int rule)
{
    if (*result == 0 && rule < 0)
        *result = rule;
}

static bool family_is_needed(unsigned family)
{
    return family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK;
}

static int add_rules(scmp_filter_ctx context)
{
    static const int opens[][2] = {{SCMP_SYS(open), 1}, {SCMP_SYS(openat), 2}};
    const uint32_t no = SCMP_ACT_ERRNO(EPERM);
    int result = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
        note(&result, seccomp_rule_add(context, no, refused[i], 0));
    for (size_t i = 0; i < G_N_ELEMENTS(absent); i++)
        note(&result, seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), absent[i], 0));
    /* A clone that is no thread. */
    note(&result, seccomp_rule_add(context, no, SCMP_SYS(clone), 1,
                                   SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)));
    for (size_t i = 0; i < G_N_ELEMENTS(opens); i++) {
        unsigned at = (unsigned)opens[i][1];
        note(&result, seccomp_rule_add(context, no, opens[i][0], 1,
                                       SCMP_CMP(at, SCMP_CMP_MASKED_EQ, O_ACCMODE, O_WRONLY)));
        note(&result, seccomp_rule_add(context, no, opens[i][0], 1,
                                       SCMP_CMP(at, SCMP_CMP_MASKED_EQ, O_ACCMODE, O_RDWR)));
        note(&result, seccomp_rule_add(context, no, opens[i][0], 1,
                                       SCMP_CMP(at, SCMP_CMP_MASKED_EQ, O_CREAT, O_CREAT)));
    }
    for (unsigned family = 0; family < FAMILIES; family++)
        if (!family_is_needed(family))
            note(&result, seccomp_rule_add(context, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket),
                                           1, SCMP_A0(SCMP_CMP_EQ, family)));
    note(&result, seccomp_rule_add(context, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                                   SCMP_A0(SCMP_CMP_GE, FAMILIES)));
    return result;
}

bool tb_confine(GError **error)
{
    const struct rlimit none = {0}, files = {MAX_FILES, MAX_FILES};
    if (prctl(PR_SET_DUMPABLE, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ||
        setrlimit(RLIMIT_FSIZE, &none) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0)
        return tb_error_set_errno(error, errno, "cannot limit the egress process");
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
    int result = context ? add_rules(context) : -ENOMEM;
    if (result == 0)
        result = seccomp_load(context); /* sets no_new_privs, too */
    if (context)
        seccomp_release(context);
    if (result < 0)
        return tb_error_set_errno(error, -result, "cannot filter the egress process's calls");
    return true;
}
