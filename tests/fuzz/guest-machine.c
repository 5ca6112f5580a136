/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-machine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel/messages.h"

static bool running;
static bool (*whose_turn)(void);
static int64_t clock_ms;
static char place[64], root[80], state[80], workspace[80], cgroup[80];

void must(bool holds)
{
    if (!holds)
        abort();
}

void machine_start(bool (*turn)(void))
{
    whose_turn = turn;
    running = true;
}

void machine_stop(void)
{
    running = false;
}

/* ---- what is wrapped */

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    if (!running)
        return __real_poll(fds, count, timeout);
    bool wait = whose_turn();
    int ready = __real_poll(fds, count, timeout == 0 || !wait ? 0 : 1);
    if (ready == 0 && timeout != 0)
        clock_ms += timeout < 0 ? 1 : timeout;
    return ready;
}

int64_t __wrap_tb_now(void);
int64_t __wrap_tb_now(void)
{
    return clock_ms;
}

void __wrap_tb_sleep_ms(int ms);
void __wrap_tb_sleep_ms(int ms)
{
    clock_ms += ms;
    usleep(100);
}

int __wrap_clock_settime(clockid_t clock, const struct timespec *time);
int __wrap_clock_settime(clockid_t clock, const struct timespec *time)
{
    return time->tv_nsec < 1000000000 ? 0 : (errno = EINVAL, -1);
}

int __wrap_sethostname(const char *name, size_t length);
int __wrap_sethostname(const char *name, size_t length)
{
    return length <= 64 && strnlen(name, 65) == length ? 0 : (errno = EINVAL, -1);
}

/* The project's place shows its upper. */
int __wrap_mount(const char *what, const char *where, const char *type, unsigned long flags,
                 const void *data);
int __wrap_mount(const char *what, const char *where, const char *type, unsigned long flags,
                 const void *data)
{
    char upper[128];
    (void)what, (void)flags, (void)data;
    if (!type || strcmp(type, "overlay") != 0)
        return 0;
    snprintf(upper, sizeof upper, "%s/upper", state);
    return rmdir(where) == 0 ? symlink(upper, where) : -1;
}

int __wrap_umount2(const char *where, int flags);
int __wrap_umount2(const char *where, int flags)
{
    (void)where, (void)flags;
    errno = EINVAL;
    return -1;
}

int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    bool terminal = request == TIOCSWINSZ || request == TIOCSCTTY || request == TIOCGPTPEER ||
                    (request >> 8 & 0xff) == 'T';
    return terminal ? __real_ioctl(fd, request, argument) : 0;
}

/* No process of this machine, no disk, no card is found. */
DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_opendir(const char *path)
{
    bool ours = strncmp(path, place, strlen(place)) == 0;
    return ours || !running ? __real_opendir(path) : NULL;
}

/* A child of ours, or its group. */
int __real_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number)
{
    siginfo_t info;
    pid_t child = pid < 0 ? -pid : pid;
    if (!running)
        return __real_kill(pid, number);
    must(child > 1 && waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0);
    return __real_kill(pid, number);
}

int __wrap_chown(const char *path, uid_t uid, gid_t gid);
int __wrap_chown(const char *path, uid_t uid, gid_t gid)
{
    (void)uid, (void)gid;
    return access(path, F_OK);
}
int __wrap_fchown(int fd, uid_t uid, gid_t gid);
int __wrap_fchown(int fd, uid_t uid, gid_t gid)
{
    (void)uid, (void)gid;
    return fcntl(fd, F_GETFD) < 0 ? -1 : 0;
}
int __wrap_fchownat(int dir, const char *path, uid_t uid, gid_t gid, int flags);
int __wrap_fchownat(int dir, const char *path, uid_t uid, gid_t gid, int flags)
{
    struct stat st;
    (void)uid, (void)gid;
    return fstatat(dir, path, &st, flags);
}

