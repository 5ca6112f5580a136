/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/filter.h"

#include <errno.h>
#include <glib.h>
#include <sched.h>
#include <sys/socket.h>

#define FAMILIES 64

static const int common[] = {
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(bpf),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(kcmp),
    SCMP_SYS(perf_event_open),
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
    SCMP_SYS(setns),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(name_to_handle_at),
    SCMP_SYS(quotactl),
    SCMP_SYS(reboot),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(syslog),
    SCMP_SYS(personality),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(modify_ldt),
};

void tb_filter_note(int *result, int rule)
{
    if (*result == 0 && rule < 0)
        *result = rule;
}

void tb_filter_refuse(scmp_filter_ctx context, const int *calls, size_t count, int err, int *result)
{
    for (size_t i = 0; i < count; i++)
        tb_filter_note(result,
                       seccomp_rule_add(context, SCMP_ACT_ERRNO((uint32_t)err), calls[i], 0));
}

void tb_filter_refuse_common(scmp_filter_ctx context, bool own_root, int *result)
{
    static const int roots[] = {SCMP_SYS(chroot), SCMP_SYS(unshare)};
    if (own_root)
        tb_filter_note(result, seccomp_rule_add(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare),
                                                1, SCMP_A0(SCMP_CMP_NE, CLONE_FS)));
    else
        tb_filter_refuse(context, roots, G_N_ELEMENTS(roots), EPERM, result);
    tb_filter_refuse(context, common, G_N_ELEMENTS(common), EPERM, result);
}

void tb_filter_refuse_families(scmp_filter_ctx context, bool internet, int *result)
{
    const uint32_t no = SCMP_ACT_ERRNO(EAFNOSUPPORT);
    for (unsigned family = 0; family < FAMILIES; family++) {
        bool local = family == AF_UNIX || family == AF_NETLINK;
        bool inet = family == AF_INET || family == AF_INET6;
        if (!local && !(internet && inet))
            tb_filter_note(result, seccomp_rule_add(context, no, SCMP_SYS(socket), 1,
                                                    SCMP_A0(SCMP_CMP_EQ, family)));
    }
    /* The kernel looks at the low half only: anything with a bit above is over the limit here. */
    tb_filter_note(
        result, seccomp_rule_add(context, no, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_GE, FAMILIES)));
}
