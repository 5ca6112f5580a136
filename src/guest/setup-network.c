/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Interfaces by ioctl. A box has none but the loopback; while an image is built there is QEMU's
 * user network, whose addresses are always the same, so nothing needs to be asked for.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest/guest.h"

#define ADDRESS "10.0.2.15"
#define NETMASK "255.255.255.0"
#define GATEWAY "10.0.2.2"

enum { CARD_WAIT_MS = 10000 };

static void set_address(struct sockaddr *to, const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    inet_pton(AF_INET, text, &address.sin_addr);
    memcpy(to, &address, sizeof address);
}

static bool set_up(int fd, const char *name)
{
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (ioctl(fd, SIOCGIFFLAGS, &request) != 0)
        return false;
    request.ifr_flags |= IFF_UP | IFF_RUNNING;
    return ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

bool tb_setup_loopback(TbFault *fault)
{
    tb_auto_fd fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return (fd >= 0 && set_up(fd, "lo")) || tb_fault_errno(fault, "cannot bring up the loopback");
}

static bool find_card(char *name, size_t size)
{
    DIR *dir = opendir("/sys/class/net");
    name[0] = '\0';
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char device[512];
        snprintf(device, sizeof device, "/sys/class/net/%s/device", entry->d_name);
        if (entry->d_name[0] == '.' || access(device, F_OK) != 0)
            continue;
        if (name[0] == '\0' || strcmp(entry->d_name, name) < 0)
            snprintf(name, size, "%.*s", (int)size - 1, entry->d_name);
    }
    if (dir)
        closedir(dir);
    return name[0] != '\0';
}

static bool add_default_route(int fd)
{
    struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
    set_address(&route.rt_dst, "0.0.0.0");
    set_address(&route.rt_genmask, "0.0.0.0");
    set_address(&route.rt_gateway, GATEWAY);
    return ioctl(fd, SIOCADDRT, &route) == 0 || errno == EEXIST;
}

static bool configure(const char *name, TbFault *fault)
{
    tb_auto_fd fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    set_address(&request.ifr_addr, ADDRESS);
    if (fd < 0 || ioctl(fd, SIOCSIFADDR, &request) != 0)
        return tb_fault_errno(fault, "cannot set the address of '%s'", name);
    set_address(&request.ifr_netmask, NETMASK);
    if (ioctl(fd, SIOCSIFNETMASK, &request) != 0 || !set_up(fd, name) || !add_default_route(fd))
        return tb_fault_errno(fault, "cannot bring up '%s'", name);
    return true;
}

bool tb_setup_network(const TbGuestConfig *config, TbFault *fault)
{
    static const char *const modules[] = {"modprobe", "-qa", "virtio_net", NULL};
    static const char resolver[] = "nameserver 10.0.2.3\n";
    char name[IFNAMSIZ], path[TB_PATH_SIZE];
    int64_t deadline = tb_now() + CARD_WAIT_MS;
    tb_run_program(modules);
    while (!find_card(name, sizeof name)) {
        if (tb_now() >= deadline)
            return tb_fault(fault, "there is no network card");
        tb_sleep_ms(50);
    }
    snprintf(path, sizeof path, "%s/etc/resolv.conf", config->root);
    return configure(name, fault) &&
           tb_replace_file(path, resolver, sizeof resolver - 1, 0644, fault);
}
