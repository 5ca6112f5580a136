/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a QEMU that was taken over could do: system calls made inside of a real process of a running
 * box, by ptrace from outside.
 *
 *     drill TASKBOX-PID PROGRAM CALL...
 *
 * finds PROGRAM ("qemu-system-x86", "taskbox-vmm") below that taskbox, makes each CALL in a thread
 * of it and prints "CALL RESULT": 0 (it worked) or the errno's name, "killed" when the thread did
 * not survive it; the next call is another thread's then. The process goes on as if nothing had
 * been. CALL@PATH gives another path. Exit code 77: no process can be looked into here.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if !defined(__x86_64__)
int main(void)
{
    fprintf(stderr, "no calls are known for this processor\n");
    return 77;
}
#else

#define SCRATCH  16384 /* below the stack pointer */
#define NOT_HERE 77

static pid_t target;
static int memory = -1; /* its /proc/PID/mem */
static struct user_regs_struct before;
static uint64_t gadget; /* a syscall instruction */

static _Noreturn void die(int code, const char *what)
{
    fprintf(stderr, "drill: %s: %s\n", what, strerror(errno));
    exit(code);
}

/* ---- finding the process */

/* Its parent, and its name into `name`; -1 when it is gone. */
static pid_t look(const char *pid, char name[32])
{
    char path[300], text[512] = "";
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    size_t got = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[got] = '\0';
    char *open = strchr(text, '('), *close = strrchr(text, ')');
    int parent = -1;
    if (!open || !close || sscanf(close + 1, " %*c %d", &parent) != 1)
        return -1;
    *close = '\0';
    snprintf(name, 32, "%s", open + 1);
    return parent;
}

static bool is_below(pid_t pid, pid_t top)
{
    for (int depth = 0; depth < 32 && pid > 1; depth++) {
        char number[16], name[32];
        if (pid == top)
            return true;
        snprintf(number, sizeof number, "%d", pid);
        pid = look(number, name);
    }
    return false;
}

static pid_t find(pid_t top, const char *program)
{
    DIR *proc = opendir("/proc");
    pid_t found = -1;
    for (struct dirent *entry; proc && found < 0 && (entry = readdir(proc));) {
        char name[32];
        if (*entry->d_name < '1' || *entry->d_name > '9' || look(entry->d_name, name) < 0)
            continue;
        if (strcmp(name, program) == 0 && is_below(atoi(entry->d_name), top))
            found = atoi(entry->d_name);
    }
    closedir(proc);
    return found;
}

/* ---- into it and out again */

/* Where in the C library or the vDSO there is a syscall instruction. */
static uint64_t find_gadget(void)
{
    static uint8_t bytes[65536];
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/maps", target);
    FILE *maps = fopen(path, "re");
    uint64_t found = 0;
    while (maps && !found && fgets(line, sizeof line, maps)) {
        uint64_t from, to;
        char rights[8];
        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3 || rights[2] != 'x' ||
            rights[0] != 'r' || strstr(line, "[vsyscall]"))
            continue;
        for (uint64_t at = from; !found && at < to; at += sizeof bytes - 1) {
            size_t length = to - at < sizeof bytes ? to - at : sizeof bytes;
            ssize_t got = pread(memory, bytes, length, (off_t)at);
            uint8_t *hit = got > 1 ? memmem(bytes, (size_t)got, "\x0f\x05", 2) : NULL;
            found = hit ? at + (uint64_t)(hit - bytes) : 0;
        }
    }
    if (maps)
        fclose(maps);
    return found;
}

/* The end of a process is no news to its tracer as long as one of its threads is not gone. */
static bool is_dead(void)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", target, target);
    FILE *file = fopen(path, "re");
    if (!file)
        return true;
    size_t got = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[got] = '\0';
    const char *close = strrchr(text, ')');
    return !close || close[1] == '\0' || close[2] == 'Z' || close[2] == 'X';
}

