/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The virtio-serial port, found by its name in sysfs: no udev is needed. Its descriptor is kept for
 * good. When the host hangs up, reads give 0 and poll says POLLHUP until it is back; opening the
 * port anew would throw away what a new host had already sent.
 */
#include "guest/port.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "channel/messages.h"
#include "guest/util.h"

#define CLASS "/sys/class/virtio-ports"

static bool has_name(const char *port, const char *wanted)
{
    char path[512], name[128];
    snprintf(path, sizeof path, CLASS "/%s/name", port);
    if (tb_read_text(path, name, sizeof name) <= 0)
        return false;
    name[strcspn(name, "\n")] = '\0';
    return strcmp(name, wanted) == 0;
}

int tb_port_open(const char *name)
{
    DIR *dir = opendir(CLASS);
    int fd = -1;
    for (struct dirent *entry; dir && fd < 0 && (entry = readdir(dir));) {
        char path[512];
        if (entry->d_name[0] == '.' || !has_name(entry->d_name, name))
            continue;
        snprintf(path, sizeof path, "/dev/%s", entry->d_name);
        fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    }
    if (dir)
        closedir(dir);
    return fd;
}

int tb_port_wait(void)
{
    static const char *const driver[] = {"modprobe", "-q", "virtio_console", NULL};
    int fd = tb_port_open(TB_CHANNEL_PORT);
    if (fd >= 0)
        return fd;
    tb_run_program(driver); /* udev may not have come to it yet, or not be there */
    while ((fd = tb_port_open(TB_CHANNEL_PORT)) < 0)
        tb_sleep_ms(50);
    return fd;
}

int tb_port_reopen(int fd, void *data)
{
    int *kept = data;
    if (fd >= 0)
        *kept = fd;
    struct pollfd state = {.fd = *kept, .events = POLLIN};
    if (poll(&state, 1, 0) < 0 || (state.revents & (POLLHUP | POLLERR | POLLNVAL)))
        return -1;
    return *kept;
}
