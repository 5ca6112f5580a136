/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Long results on a terminal go through the user's pager, as git's do. Process-wide by nature. */
#pragma once

#include <stdbool.h>

/* When stdout is a terminal: starts $TASKBOX_PAGER, else $PAGER (both by the shell), else less, and
 * makes it read our stdout. Set to "" or "cat", or without a less: nothing is started. less gets
 * LESS=FRX unless the user has set it: quit when all fits on the screen, colours, no clearing. */
void tb_pager_start(void);
/* Lets it read the end and waits until the user leaves it. */
void tb_pager_end(void);

/* Whether a terminal shows what is written there, by a pager or without. */
bool tb_shown_on_terminal(int fd);
