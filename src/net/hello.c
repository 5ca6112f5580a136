/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records are put together here (type, version, length; the handshake message may be cut over
 * several), GnuTLS takes the message apart, and the one extension that holds the name is read here.
 */
#include "net/hello.h"

#include <gnutls/gnutls.h>
#include <string.h>

#include "net/policy.h"

#define RECORD_HEADER    5
#define RECORD_MAX       16640 /* TLS's own limit, with room for what is added */
#define RECORD_HANDSHAKE 22
#define MESSAGE_HEADER   4
#define CLIENT_HELLO     1
#define EXT_SERVER_NAME  0
#define EXT_ECH          0xfe0d
#define NAME_IS_HOST     0

typedef struct {
    char *name;
    unsigned names;
    const char *why;
} Found;

static unsigned get_u16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

/* The handshake message out of its records. NULL: not there yet, or *why is set. */
static GByteArray *join_records(const uint8_t *data, size_t length, const char **why)
{
    g_autoptr(GByteArray) message = g_byte_array_new();
    for (size_t at = 0;;) {
        if (length > at && data[at] != RECORD_HANDSHAKE) {
            *why = "this is not TLS";
            return NULL;
        }
        if (length - at < RECORD_HEADER)
            return NULL;
        size_t size = get_u16(data + at + 3);
        if (data[at + 1] != 3 || size == 0 || size > RECORD_MAX) {
            *why = "this is not TLS";
            return NULL;
        }
        at += RECORD_HEADER;
        g_byte_array_append(message, data + at, (guint)MIN(size, length - at));
        if (message->len > 0 && message->data[0] != CLIENT_HELLO) {
            *why = "this is not TLS";
            return NULL;
        }
        if (message->len >= MESSAGE_HEADER) {
            size_t whole =
                MESSAGE_HEADER + ((size_t)message->data[1] << 16) + get_u16(message->data + 2);
            if (whole > TB_HELLO_MAX) {
                *why = "its first message is too long";
                return NULL;
            }
            if (message->len >= whole) {
                g_byte_array_set_size(message, (guint)whole);
                return g_steal_pointer(&message);
            }
        }
        if (length - at <= size)
            return NULL;
        at += size;
    }
}

/* list length, then one entry: type, length, name. */
static void read_name(Found *found, const uint8_t *data, unsigned size)
{
    found->names++;
    if (size < 5 || get_u16(data) != size - 2 || data[2] != NAME_IS_HOST ||
        get_u16(data + 3) != size - 5) {
        found->why = "its server name makes no sense";
        return;
    }
    const char *why = NULL;
    g_free(found->name);
    found->name = tb_host_parse((const char *)data + 5, size - 5, &why);
    if (!found->name)
        found->why = "its server name is no host name";
}

static int on_extension(void *context, unsigned number, const unsigned char *data, unsigned size)
{
    Found *found = context;
    if (number == EXT_ECH)
        found->why = "its true server name is encrypted (ECH)";
    else if (number == EXT_SERVER_NAME)
        read_name(found, data, size);
    return 0;
}

TbHelloResult tb_hello_parse(const uint8_t *data, size_t length, char **name, const char **why)
{
    *name = NULL;
    *why = NULL;
    g_autoptr(GByteArray) message = join_records(data, MIN(length, TB_HELLO_MAX), why);
    if (!message && !*why && length >= TB_HELLO_MAX)
        *why = "its first message is too long";
    if (!message)
        return *why ? TB_HELLO_BAD : TB_HELLO_MORE;
    Found found = {0};
    gnutls_datum_t body = {.data = message->data + MESSAGE_HEADER,
                           .size = message->len - MESSAGE_HEADER};
    int result =
        gnutls_ext_raw_parse(&found, on_extension, &body, GNUTLS_EXT_RAW_FLAG_TLS_CLIENT_HELLO);
    if (result < 0 && result != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
        found.why = "its first message makes no sense";
    else if (!found.why && found.names == 0)
        found.why = "it names no server (SNI)";
    else if (!found.why && found.names > 1)
        found.why = "it names several servers";
    if (found.why) {
        g_free(found.name);
        *why = found.why;
        return TB_HELLO_BAD;
    }
    *name = found.name;
    return TB_HELLO_NAME;
}
