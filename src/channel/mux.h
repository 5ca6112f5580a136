/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connections of the box over one port, for both ends: the guest opens a stream for each connection
 * to its proxy's address, the host takes it on. Each end moves bytes between the port and one
 * socket a stream. docs/protocol.md describes the frames.
 *
 * Nobody sends more than the other end has given credit for, so that a stream whose socket is not
 * read holds up itself and nobody else, and memory is bounded by TB_MUX_WINDOW a stream.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TB_EGRESS_PORT "taskbox.egress.0" /* name of the virtio-serial port */

enum {
    TB_MUX_STREAMS = 128,       /* at once */
    TB_MUX_WINDOW = 256 * 1024, /* bytes under way in one direction of a stream */
    TB_MUX_FDS = TB_MUX_STREAMS + 1,
};

typedef enum {
    TB_MUX_OPEN = 0x41,
    TB_MUX_DATA = 0x42,
    TB_MUX_CREDIT = 0x43,
    TB_MUX_CLOSE = 0x44,
    TB_MUX_DONE = 0x45,
} TbMuxType;

typedef struct TbMux TbMux;

/* The peer has opened a stream: gives the socket it is to go on at, which is then the mux's; -1
 * refuses it. */
typedef int (*TbMuxOpened)(void *data);

/* A mux over `port`, which stays the caller's and is made non-blocking. Without `opened` the peer
 * may open nothing. NULL: no memory. The process must ignore SIGPIPE. */
TbMux *tb_mux_new(int port, TbMuxOpened opened, void *data);
/* Closes all sockets. */
void tb_mux_free(TbMux *mux);
/* Whether no further stream can be opened now. */
bool tb_mux_full(const TbMux *mux);
/* Opens a stream for a connected socket, which is then the mux's. Not when it is full. */
void tb_mux_open(TbMux *mux, int fd);
/* What it waits for: fill in, poll, give to tb_mux_step. */
void tb_mux_poll(const TbMux *mux, struct pollfd fds[TB_MUX_FDS]);
/* Moves bytes. False: the port is gone, or the peer breaks the rules; then it is of no more use. */
bool tb_mux_step(TbMux *mux, const struct pollfd fds[TB_MUX_FDS]);
/* Takes bytes of the peer's as if the port had given them. False as above. For tests. */
bool tb_mux_take(TbMux *mux, const uint8_t *data, size_t length);
