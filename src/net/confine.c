/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bubblewrap has settled what can be seen: no project, no image, no store. What is left to whoever
 * takes this process over by a bug in a parser is the network of the host, so he gets little to
 * work with: the calls below are refused, and no other process is there.
 *
 * It shares the host's network, and with it the sockets that have no path (an X server's, a message
 * bus's): so it gets no Unix socket but a connected pair, and takes no connection from anybody.
 * Landlock says both once more where the kernel has it, and that no file changes.
 *
 * Calls whose arguments lie in memory cannot be judged; they are answered with "not there", and
 * the C library takes the older call.
 */
#include "net/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "util/error.h"
#include "util/filter.h"
#include "util/hole.h"
#include "util/landlock.h"

#define MAX_FILES  1024
#define SOCK_TYPES 0xf /* the rest are flags */

/* Besides what no jail needs (util/filter.h). */
static const int refused[] = {
    SCMP_SYS(execve),   SCMP_SYS(execveat),  SCMP_SYS(fork),       SCMP_SYS(vfork),
    SCMP_SYS(kill),     SCMP_SYS(tkill),     SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_send_signal),
    SCMP_SYS(creat),    SCMP_SYS(mkdir),     SCMP_SYS(mkdirat),    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),  SCMP_SYS(symlink),   SCMP_SYS(symlinkat),  SCMP_SYS(link),
    SCMP_SYS(linkat),   SCMP_SYS(rename),    SCMP_SYS(renameat),   SCMP_SYS(renameat2),
    SCMP_SYS(unlink),   SCMP_SYS(unlinkat),  SCMP_SYS(chmod),      SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat), SCMP_SYS(chown),     SCMP_SYS(fchown),     SCMP_SYS(lchown),
    SCMP_SYS(fchownat), SCMP_SYS(setuid),    SCMP_SYS(setgid),     SCMP_SYS(setreuid),
    SCMP_SYS(setregid), SCMP_SYS(setresuid), SCMP_SYS(setresgid),  SCMP_SYS(setgroups),
    SCMP_SYS(capset),   SCMP_SYS(listen),    SCMP_SYS(accept),     SCMP_SYS(accept4),
};

static const int absent[] = {SCMP_SYS(clone3), SCMP_SYS(openat2)};

/* Of the families that are left (util/filter.h): TCP, UDP and what tells addresses. Of a pair of
 * datagram sockets each end could be connected anew. */
static void refuse_sockets(scmp_filter_ctx context, int *result)
{
    static const int pairs[] = {SOCK_DGRAM, SOCK_RAW};
    static const int internet[] = {AF_INET, AF_INET6};
    const uint32_t no = SCMP_ACT_ERRNO(EAFNOSUPPORT);
    tb_filter_note(
        result, seccomp_rule_add(context, no, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX)));
    tb_filter_note(result, seccomp_rule_add(context, no, SCMP_SYS(socket), 2,
                                            SCMP_A0(SCMP_CMP_EQ, AF_NETLINK),
                                            SCMP_A2(SCMP_CMP_NE, NETLINK_ROUTE)));
    for (size_t i = 0; i < G_N_ELEMENTS(internet); i++)
        tb_filter_note(result, seccomp_rule_add(context, no, SCMP_SYS(socket), 2,
                                                SCMP_A0(SCMP_CMP_EQ, (unsigned)internet[i]),
                                                SCMP_A2(SCMP_CMP_GT, IPPROTO_UDP)));
    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++)
        tb_filter_note(
            result, seccomp_rule_add(context, no, SCMP_SYS(socketpair), 1,
                                     SCMP_A1(SCMP_CMP_MASKED_EQ, SOCK_TYPES, (unsigned)pairs[i])));
}

static int add_rules(scmp_filter_ctx context)
{
    static const int opens[][2] = {{SCMP_SYS(open), 1}, {SCMP_SYS(openat), 2}};
    const uint32_t no = SCMP_ACT_ERRNO(EPERM);
    int result = 0;
    tb_filter_refuse_families(context, true, &result);
    refuse_sockets(context, &result);
    tb_filter_refuse_common(context, false, &result);
    tb_filter_refuse(context, refused, G_N_ELEMENTS(refused), EPERM, &result);
    tb_filter_refuse(context, absent, G_N_ELEMENTS(absent), ENOSYS, &result);
    /* A clone that is no thread. */
    tb_filter_note(&result, seccomp_rule_add(context, no, SCMP_SYS(clone), 1,
                                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)));
    for (size_t i = 0; i < G_N_ELEMENTS(opens); i++) {
        unsigned at = (unsigned)opens[i][1];
        tb_filter_note(&result,
                       seccomp_rule_add(context, no, opens[i][0], 1,
                                        SCMP_CMP(at, SCMP_CMP_MASKED_EQ, O_ACCMODE, O_WRONLY)));
        tb_filter_note(&result,
                       seccomp_rule_add(context, no, opens[i][0], 1,
                                        SCMP_CMP(at, SCMP_CMP_MASKED_EQ, O_ACCMODE, O_RDWR)));
        tb_filter_note(&result,
                       seccomp_rule_add(context, no, opens[i][0], 1,
                                        SCMP_CMP(at, SCMP_CMP_MASKED_EQ, O_CREAT, O_CREAT)));
    }
    return result;
}

bool tb_confine(GError **error)
{
    const struct rlimit none = {0}, files = {MAX_FILES, MAX_FILES};
    if (prctl(PR_SET_DUMPABLE, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ||
        setrlimit(RLIMIT_FSIZE, &none) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0)
        return tb_error_set_errno(error, errno, "cannot limit the egress process");
    int result = tb_hole("egress-landlock") ? 0 : tb_landlock_enter(tb_landlock_version(), NULL);
    if (result != 0)
        return tb_error_set_errno(error, result, "cannot set landlock's rules");
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
    result = context ? add_rules(context) : -ENOMEM;
    if (result == 0)
        result = seccomp_load(context); /* sets no_new_privs, too */
    if (context)
        seccomp_release(context);
    if (result < 0)
        return tb_error_set_errno(error, -result, "cannot filter the egress process's calls");
    return true;
}
