/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cleanup attributes that GLib 2.74 does not have. */
#pragma once

#include <errno.h>
#include <glib.h>
#include <unistd.h>

/* Closes `*fd` when it is not negative, sets it to -1, keeps errno. */
static inline void tb_clear_fd(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
        *fd = -1;
    }
}

/* Hands the descriptor over: returns `*fd` and sets it to -1. */
static inline int tb_steal_fd(int *fd)
{
    int out = *fd;
    *fd = -1;
    return out;
}

/* An int variable that is closed when it leaves its scope. Initialise with -1 or a descriptor. */
#define tb_autofd __attribute__((cleanup(tb_clear_fd))) int
