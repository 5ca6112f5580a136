/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a name to addresses that may be connected to: looked up once, all of them judged, and then
 * those very addresses are used. */
#pragma once

#include <gio/gio.h>
#include <stdint.h>

/* Looks up a canonical name. A name with any address that is refused is refused. */
void tb_net_resolve(const char *host, uint16_t port, GCancellable *cancellable,
                    GAsyncReadyCallback callback, gpointer data);
/* A GNetworkAddress (of this name, as TLS wants it) that never looks anything up. TB_ERROR_DENIED
 * when an address is refused, TB_ERROR_NOT_FOUND when there is none. */
GSocketConnectable *tb_net_resolve_finish(GAsyncResult *result, GError **error);
/* The same of addresses (of GInetAddress *) that are known already. For tests, too. */
GSocketConnectable *tb_net_pin(const char *host, uint16_t port, GList *addresses, GError **error);
