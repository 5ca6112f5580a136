/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * taskbox-guest: the program in the box. As the initramfs's /init it finds the root file system;
 * as a service it does what the host asks over the channel.
 */
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <unistd.h>

#include "guest/guest.h"
#include "guest/initrd.h"
#include "guest/port.h"

static void power_off(void)
{
    reboot(RB_POWER_OFF);
}

/* A deep tree holds one descriptor open for each level while it is walked. */
static void raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max < 8192 ? limit.rlim_max : 8192;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    if (getpid() == 1 && argc > 0 && strcmp(argv[0], "/init") == 0)
        tb_initrd_run();
    if (argc > 1) {
        printf("taskbox-guest, protocol %d: runs as a service in a box\n", TB_PROTOCOL_VERSION);
        return strcmp(argv[1], "--version") == 0 ? 0 : 2;
    }
    int kept = -1;
    const TbGuestConfig config = {
        .root = "",
        .state = "/var/lib/taskbox",
        .workspace = "/workspace",
        .cgroup = "/sys/fs/cgroup/taskbox",
        .disk = "/",
        .power_off = power_off,
        .reopen = tb_port_reopen,
        .data = &kept,
    };
    raise_limits();
    return tb_guest_serve(&config, tb_port_wait());
}
