/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text that came from a box or a project, made safe to show. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

/* For a terminal: printable UTF-8 stays; control characters (C0 but, with `multiline`, \n and \t;
 * DEL; C1), invalid bytes, bidirectional and zero-width controls, tags and other invisible format
 * characters become \xNN or \u{NNNN}. g_free. */
char *tb_escape_terminal(const void *data, size_t length, bool multiline);
/* The same for a NUL-terminated one-line text. */
char *tb_escape_name(const char *text);
/* At most `limit` bytes, all of them printable ASCII: nothing is to be escaped. */
bool tb_is_plain(const char *text, size_t limit);