/* True when it has stopped; false when it will not any more. */
static bool await_stop(int *status)
{
    for (int i = 0; i < 20000; i++) {
        pid_t pid = waitpid(target, status, __WALL | WNOHANG);
        if (pid == target)
            return WIFSTOPPED(*status);
        if (pid < 0 || is_dead())
            return false;
        usleep(500);
    }
    return false;
}

static void enter(void)
{
    char path[64];
    int status;
    if (ptrace(PTRACE_SEIZE, target, NULL, NULL) < 0)
        die(NOT_HERE, "cannot look into the process");
    snprintf(path, sizeof path, "/proc/%d/mem", target);
    memory = open(path, O_RDWR | O_CLOEXEC);
    if (memory < 0)
        die(NOT_HERE, "cannot write into the process");
    if (ptrace(PTRACE_INTERRUPT, target, NULL, NULL) < 0 || !await_stop(&status) ||
        ptrace(PTRACE_GETREGS, target, NULL, &before) < 0)
        die(1, "cannot stop the process");
    gadget = find_gadget();
    if (!gadget)
        die(1, "there is no syscall instruction");
}

static void leave(void)
{
    ptrace(PTRACE_SETREGS, target, NULL, &before);
    ptrace(PTRACE_DETACH, target, NULL, NULL);
}

/* False: the process did not survive. Signals that the call brings on itself are kept from it. */
static bool make(long call, const uint64_t a[6], long *result)
{
    struct user_regs_struct regs = before;
    int status;
    regs.rip = gadget;
    regs.rax = (uint64_t)call;
    regs.orig_rax = ~UINT64_C(0);
    regs.rdi = a[0], regs.rsi = a[1], regs.rdx = a[2];
    regs.r10 = a[3], regs.r8 = a[4], regs.r9 = a[5];
    if (ptrace(PTRACE_SETREGS, target, NULL, &regs) < 0)
        return false;
    do {
        if (ptrace(PTRACE_SINGLESTEP, target, NULL, 0) < 0 || !await_stop(&status) ||
            ptrace(PTRACE_GETREGS, target, NULL, &regs) < 0)
            return false;
    } while (WSTOPSIG(status) != SIGTRAP || regs.rip == gadget);
    *result = (long)regs.rax;
    return true;
}

/* ---- what can be called */

/* Bytes in the process's own memory, one after the other; its address there. */
static uint64_t scratch_used;
static uint64_t put(const void *data, size_t length)
{
    uint64_t at = before.rsp - 2 * SCRATCH + scratch_used;
    at &= ~UINT64_C(15);
    scratch_used += (length + 31) & ~(size_t)15;
    if (pwrite(memory, data, length, (off_t)at) != (ssize_t)length)
        die(1, "cannot write into the process");
    return at;
}

static uint64_t text(const char *string)
{
    return put(string, strlen(string) + 1);
}

typedef struct {
    const char *name;
    long call;
    const char *path; /* the first argument that is one */
    int at;           /* which */
    uint64_t a[6];
} Call;

#define AT ((uint64_t)AT_FDCWD)
#define OPEN(name, path, flags)                                                                    \
    {                                                                                              \
        name, SYS_openat, path, 1,                                                                 \
        {                                                                                          \
            AT, 0, (flags), 0600                                                                   \
        }                                                                                          \
    }