int __wrap_tb_run_program(const char *const *argv);
int __wrap_tb_run_program(const char *const *argv)
{
    (void)argv;
    return 0;
}

bool __wrap_tb_proxy_start(const TbGuestConfig *config, TbFault *fault);
bool __wrap_tb_proxy_start(const TbGuestConfig *config, TbFault *fault)
{
    (void)config;
    return tb_fault(fault, "there is no port for the network");
}

void __wrap_sync(void);
void __wrap_sync(void)
{
}

/* Never into a cgroup of this machine. */
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
    va_list list;
    long a[4];
    va_start(list, number);
    for (unsigned i = 0; i < 4; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (number != SYS_openat2)
        return errno = ENOSYS, -1;
    return openat((int)a[0], (const char *)a[1], O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
}

/* The first two letters of its program: what it writes, and how it ends. */
_Noreturn void __wrap_tb_child_run(const TbChild *child);
_Noreturn void __wrap_tb_child_run(const TbChild *child)
{
    static char bytes[20000];
    const char *what = child->exec->argv[0];
    running = false;
    for (int number = 1; number < NSIG; number++) /* libFuzzer's; a program has none of them */
        signal(number, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsid();
    if (what[0] == 'h') {
        TbChildReport report = {ENOENT, TB_STEP_EXEC};
        ssize_t told = write(child->report, &report, sizeof report);
        _exit(told < 0 ? 126 : 127);
    }
    close(child->report);
    memset(bytes, 'o', sizeof bytes);
    size_t length = what[0] ? (size_t)(what[0] - 'a') % 8 * 2500 : 0;
    ssize_t written = write(child->out, bytes, length);
    written += write(child->err, bytes, length / 50);
    switch (what[0] ? what[1] : 0) {
    case 'b':
        written += read(child->in, bytes, sizeof bytes);
        break;
    case 'c':
        pause();
        break;
    case 'd':
        kill(getpid(), SIGKILL);
        break;
    default:
        break;
    }
    _exit(written > 0);
}

/* ---- its files */

static void write_file(const char *path, const char *text)
{
    char full[256];
    snprintf(full, sizeof full, "%s/%s", place, path);
    int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void remove_place(void)
{
    tb_remove_all(AT_FDCWD, place);
}

void machine_renew(TbGuestConfig *config)
{
    static const char *const dirs[] = {"root",     "root/etc",    "root/etc/sudoers.d",
                                       "state",    "state/upper", "state/upper/dir",
                                       "workspace"};
    static bool made;
    char path[256];
    if (!made) { /* in memory, where there is that: files are made in each run */
        bool shm = access("/dev/shm", W_OK) == 0;
        snprintf(place, sizeof place, "%s/taskbox-fuzz-XXXXXX", shm ? "/dev/shm" : "/tmp");
        must(mkdtemp(place) != NULL);
        snprintf(root, sizeof root, "%s/root", place);
        snprintf(state, sizeof state, "%s/state", place);
        snprintf(workspace, sizeof workspace, "%s/workspace", place);
        snprintf(cgroup, sizeof cgroup, "%s/cgroup", place);
        atexit(remove_place);
        made = true;
    }
    tb_remove_all(AT_FDCWD, root);
    tb_remove_all(AT_FDCWD, state);
    tb_remove_all(AT_FDCWD, workspace);
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        snprintf(path, sizeof path, "%s/%s", place, dirs[i]);
        must(mkdir(path, 0755) == 0);
    }
    write_file("root/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
    write_file("root/etc/group", "root:x:0:\ndocker:x:999:other,agent\n");
    write_file("state/upper/text", "changed\n");
    write_file("state/upper/dir/file", "new\n");
    snprintf(path, sizeof path, "%s/state/upper/link", place);
    must(symlink("../..", path) == 0);
    config->root = root;
    config->state = state;
    config->workspace = workspace;
    config->cgroup = cgroup;
}
