/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * taskbox-guest: the program in the box. As the initramfs's /init it finds the root file system;
 * as a service it does what the host asks over the channel. "copy PATH" is what a process of the
 * task's user runs to have a file or directory copied out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "channel/mux.h"
#include "guest/guest.h"
#include "guest/initrd.h"
#include "guest/port.h"

static void power_off(void)
{
    reboot(RB_POWER_OFF);
}

static int open_egress(void)
{
    return tb_port_open(TB_EGRESS_PORT);
}

int main(int argc, char **argv)
{
    if (getpid() == 1 && argc > 0 && strcmp(argv[0], "/init") == 0)
        tb_initrd_run();
    if (argc == 3 && strcmp(argv[1], "copy") == 0)
        return tb_copy_run(STDOUT_FILENO, argv[2]);
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
        .own_machine = true,
        .power_off = power_off,
        .open_egress = open_egress,
        .reopen = tb_port_reopen,
        .data = &kept,
    };
    setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1); /* where modprobe is */
    return tb_guest_serve(&config, tb_port_wait());
}
