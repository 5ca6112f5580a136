/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a command in an image says while the image is made: lines, safe to show, and their end kept
 * for when it fails. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct TbOutput TbOutput;

/* `show`: each line on stderr as it comes. */
TbOutput *tb_output_new(bool show);
void tb_output_free(TbOutput *output);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbOutput, tb_output_free)

/* Handler of tb_session_exec; `user_data` is a TbOutput. */
bool tb_output_take(int fd, const uint8_t *data, size_t length, void *user_data, GError **error);
/* The last lines, each after a newline and two spaces; "\n  (it printed nothing)". g_free. */
char *tb_output_tail(TbOutput *output);
