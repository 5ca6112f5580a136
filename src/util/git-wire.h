/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What taskbox and taskbox-git say to each other, one packet each.
 *
 * A request is a head and then, each with a NUL byte at its end, the working directory, the
 * arguments (the first is the program's path) and the environment. Four descriptors come along: the
 * child's stdin, stdout and stderr, and a socket for this child alone. On it taskbox-git says once
 * how the child ended, as of waitpid(2); the child is killed as soon as the socket's other end
 * stops sending.
 */
#pragma once

#include <stdint.h>

#define GIT_WIRE_MAGIC   UINT32_C(0x74626731)
#define GIT_WIRE_MAX     65536 /* bytes of a request */
#define GIT_WIRE_STRINGS 1024  /* in a request */
#define GIT_WIRE_SOCKET  3     /* the descriptor on which requests come */
/* When taskbox is root: the user namespace, and a pidfd of the outer bwrap, which as another user
 * cannot end taskbox-git by its own death. */
#define GIT_WIRE_USERNS 4
#define GIT_WIRE_OUTER  5

enum { GIT_WIRE_STDIN, GIT_WIRE_STDOUT, GIT_WIRE_STDERR, GIT_WIRE_STATUS, GIT_WIRE_FDS };

typedef struct {
    uint32_t magic;
    uint32_t arguments, variables; /* how many strings of each */
} GitWireHead;
