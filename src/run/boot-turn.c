/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A turn is the lock of one of the files boot-0, boot-1, ... of the state directory. Who comes
 * first is not ordered here: the queue for room (admission.c) has let them in one by one. */
#include "run/boot-turn.h"

#include <poll.h>
#include <stdio.h>

#include "run/capacity.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/interrupt.h"
#include "util/log.h"
#include "util/paths.h"

#define LOOK_MS 100

struct TbBootTurn {
    int fd;
};

/* -1 with BUSY when all are taken. */
static int try_all(int dir, unsigned count, GError **error)
{
    for (unsigned i = 0;; i++) {
        char name[32];
        g_autoptr(GError) why = NULL;
        snprintf(name, sizeof name, "boot-%u.lock", i);
        int fd = tb_lock(dir, name, false, &why);
        if (fd >= 0)
            return fd;
        if (i + 1 < count && g_error_matches(why, TB_ERROR, TB_ERROR_BUSY))
            continue;
        g_propagate_error(error, g_steal_pointer(&why));
        return -1;
    }
}

TbBootTurn *tb_boot_turn_take(GError **error)
{
    g_autofree char *state = tb_path_state();
    tb_autofd dir = tb_open_private_dir(state, error);
    unsigned count = tb_capacity_processors();
    bool said = false;
    while (dir >= 0) {
        g_autoptr(GError) why = NULL;
        int fd = try_all(dir, count, &why);
        if (fd >= 0) {
            TbBootTurn *turn = g_new(TbBootTurn, 1);
            *turn = (TbBootTurn){fd};
            return turn;
        }
        if (!g_error_matches(why, TB_ERROR, TB_ERROR_BUSY)) {
            g_propagate_error(error, g_steal_pointer(&why));
            return NULL;
        }
        if (!said)
            tb_info("waiting to boot: %u other box%s booting", count,
                    count == 1 ? " is" : "es are");
        said = true;
        struct pollfd interrupt = {.fd = tb_interrupt_fd(), .events = POLLIN};
        poll(&interrupt, 1, LOOK_MS);
        if (!tb_interrupt_check(error))
            return NULL;
    }
    return NULL;
}

void tb_boot_turn_free(TbBootTurn *turn)
{
    if (!turn)
        return;
    tb_clear_fd(&turn->fd);
    g_free(turn);
}
