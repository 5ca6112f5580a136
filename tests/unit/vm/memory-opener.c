/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stands for a QEMU before 8.2 that has taskbox-memory.so loaded: opens a template's memory for
 * writing, under the name it has in the jail. Argument: a directory for that. Exit code 0: it got a
 * descriptor that reads and does not write, and every other file as it asked; 77: no namespace.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/layout.h"

static const char content[] = "memory";

static int fail(const char *what)
{
    perror(what);
    return 1;
}

static int check_mode(int fd, int mode, const char *what)
{
    if (fd >= 0 && (fcntl(fd, F_GETFL) & O_ACCMODE) == mode)
        return 0;
    return fail(what);
}

/* A root of our own with nothing in it but the memory's directory, and the rest of the host's. */
static int enter(const char *directory)
{
    if (unshare(CLONE_NEWNS | (geteuid() ? CLONE_NEWUSER : 0)) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", directory, "tmpfs", 0, NULL) < 0 || chroot(directory) < 0 || chdir("/") < 0)
        return -1;
    return mkdir("/image", 0755);
}

int main(int argc, char **argv)
{
    char read_back[sizeof content];
    if (argc != 2 || enter(argv[1]) < 0)
        return 77;
    FILE *file = fopen(TB_JAIL_MEMORY, "w");
    if (!file || fwrite(content, sizeof content, 1, file) != 1 || fclose(file) != 0)
        return fail("cannot make the file");
    int fd = open(TB_JAIL_MEMORY, O_RDWR | O_CLOEXEC);
    if (check_mode(fd, O_RDONLY, "open") != 0 ||
        check_mode(open64(TB_JAIL_MEMORY, O_RDWR), O_RDONLY, "open64") != 0 ||
        check_mode(open(TB_JAIL_MEMORY, O_WRONLY), O_RDONLY, "open to write") != 0 ||
        check_mode(open("/image/other", O_RDWR | O_CREAT, 0640), O_RDWR, "another file") != 0)
        return 1;
    struct stat st;
    if (!(fcntl(fd, F_GETFD) & FD_CLOEXEC) || stat("/image/other", &st) < 0 ||
        (st.st_mode & 0777) != 0640)
        return fail("flags and mode");
    if (write(fd, "x", 1) >= 0 || ftruncate(fd, 0) == 0)
        return fail("it could be written");
    char *map = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return fail("cannot map it");
    map[0] = 'X';
    if (pread(fd, read_back, sizeof read_back, 0) != sizeof read_back ||
        memcmp(read_back, content, sizeof content) != 0)
        return fail("it has changed");
    return 0;
}
