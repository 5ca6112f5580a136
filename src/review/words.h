/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What somebody wrote in a box, for the user's history. */
#pragma once

#include <glib.h>

/* A commit's words as they are meant: UTF-8, or Latin-1 where `encoding` (NULL: UTF-8) says so,
 * made UTF-8; other bytes stay. g_free. */
char *tb_words_decode(const char *words, const char *encoding);

/* A commit's message as it may become the user's: UTF-8 without control characters but newline and
 * tab, bidi controls or hidden characters; those, and bytes that are no text, are written out
 * (\xNN, \u{NNNN}). A carriage return before a newline goes. g_free. */
char *tb_clean_message(const char *message, const char *encoding);

/* "NAME <ADDRESS> SECONDS ZONE", the same of its name and address. g_free. */
char *tb_clean_author(const char *author, const char *encoding);
