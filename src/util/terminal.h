/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The user's own terminal, handed to a program in a box for a while: raw, and given back as it was
 * whatever happens. A small process beside us, the keeper, gives it back when we are killed.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct TbTerminal TbTerminal;

/* Makes the terminal at `fd`, which is read and written there, raw. One at a time in a process. */
TbTerminal *tb_terminal_take(int fd, GError **error);
/* Writes what a box wrote, filtered (term-filter.h). A terminal that went away is no error. */
bool tb_terminal_write(TbTerminal *terminal, const void *data, size_t length, GError **error);
/* Gives the terminal back: modes that were switched on in it, then its settings; answers it has
 * still to give are thrown away. */
void tb_terminal_give_back(TbTerminal *terminal);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbTerminal, tb_terminal_give_back)

/* Readable when the window has got another size; tb_terminal_size makes it unreadable again. -1
 * when it cannot be had. */
int tb_terminal_window_fd(void);
/* The size of the terminal's window; 24 x 80 when it does not say. */
void tb_terminal_size(int fd, unsigned *rows, unsigned *columns);

/* TERM of the environment when it is a name that another machine can be told, else NULL. */
const char *tb_terminal_name(void);
/* The locale does not say that the terminal reads something else than UTF-8. */
bool tb_terminal_is_utf8(void);

/* Keys for us rather than for the box: "~." at the beginning of a line leaves, "~~" is one "~". */
typedef struct {
    bool inside; /* of a line */
    bool tilde;  /* a "~" is held back */
} TbTerminalKeys;
/* Takes the keys for us out of what was typed; `bytes` has room for one more. True: leave. */
bool tb_terminal_keys(TbTerminalKeys *keys, unsigned char *bytes, size_t *length);
