/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the egress process tells of each connection that was asked for: one line of text. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define TB_NET_LINE_MAX 1024

/* How reasons begin that are more than a refusal. */
#define TB_NET_PLACEHOLDER "the placeholder of " /* and the secret's name */
#define TB_NET_FOREIGN     "a key that is not the host's in "
#define TB_NET_BUDGET      "the task's budget "

/* Allowed: bytes went. Refused: the policy said no. Failed: allowed, but it did not come to pass.
 */
typedef enum { TB_NET_ALLOWED, TB_NET_REFUSED, TB_NET_FAILED } TbVerdict;
const char *tb_verdict_name(TbVerdict verdict);

typedef struct {
    int64_t time; /* ms since 1970: when it was asked for */
    char *what;   /* "CONNECT", or a method of HTTP */
    char *host;   /* as it was asked for; hostile */
    uint16_t port;
    TbVerdict verdict;
    char *reason; /* "" when it was allowed */
    uint64_t sent, received;
} TbNetEvent;

void tb_net_event_clear(TbNetEvent *event);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TbNetEvent, tb_net_event_clear)

/* Fields with tabs between them, everything escaped, no newline; at most TB_NET_LINE_MAX - 1 bytes.
 * g_free. */
char *tb_net_event_format(const TbNetEvent *event);
/* The way back; false when it is no such line. Texts are escaped again, so that they are printable
 * whoever wrote the line. */
bool tb_net_event_parse(const char *line, TbNetEvent *event);
