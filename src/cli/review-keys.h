/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Single keys from the terminal, whose mode is put back whatever happens. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <termios.h>

typedef struct {
    int fd;
    bool changed;
    struct termios before;
} TbKeys;

/* `fd` must be a terminal. */
bool tb_keys_begin(TbKeys *keys, int fd, GError **error);
void tb_keys_end(TbKeys *keys);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TbKeys, tb_keys_end)
/* One key; '\0' at the end of input. TB_ERROR_INTERRUPTED on a signal. Sequences of cursor and
 * function keys are swallowed. */
bool tb_keys_read(TbKeys *keys, char *key, GError **error);
