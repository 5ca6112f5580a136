/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which addresses a box may be connected to: none that means this machine or a network around it.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

/* NULL when `address` is one of the public internet's; else what it is, in words ("loopback").
 * An IPv6 address that carries an IPv4 one is judged by that one, too. Static string. */
const char *tb_address_refused(GInetAddress *address);
/* The same, and also no address of this machine's own interfaces, as they are now. */
const char *tb_address_refused_here(GInetAddress *address);
