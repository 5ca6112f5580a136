/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/* A random id people can read, say and type: "brave-otter-k3". g_free. */
char *tb_id_new(void);
/* Whether `text` could be an id or the beginning of one: lower-case letters, digits, dashes. */
bool tb_id_is_prefix(const char *text);
