/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libguestfs's directories of sockets, which a killed libguestfs leaves behind. */
#pragma once

#include <glib.h>

/* The names of those that are there now, a set. g_hash_table_unref. */
GHashTable *tb_guestfs_sockets(void);
/* Removes those that are ours, not in `before`, and that no process has a socket in. */
void tb_guestfs_sockets_remove(GHashTable *before);
