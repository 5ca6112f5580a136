/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The last walls of the egress process, which it puts up itself before it reads a byte of the box.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* From here on: no program is started, no process made (threads are), nobody else looked into or
 * signalled, no other kind of socket than TCP, UDP, a route socket of netlink and connected Unix
 * pairs, none that listens, no file opened for writing; no core dump, no trace. False with error
 * set: do not go on. */
bool tb_confine(GError **error);
