/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Turns to boot: as many boxes of a user boot at once as this process may use processors. */
#pragma once

#include <glib.h>

/* A boot keeps a processor busy until the guest answers; more of them at once than there are
 * processors are all slower, and by emulation so slow that they run into the deadline. */
typedef struct TbBootTurn TbBootTurn;

/* Waits for one, saying so when it takes a while. NULL with error set: interrupted, or the state
 * directory cannot be used. */
TbBootTurn *tb_boot_turn_take(GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Gives it back; the kernel does when the process dies. NULL is fine. */
void tb_boot_turn_free(TbBootTurn *turn);
