/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The system calls nobody in the jail needs: neither libvirt, nor QEMU (which adds a filter of its
 * own on top). What is on the list was a way up or out once, makes namespaces or mounts, looks into
 * other processes, or leaves files with rights on them that outlive the box.
 *
 * Calls whose arguments lie in memory (clone3, openat2) cannot be judged; they are answered with
 * "not there" and the C library takes the older call.
 */
#include "vm/jail-private.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/filter.h"
#include "util/hole.h"

#define TERMINAL_INJECT 0x5412 /* TIOCSTI */
#define CONSOLE_SELECT  0x541c /* TIOCLINUX */
#define LOW_32          0xffffffffU

/* Newer than some headers. */
#define NR_FCHMODAT2 452

/* Besides what no jail needs (util/filter.h). */
static const int refused[] = {
    SCMP_SYS(swapon),         SCMP_SYS(swapoff), SCMP_SYS(acct),
    SCMP_SYS(lookup_dcookie), SCMP_SYS(vhangup), SCMP_SYS(fanotify_init),
};
static const int absent[] = {SCMP_SYS(clone3), SCMP_SYS(openat2), NR_FCHMODAT2};

/* Each "argument `at`, masked, equals"; `create` names an argument that must have O_CREAT too. */
typedef struct {
    int call;
    unsigned at;
    uint64_t mask, value;
    int create; /* -1: not looked at */
} Judged;

#define CHMOD(call, at)                                                                            \
    {call, at, S_ISUID, S_ISUID, -1},                                                              \
    {                                                                                              \
        call, at, S_ISGID, S_ISGID, -1                                                             \
    }
#define OPEN(call, at, flags)                                                                      \
    {call, at, S_ISUID, S_ISUID, flags},                                                           \
    {                                                                                              \
        call, at, S_ISGID, S_ISGID, flags                                                          \
    }
#define DEVICE(call, at)                                                                           \
    {call, at, S_IFMT, S_IFBLK, -1},                                                               \
    {                                                                                              \
        call, at, S_IFMT, S_IFCHR, -1                                                              \
    }
#define NAMESPACE(flag)                                                                            \
    {                                                                                              \
        SCMP_SYS(clone), 0, flag, flag, -1                                                         \
    }

static const Judged judged[] = {
    DEVICE(SCMP_SYS(mknod), 1),
    DEVICE(SCMP_SYS(mknodat), 2),
    CHMOD(SCMP_SYS(mknod), 1),
    CHMOD(SCMP_SYS(mknodat), 2),
    CHMOD(SCMP_SYS(chmod), 1),
    CHMOD(SCMP_SYS(fchmod), 1),
    CHMOD(SCMP_SYS(fchmodat), 2),
    CHMOD(SCMP_SYS(creat), 1),
    CHMOD(SCMP_SYS(mkdir), 1),
    CHMOD(SCMP_SYS(mkdirat), 2),
    OPEN(SCMP_SYS(open), 2, 1),
    OPEN(SCMP_SYS(openat), 3, 2),
    NAMESPACE(CLONE_NEWUSER),
    NAMESPACE(CLONE_NEWNS),
    NAMESPACE(CLONE_NEWPID),
    NAMESPACE(CLONE_NEWNET),
    NAMESPACE(CLONE_NEWIPC),
    NAMESPACE(CLONE_NEWUTS),
    NAMESPACE(CLONE_NEWCGROUP),
    {SCMP_SYS(ioctl), 1, LOW_32, TERMINAL_INJECT, -1},
    {SCMP_SYS(ioctl), 1, LOW_32, CONSOLE_SELECT, -1},
};

static void release_filter(scmp_filter_ctx *context)
{
    if (*context)
        seccomp_release(*context);
}

static void refuse_judged(scmp_filter_ctx context, int *result)
{
    for (size_t i = 0; i < G_N_ELEMENTS(judged); i++) {
        const Judged *j = &judged[i];
        struct scmp_arg_cmp compare[2] = {
            SCMP_CMP(j->at, SCMP_CMP_MASKED_EQ, j->mask, j->value),
        };
        unsigned count = 1;
        if (j->create >= 0)
            compare[count++] = SCMP_CMP((unsigned)j->create, SCMP_CMP_MASKED_EQ, O_CREAT, O_CREAT);
        tb_filter_note(result, seccomp_rule_add_array(context, SCMP_ACT_ERRNO(EPERM), j->call,
                                                      count, compare));
    }
}

/* QEMU's own virtiofsd (7.2) gives up other groups first, which nobody may in a namespace that an
 * ordinary user has made: it is told that it has. They give it nothing but what the user can read
 * in the project. */
static void pretend_groups(scmp_filter_ctx context, int *result)
{
    tb_filter_note(result, seccomp_rule_add(context, SCMP_ACT_ERRNO(0), SCMP_SYS(setgroups), 0));
}

static int add_rules(scmp_filter_ctx context, const TbJailSpec *spec)
{
    int result = 0;
    if (tb_hole("jail-calls"))
        return 0;
    tb_filter_refuse_families(context, spec->network, &result);
    tb_filter_refuse_common(context, spec->changes_root, &result);
    if (spec->changes_root)
        pretend_groups(context, &result);
    tb_filter_refuse(context, refused, G_N_ELEMENTS(refused), EPERM, &result);
    tb_filter_refuse(context, absent, G_N_ELEMENTS(absent), ENOSYS, &result);
    refuse_judged(context, &result);
    return result;
}

int tb_jail_filter(const TbJailSpec *spec, GError **error)
{
    __attribute__((cleanup(release_filter))) scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
    tb_autofd fd = memfd_create("taskbox-filter", MFD_CLOEXEC);
    if (!context || fd < 0) {
        tb_error_set_errno(error, errno, "cannot make the jail's system call filter");
        return -1;
    }
    int result = add_rules(context, spec);
    if (result == 0)
        result = seccomp_export_bpf(context, fd);
    if (result < 0 || lseek(fd, 0, SEEK_SET) < 0) {
        tb_error_set_errno(error, result < 0 ? -result : errno,
                           "cannot make the jail's system call filter");
        return -1;
    }
    return tb_steal_fd(&fd);
}
