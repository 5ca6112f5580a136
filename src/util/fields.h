/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text in fields that end with a NUL byte, as in our own small files. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Appends a field; NULL as an empty one. */
void tb_field_put(GByteArray *out, const char *text);
void tb_field_put_format(GByteArray *out, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The next field of [*at, end), which lies there; *at goes behind it. NULL when none ends there. */
const char *tb_field_take(const char **at, const char *end);
/* Whether it is an object's id in hex, by SHA-1 or SHA-256. */
bool tb_is_oid(const char *text);