#define PLAIN(name, call, ...)                                                                     \
    {                                                                                              \
        name, call, NULL, 0,                                                                       \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define PATH(name, call, at, path, ...)                                                            \
    {                                                                                              \
        name, call, path, at,                                                                      \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define HUGE_FILE (UINT64_C(1) << 45)
#define TIOCSTI_  0x5412

static const Call calls[] = {
    OPEN("read-shadow", "/etc/shadow", O_RDONLY),
    OPEN("see-home", "/home", O_RDONLY),
    OPEN("see-root-home", "/root", O_RDONLY),
    OPEN("read", "", O_RDONLY),
    OPEN("write-usr", "/usr/taskbox-drill", O_RDWR | O_CREAT),
    OPEN("write-image", "/image/disk.qcow2", O_RDWR),
    OPEN("write-template", "/image/memory", O_RDWR),
    OPEN("write-program", "/run/taskbox-vmm", O_RDWR),
    OPEN("write-sys", "/sys/kernel/uevent_helper", O_WRONLY),
    OPEN("write-proc-own", "/proc/self/comm", O_WRONLY),
    OPEN("write-proc-sys", "/proc/sys/kernel/core_pattern", O_WRONLY),
    OPEN("write-own", "/vm/drill", O_RDWR | O_CREAT),
    OPEN("device-memory", "/dev/mem", O_RDWR),
    OPEN("device-kmsg", "/dev/kmsg", O_RDWR),
    PATH("chmod-image", SYS_chmod, 0, "/image/disk.qcow2", 0, 0666),
    PATH("chmod-template", SYS_chmod, 0, "/image/memory", 0, 0666),
    PATH("truncate-image", SYS_truncate, 0, "/image/disk.qcow2", 0, 0),
    PATH("unlink-image", SYS_unlink, 0, "/image/disk.qcow2", 0),
    PATH("chmod-setuid", SYS_chmod, 0, "/vm/drill", 0, 04755),
    PATH("grow-file", SYS_truncate, 0, "/vm/drill", 0, HUGE_FILE),
    PATH("mknod-block", SYS_mknod, 0, "/vm/block", 0, S_IFBLK | 0600, 0x800),
    PATH("umount", SYS_umount2, 0, "/usr", 0, MNT_DETACH),
    PATH("open-tree", SYS_open_tree, 1, "/usr", AT, 0, 1),
    PATH("chroot", SYS_chroot, 0, "/vm", 0),
    PATH("by-handle", SYS_name_to_handle_at, 1, "/usr", AT, 0, 0, 0, 0),
    PLAIN("socket-inet", SYS_socket, AF_INET, SOCK_STREAM, 0),
    PLAIN("socket-inet6", SYS_socket, AF_INET6, SOCK_STREAM, 0),
    PLAIN("socket-vsock", SYS_socket, 40, SOCK_STREAM, 0),
    PLAIN("socket-packet", SYS_socket, AF_PACKET, SOCK_RAW, 0),
    PLAIN("unshare-user", SYS_unshare, CLONE_NEWUSER),
    PLAIN("setns", SYS_setns, 0, 0),
    PLAIN("io-uring", SYS_io_uring_setup, 1, 0),
    PLAIN("bpf", SYS_bpf, 0, 0, 0),
    PLAIN("userfaultfd", SYS_userfaultfd, 0),
    PLAIN("keyctl", SYS_keyctl, 0, 0xfffffffd, 0),
    PLAIN("ptrace", SYS_ptrace, PTRACE_SEIZE, 1, 0, 0),
    PLAIN("process-vm-writev", SYS_process_vm_writev, 1, 0, 0, 0, 0, 0),
    PLAIN("pidfd-getfd", SYS_pidfd_getfd, 0, 0, 0),
    PLAIN("init-module", SYS_init_module, 0, 0, 0),
    PLAIN("reboot", SYS_reboot, 0, 0, 0, 0),
    PLAIN("tiocsti", SYS_ioctl, 0, TIOCSTI_, 0),
    PLAIN("clone-user", SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0),
    PLAIN("fork", SYS_fork, 0),
    PATH("execve", SYS_execve, 0, "/usr/bin/true", 0, 0, 0),
    PLAIN("setuid", SYS_setuid, 0),
};

/* Calls whose arguments are more than numbers and one path. */
static bool special(const char *name, pid_t top, long *result, bool *survived)
{
    uint64_t a[6] = {0};
    long call;
    if (strcmp(name, "mount-setattr") == 0) {
        const uint64_t attributes[4] = {0, 1, 0, 0}; /* clears RDONLY */
        call = SYS_mount_setattr;
        a[0] = AT, a[1] = text("/usr"), a[3] = put(attributes, sizeof attributes), a[4] = 32;
    } else if (strcmp(name, "mount") == 0) {
        call = SYS_mount;
        a[0] = a[2] = text("tmpfs"), a[1] = text("/vm");
    } else if (strcmp(name, "pivot-root") == 0) {
        call = SYS_pivot_root;
        a[0] = a[1] = text("/vm");
    } else if (strcmp(name, "symlink-own") == 0) {
        call = SYS_symlink;
        a[0] = text("/etc/shadow"), a[1] = text("/vm/drill-link");
    } else if (strcmp(name, "perf") == 0) {
        const struct perf_event_attr attributes = {.type = PERF_TYPE_SOFTWARE,
                                                   .size = sizeof attributes};
        call = SYS_perf_event_open;
        a[0] = put(&attributes, sizeof attributes), a[2] = a[3] = ~UINT64_C(0);
    } else if (strcmp(name, "raise-limit") == 0) {
        const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
        call = SYS_prlimit64;
        a[1] = RLIMIT_FSIZE, a[2] = put(&none, sizeof none);
    } else if (strcmp(name, "signal-taskbox") == 0) {
        call = SYS_kill;
        a[0] = (uint64_t)top;
    } else if (strcmp(name, "connect-host") == 0) { /* a socket of the host's without a file */
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "taskbox-drill-%d", getpid());
        int ear = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (ear < 0 || bind(ear, (struct sockaddr *)&address, sizeof address) < 0 ||
            listen(ear, 1) < 0)
            die(1, "cannot listen");
        const uint64_t socket_arguments[6] = {AF_UNIX, SOCK_STREAM, 0};
        long fd = -1;
        *survived = make(SYS_socket, socket_arguments, &fd);
        if (!*survived || fd < 0) {
            *result = fd;
            return true;
        }
        call = SYS_connect;
        a[0] = (uint64_t)fd, a[1] = put(&address, sizeof address), a[2] = sizeof address;
        *survived = make(call, a, result);
        const uint64_t close_arguments[6] = {(uint64_t)fd};
        long closed;
        if (*survived)
            *survived = make(SYS_close, close_arguments, &closed);
        close(ear);
        return true;
    } else {
        return false;
    }
    *survived = make(call, a, result);
    return true;
}

/* What a successful call has opened is closed again. */
static void tidy(const Call *call, long result)
{
    long ignored;
    const uint64_t a[6] = {(uint64_t)result};
    bool opens = call->call == SYS_openat || call->call == SYS_socket ||
                 call->call == SYS_io_uring_setup || call->call == SYS_userfaultfd;
    if (opens && result >= 0)
        make(SYS_close, a, &ignored);
}

static bool try_call(const char *word, pid_t top)
{
    char name[64];
    const char *at = strchr(word, '@');
    snprintf(name, sizeof name, "%.*s", at ? (int)(at - word) : (int)strlen(word), word);
    long result = 0;
    bool survived = true, known = false;
    scratch_used = 0;
    for (size_t i = 0; !known && i < sizeof calls / sizeof calls[0]; i++) {
        if (strcmp(calls[i].name, name) != 0)
            continue;
        uint64_t a[6];
        memcpy(a, calls[i].a, sizeof a);
        if (calls[i].path)
            a[calls[i].at] = text(at ? at + 1 : calls[i].path);
        survived = make(calls[i].call, a, &result);
        known = true;
        if (survived)
            tidy(&calls[i], result);
    }
    if (!known && !special(name, top, &result, &survived)) {
        fprintf(stderr, "drill: there is no call '%s'\n", name);
        exit(2);
    }
    const char *what = !survived ? "killed" : result < 0 ? strerrorname_np((int)-result) : "0";
    printf("%s %s\n", name, what ? what : "?");
    fflush(stdout);
    return survived;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: drill TASKBOX-PID PROGRAM CALL...\n");
        return 2;
    }
    pid_t top = atoi(argv[1]);
    target = find(top, argv[2]);
    if (target < 0) {
        fprintf(stderr, "drill: there is no '%s' below %d\n", argv[2], top);
        return 1;
    }
    enter();
    bool alive = true;
    for (int i = 3; alive && i < argc; i++)
        alive = try_call(argv[i], top);
    if (alive)
        leave();
    return 0;
}
#endif
