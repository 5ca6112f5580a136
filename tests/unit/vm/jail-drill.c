/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs in the jail in place of taskbox-vmm and tries to get out. Each attempt is reported on
 * descriptor 3 as "NAME ERRNO" (0: it worked). Then it waits to be killed, with a child and a
 * grandchild in sessions of their own.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define EVENTS 3

static void report(const char *name, long value)
{
    char packet[128];
    int length = snprintf(packet, sizeof packet, "%s %ld", name, value);
    if (send(EVENTS, packet, (size_t)length, 0) < 0)
        exit(1);
}

static void attempt(const char *name, long result)
{
    report(name, result < 0 ? errno : 0);
}

#define TRY(name, call)                                                                            \
    do {                                                                                           \
        errno = 0;                                                                                 \
        attempt(name, (long)(call));                                                               \
    } while (0)

static void try_files(void)
{
    TRY("read-shadow", open("/etc/shadow", O_RDONLY));
    TRY("see-root-home", access("/root", F_OK));
    TRY("see-home", access("/home", F_OK));
    TRY("write-usr", open("/usr/drill", O_WRONLY | O_CREAT, 0600));
    TRY("write-root", open("/drill", O_WRONLY | O_CREAT, 0600));
    TRY("write-image", open("/image/disk.qcow2", O_WRONLY));
    TRY("read-image", open("/image/disk.qcow2", O_RDONLY));
    TRY("write-program", open("/run/taskbox-vmm", O_WRONLY));
    TRY("write-sys", open("/sys/kernel/uevent_helper", O_WRONLY));
    int own = open("/vm/own", O_RDWR | O_CREAT, 0600);
    attempt("write-own", own);
    TRY("chmod-setuid", fchmod(own, 04755));
    TRY("chmod-setgid", chmod("/vm/own", 02755));
    TRY("create-setuid", open("/vm/setuid", O_WRONLY | O_CREAT, 04755));
    TRY("fchmodat2", syscall(452, AT_FDCWD, "/vm/own", 04755, 0));
    TRY("openat2", syscall(SYS_openat2, AT_FDCWD, "/vm/own", NULL, 0));
    TRY("mknod-block", mknod("/vm/block", S_IFBLK | 0600, makedev(8, 0)));
    TRY("mknod-char", mknod("/vm/char", S_IFCHR | 0600, makedev(1, 1)));
    signal(SIGXFSZ, SIG_IGN);
    TRY("grow-file", pwrite(own, "x", 1, 1 << 20));
    TRY("by-handle", syscall(SYS_open_by_handle_at, 0, NULL, 0));
}

/* What a fork is made of, by every way to a writable file. */
static void try_template(const char *path)
{
    char again[64];
    int file = open(path, O_RDONLY);
    attempt("template-read", file);
    snprintf(again, sizeof again, "/proc/self/fd/%d", file);
    TRY("template-write", open(path, O_RDWR));
    TRY("template-reopen", open(again, O_RDWR));
    TRY("template-truncate", truncate(path, 0));
    TRY("template-truncate-fd", ftruncate(file, 0));
    TRY("template-chmod", chmod(path, 0666));
    TRY("template-fchmod", fchmod(file, 0666));
    TRY("template-chown", fchown(file, getuid(), getgid()));
    TRY("template-times", utimensat(AT_FDCWD, path, NULL, 0));
    TRY("template-unlink", unlink(path));
    TRY("template-rename", rename(path, "/vm/stolen"));
    TRY("template-link", link(path, "/vm/stolen"));
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    attempt("template-map-shared", map == MAP_FAILED ? -1 : 0);
    map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    attempt("template-map-private", map == MAP_FAILED ? -1 : 0);
    map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    TRY("template-mprotect", mprotect(map, 4096, PROT_READ | PROT_WRITE));
    TRY("template-mount", syscall(SYS_mount, NULL, path, NULL, MS_REMOUNT | MS_BIND, NULL));
    struct {
        unsigned long set, clear, propagation, userns;
    } attributes = {.clear = MS_RDONLY};
    TRY("template-setattr",
        syscall(SYS_mount_setattr, AT_FDCWD, path, 0, &attributes, sizeof attributes));
    close(file);
}

