/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The whole initramfs: this program as /init, /modules.list and the modules it names. A small one
 * saves seconds of each boot under emulation. It mounts the root read-write at once; the file
 * system of an image is clean, so there is nothing to check first.
 */
#include "guest/initrd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/util.h"

enum { ROOT_WAIT_MS = 30000, CMDLINE_SIZE = 4096 };

#define NEW_ROOT "/newroot"

static void say(const char *text)
{
    char line[1200];
    int length = snprintf(line, sizeof line, "taskbox-init: %s\n", text);
    tb_auto_fd fd = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC);
    if (length > 0)
        tb_write_full(fd >= 0 ? fd : 2, line, (size_t)length);
}

_Noreturn static void die(const TbFault *fault)
{
    say(fault->text);
    sync();
    tb_sleep_ms(200); /* the console is emulated: let the last line out */
    reboot(RB_POWER_OFF);
    for (;;)
        pause();
}

static void mount_system(void)
{
    const char *const places[][2] = {{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}};
    for (size_t i = 0; i < 3; i++) {
        mkdir(places[i][1], 0755);
        mount(places[i][0], places[i][1], places[i][0], i == 2 ? MS_NOSUID : MS_NOSUID | MS_NODEV,
              NULL);
    }
    int fd = open("/dev/console", O_RDWR | O_NOCTTY);
    for (int i = 0; fd >= 0 && i < 3; i++)
        if (fd != i)
            dup2(fd, i);
    if (fd > 2)
        close(fd);
}

static void load_module(const char *path)
{
    tb_auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[512];
    if (fd >= 0 && (syscall(SYS_finit_module, fd, "", 0) == 0 || errno == EEXIST))
        return;
    /* Not fatal: the root may do without it, and if not, that is said then. */
    snprintf(text, sizeof text, "cannot load '%.300s': %s", path, strerror(errno));
    say(text);
}

static void load_modules(void)
{
    FILE *list = fopen("/modules.list", "re");
    char line[1024];
    while (list && fgets(line, sizeof line, list)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '\0' && line[0] != '#')
            load_module(line);
    }
    if (list)
        fclose(list);
}

static bool find_root_once(const char *root, char *device, size_t size)
{
    if (strncmp(root, "/dev/", 5) == 0) {
        snprintf(device, size, "%s", root);
        return access(device, F_OK) == 0;
    }
    DIR *dir = opendir("/sys/class/block");
    bool found = false;
    for (struct dirent *entry; dir && !found && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(device, size, "/dev/%.200s", entry->d_name);
        found = tb_initrd_matches(device, root);
    }
    if (dir)
        closedir(dir);
    return found;
}

static void find_root(const char *root, char *device, size_t size)
{
    TbFault fault;
    int64_t deadline = tb_now() + ROOT_WAIT_MS;
    while (!find_root_once(root, device, size)) {
        if (tb_now() >= deadline) {
            tb_fault(&fault, "there is no root device '%.300s'", root);
            die(&fault);
        }
        tb_sleep_ms(10);
    }
}

static void mount_root(const char *cmdline)
{
    char root[512], type[64] = "ext4", flags[512] = "", device[512];
    TbFault fault;
    if (!tb_initrd_option(cmdline, "root=", root, sizeof root)) {
        tb_fault(&fault, "the kernel command line has no root=");
        die(&fault);
    }
    tb_initrd_option(cmdline, "rootfstype=", type, sizeof type);
    tb_initrd_option(cmdline, "rootflags=", flags, sizeof flags);
    find_root(root, device, sizeof device);
    mkdir(NEW_ROOT, 0755);
    if (mount(device, NEW_ROOT, type, 0, flags[0] ? flags : NULL) != 0) {
        tb_fault_errno(&fault, "cannot mount '%.300s' (%.50s)", device, type);
        die(&fault);
    }
}

static void switch_root(void)
{
    static const char *const places[] = {"/dev", "/proc", "/sys"};
    TbFault fault;
    for (size_t i = 0; i < 3; i++) {
        char to[32];
        snprintf(to, sizeof to, NEW_ROOT "%s", places[i]);
        if (mount(places[i], to, NULL, MS_MOVE, NULL) != 0)
            umount2(places[i], MNT_DETACH);
    }
    if (chdir(NEW_ROOT) != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 ||
        chdir("/") != 0) {
        tb_fault_errno(&fault, "cannot switch to the root file system");
        die(&fault);
    }
}

_Noreturn void tb_initrd_run(void)
{
    char cmdline[CMDLINE_SIZE] = "", init[512] = "/sbin/init";
    TbFault fault;
    mount_system();
    load_modules();
    tb_read_text("/proc/cmdline", cmdline, sizeof cmdline);
    mount_root(cmdline);
    tb_initrd_option(cmdline, "init=", init, sizeof init);
    /* They lie in memory that nothing gives back after the switch. */
    unlink("/modules.list");
    switch_root();
    char *argv[] = {init, NULL};
    char *env[] = {(char[]){"HOME=/"}, (char[]){"TERM=linux"}, NULL};
    execve(init, argv, env);
    tb_fault_errno(&fault, "cannot run '%.300s'", init);
    die(&fault);
}
