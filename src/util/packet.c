/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/packet.h"

#include <errno.h>
#include <sys/socket.h>

static ssize_t recv_whole(int fd, void *buffer, size_t size, int flags)
{
    ssize_t got;
    do
        got = recv(fd, buffer, size, flags);
    while (got < 0 && errno == EINTR);
    return got;
}

ssize_t tb_packet_recv(int fd, void *buffer, size_t size, int flags)
{
    ssize_t got = recv_whole(fd, buffer, size, flags);
    /* Once it is closed nothing can be added: the second answer is right. */
    return got == 0 ? recv_whole(fd, buffer, size, flags) : got;
}
