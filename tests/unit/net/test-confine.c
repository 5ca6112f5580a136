/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a taken-over egress process can still do by itself, tried in one. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../suite.h"
#include "net/confine.h"

static bool refused(long result)
{
    return result < 0 && (errno == EPERM || errno == EAFNOSUPPORT || errno == ENOSYS);
}

static void *nothing(void *data)
{
    return data;
}

/* Async-signal-safe calls would be in order here; the child is alone, though. The number of the
 * first thing that is not as it must be. */
static int try_all(const char *file)
{
    char *const argv[] = {(char[]){"true"}, NULL};
    struct iovec iov = {0};
    struct rlimit limit = {1, 1};
    pthread_t thread;
    int step = 0, pair[2];
#define MUST(condition)                                                                            \
    do {                                                                                           \
        step++;                                                                                    \
        if (!(condition))                                                                          \
            return step;                                                                           \
    } while (0)
    MUST(refused(execve("/bin/true", argv, argv + 1)));
    MUST(refused(syscall(SYS_fork)));
    MUST(refused(syscall(SYS_vfork)));
    MUST(refused(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)));
    MUST(refused(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)));
    MUST(refused(syscall(SYS_clone3, &iov, sizeof iov)));
    MUST(refused(kill(getppid(), 0)));
    MUST(refused(ptrace(PTRACE_ATTACH, getppid(), 0, 0)));
    MUST(refused(process_vm_readv(getppid(), &iov, 1, &iov, 1, 0)));
    MUST(refused(unshare(CLONE_NEWUSER)));
    MUST(refused(open(file, O_WRONLY)));
    MUST(refused(open(file, O_RDWR)));
    MUST(refused(open("/tmp/taskbox-test-made", O_RDONLY | O_CREAT, 0600)));
    MUST(refused(syscall(SYS_openat2, AT_FDCWD, file, &iov, sizeof iov)));
    MUST(refused(unlink(file)));
    MUST(refused(mkdir("/tmp/taskbox-test-dir", 0700)));
    MUST(refused(socket(AF_VSOCK, SOCK_STREAM, 0)));
    MUST(refused(socket(AF_PACKET, SOCK_RAW, 0)));
    MUST(refused(socket(200, SOCK_STREAM, 0)));
    MUST(refused(socket(AF_UNIX, SOCK_STREAM, 0)));
    MUST(refused(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
    MUST(refused(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair)));
    MUST(refused(socketpair(AF_UNIX, SOCK_RAW, 0, pair)));
    MUST(refused(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER)));
    MUST(refused(socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP)));
    MUST(refused(socket(AF_INET6, SOCK_STREAM, IPPROTO_SCTP)));
    MUST((pair[0] = socket(AF_INET, SOCK_STREAM, 0)) >= 0 && refused(listen(pair[0], 1)));
    MUST(refused(accept(pair[0], NULL, NULL)) && refused(accept4(pair[0], NULL, NULL, 0)));
    MUST(refused(setresuid(0, 0, 0)));
    MUST(refused(syscall(SYS_io_uring_setup, 1, &iov)));
    MUST(prctl(PR_GET_DUMPABLE) == 0);
    MUST(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0);
    /* And what it needs. */
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE) >= 0);
    MUST(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_UDP) >= 0);
    MUST(socket(AF_INET, SOCK_STREAM, 0) >= 0);
    MUST(socket(AF_INET6, SOCK_STREAM, 0) >= 0 || errno == EAFNOSUPPORT);
    MUST(open(file, O_RDONLY) >= 0);
    MUST(pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0);
    return 0;
}

START_TEST(drill)
{
    char file[] = "/tmp/taskbox-test-confine-XXXXXX";
    int fd = mkstemp(file), status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(tb_confine(NULL) ? try_all(file) : 200);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    close(fd);
    ck_assert_int_eq(access(file, F_OK), 0);
    unlink(file);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "step %d (status %d)",
                  WEXITSTATUS(status), status);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net-confine");
    TCase *tests = tcase_create("confine");
    tcase_add_test(tests, drill);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