static void try_sockets(void)
{
    TRY("socket-unix", socket(AF_UNIX, SOCK_STREAM, 0));
    TRY("socket-inet", socket(AF_INET, SOCK_STREAM, 0));
    TRY("socket-inet6", socket(AF_INET6, SOCK_DGRAM, 0));
    TRY("socket-vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
    TRY("socket-packet", socket(AF_PACKET, SOCK_RAW, 0));
    TRY("socket-high-bits", syscall(SYS_socket, (1UL << 32) | AF_INET, SOCK_STREAM, 0));
}

static void try_kernel(void)
{
    TRY("mount-setattr", syscall(SYS_mount_setattr, AT_FDCWD, "/usr", 0, NULL, 0));
    TRY("mount", syscall(SYS_mount, "x", "/tmp", "tmpfs", 0, NULL));
    TRY("umount", syscall(SYS_umount2, "/usr", 0));
    TRY("open-tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
    TRY("pivot-root", syscall(SYS_pivot_root, "/", "/"));
    TRY("chroot", syscall(SYS_chroot, "/"));
    TRY("unshare-user", syscall(SYS_unshare, CLONE_NEWUSER));
    TRY("clone-user", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    TRY("clone3", syscall(SYS_clone3, NULL, 0));
    TRY("io-uring", syscall(SYS_io_uring_setup, 1, NULL));
    TRY("bpf", syscall(SYS_bpf, 0, NULL, 0));
    TRY("userfaultfd", syscall(SYS_userfaultfd, 1));
    TRY("ptrace", syscall(SYS_ptrace, 0, 0, 0, 0));
    TRY("process-vm-writev", syscall(SYS_process_vm_writev, 1, NULL, 0, NULL, 0, 0));
    TRY("pidfd-getfd", syscall(SYS_pidfd_getfd, 0, 0, 0));
    TRY("keyctl", syscall(SYS_keyctl, 0, 0, 0, 0, 0));
    TRY("perf", syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0));
    TRY("tiocsti", ioctl(0, 0x5412, "x"));
    TRY("setuid", setuid(0));
}

static long status_value(const char *key, int base)
{
    char line[256];
    long value = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0)
            value = strtol(line + strlen(key), NULL, base);
    if (file)
        fclose(file);
    return value;
}

/* Names in a folder that are numbers: processes, or descriptors. */
static long count_numbers(const char *path)
{
    long count = 0;
    DIR *stream = opendir(path);
    for (struct dirent *entry; stream && (entry = readdir(stream));)
        count += entry->d_name[0] >= '0' && entry->d_name[0] <= '9';
    if (stream)
        closedir(stream);
    return count;
}

extern char **environ;

static void look_around(void)
{
    long variables = 0;
    for (char **variable = environ; *variable; variable++)
        variables++;
    report("uid", getuid());
    report("capabilities", status_value("CapEff:", 16));
    report("bounding", status_value("CapBnd:", 16));
    report("no-new-privs", status_value("NoNewPrivs:", 10));
    report("seccomp", status_value("Seccomp:", 10));
    report("processes", count_numbers("/proc"));
    report("descriptors", count_numbers("/proc/self/fd"));
    report("variables", variables);
}

static _Noreturn void fork_and_wait(int generations)
{
    while (generations-- > 0 && fork() == 0)
        setsid();
    for (;;)
        pause();
}

int main(void)
{
    look_around();
    try_files();
    try_template("/image/memory");
    try_template("/image/state");
    try_template("/image/template.qcow2");
    try_sockets();
    try_kernel();
    report("end", 0);
    fork_and_wait(2);
}
