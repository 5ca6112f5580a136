/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The proxy of the egress process: HTTP by libsoup, one connection of the box each. What the files
 * of the process share: proxy.c (requests and their verdict), tunnel.c (CONNECT), forward.c (plain
 * HTTP), main-egress.c (life).
 */
#pragma once

#include <gio/gio.h>
#include <libsoup/soup.h>
#include <stdbool.h>

#include "net/policy.h"
#include "net/report.h"

typedef struct TbProxy TbProxy;

/* `report` is called with each line that is to be told. */
typedef void (*TbReportFn)(const char *line, void *data);
TbProxy *tb_proxy_new(TbNetPolicy *policy, TbReportFn report, void *data);
/* Tells of all that was still open. */
void tb_proxy_free(TbProxy *proxy);
/* Serves a connected socket of the box, which is then the proxy's. */
bool tb_proxy_take(TbProxy *proxy, int fd, GError **error);

/* One thing asked for, until its end is told. */
typedef struct {
    TbProxy *proxy;
    TbNetEvent event;
} TbAsked;

TbAsked *tb_asked_new(TbProxy *proxy, const char *what, const char *host, int port);
/* Tells the verdict and frees it. */
void tb_asked_end(TbAsked *asked, TbVerdict verdict, const char *reason);

/* The socket that a message came from; not yours. */
GSocket *tb_proxy_socket(SoupServerMessage *message);
/* An answer of our own: text for people. */
void tb_proxy_answer(SoupServerMessage *message, guint status, const char *text);

/* tunnel.c: `message` is a CONNECT that was allowed. */
void tb_tunnel_start(TbAsked *asked, SoupServerMessage *message);
/* forward.c: a request whose head was allowed; its body has not come yet. */
void tb_forward_start(TbAsked *asked, SoupServerMessage *message);
/* Whether a header is for one hop only, or for proxies. `connection` is the message's header
 * Connection, may be NULL. */
bool tb_header_stays(const char *name, const char *connection);
/* Whether a request is a push by git. Percent signs are looked through. */
bool tb_is_push(const char *path, const char *query);
