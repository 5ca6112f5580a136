/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* recv(2) of one packet from a socket of type SOCK_SEQPACKET, done again when a signal comes.
 * 0: the other side has closed it and all that it sent was taken. -1 with errno set; EAGAIN when
 * `flags` has MSG_DONTWAIT and nothing is there. The kernel sees that the queue is empty and that
 * the other side is gone one after the other: recv(2) itself may say 0 while a last packet, sent
 * between the two, lies there (net/unix/af_unix.c, unix_dgram_recvmsg). */
ssize_t tb_packet_recv(int fd, void *buffer, size_t size, int flags);
