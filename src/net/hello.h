/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The first thing a TLS client says, as far as it names a server. */
#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

/* No ClientHello is longer than this, records included. */
#define TB_HELLO_MAX 65536

typedef enum {
    TB_HELLO_MORE, /* its end has not come yet */
    TB_HELLO_NAME, /* *name is the server's name, canonical */
    TB_HELLO_BAD,  /* *why (static) says what is wrong */
} TbHelloResult;

/* Looks at the bytes from a connection's beginning. Bad are: anything but TLS, no server name,
 * more than one, one that is no host name, and an encrypted hello (ECH), whose true name nobody
 * between can see. *name: g_free. */
TbHelloResult tb_hello_parse(const uint8_t *data, size_t length, char **name, const char **why);
