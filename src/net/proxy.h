/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The proxy of the egress process: HTTP by libsoup, one connection of the box each. What the files
 * of the process share: proxy.c (connections and what is told), judge.c (a request's verdict),
 * tunnel.c (CONNECT), ended.c (CONNECT whose TLS ends here), forward.c (requests), vault.c
 * (secrets), main-egress.c (life).
 */
#pragma once

#include <gio/gio.h>
#include <libsoup/soup.h>
#include <stdbool.h>

#include "net/policy.h"
#include "net/report.h"
#include "net/vault.h"

/* Where the box finds the gateway (docs/network.md): the proxy's own address. */
#define TB_GATEWAY "127.0.0.1:3128"

typedef struct TbProxy TbProxy;

/* What a connection that comes out of an ended CONNECT is for. */
typedef struct {
    char *host;
    uint16_t port;
} TbEnded;

/* `report` is called with each line that is to be told. */
typedef void (*TbReportFn)(const char *line, void *data);
/* Policy and vault (NULL: no secrets) stay the caller's. */
TbProxy *tb_proxy_new(const TbNetPolicy *policy, const TbVault *vault, TbReportFn report,
                      void *data);
/* Tells of all that was still open. */
void tb_proxy_free(TbProxy *proxy);
/* Serves a connected socket of the box, which is then the proxy's. */
bool tb_proxy_take(TbProxy *proxy, int fd, GError **error);
/* Serves `stream`, whose bytes come over `socket` in the end; `ended` (copied) may be NULL. */
bool tb_proxy_accept(TbProxy *proxy, GIOStream *stream, GSocket *socket, const TbEnded *ended,
                     GError **error);
const TbNetPolicy *tb_proxy_policy(const TbProxy *proxy);
const TbVault *tb_proxy_vault(const TbProxy *proxy);

/* One thing asked for, until its end is told. */
typedef struct {
    TbProxy *proxy;
    TbNetEvent event;
    bool secure;                 /* over HTTPS, to a host that a secret is bound to */
    GUri *uri;                   /* of the request to the far end; NULL with CONNECT */
    SoupMessageHeaders *headers; /* its headers */
    uint64_t moved;              /* bytes, when its client was last seen to be gone */
} TbAsked;

TbAsked *tb_asked_new(TbProxy *proxy, const char *what, const char *host, int port);
/* Tells the verdict and frees it. */
void tb_asked_end(TbAsked *asked, TbVerdict verdict, const char *reason);
/* Counts bytes that went. Why no more may go (static): the task's budget is used up; else NULL. */
const char *tb_asked_count(TbAsked *asked, bool sent, uint64_t bytes);

/* How long headers are as they are sent; heads count, too. */
uint64_t tb_headers_size(SoupMessageHeaders *headers);
/* To be called every TB_LEFT_SECONDS: whether the client sends no more (whoever closes a connection
 * cannot say more of it than that), and nothing has moved since the last time that was so. */
#define TB_LEFT_SECONDS 10
bool tb_asked_left(TbAsked *asked, GSocket *client);

/* The socket that a message came from; not yours. */
GSocket *tb_proxy_socket(SoupServerMessage *message);
/* What its connection is for; NULL: an ordinary one. */
const TbEnded *tb_proxy_ended(SoupServerMessage *message);
/* An answer of our own: text for people. */
void tb_proxy_answer(SoupServerMessage *message, guint status, const char *text);

/* judge.c: why a request is refused (g_free); NULL when it is allowed: what it is for is in *asked
 * then. */
char *tb_judge(TbAsked *asked, SoupServerMessage *message);
/* Whether a request is a push by git. Percent signs are looked through. */
bool tb_is_push(const char *path, const char *query);
/* Why a head is refused as it stands (static), NULL: it is not. libsoup takes any byte but a blank
 * in a method, a line's end too, and writes it again: others would read another request there. */
const char *tb_head_refused(const char *method, SoupMessageHeaders *headers);
/* tunnel.c: `message` is a CONNECT that was allowed. */
void tb_tunnel_start(TbAsked *asked, SoupServerMessage *message);
/* ended.c: the same to a host that a secret is bound to. */
void tb_ended_start(TbAsked *asked, SoupServerMessage *message, GTlsCertificate *certificate);
/* forward.c: a request whose head was allowed; its body has not come yet. */
void tb_forward_start(TbAsked *asked, SoupServerMessage *message);
/* Whether a header is for one hop only, or for proxies. `connection` is the message's header
 * Connection, may be NULL. */
bool tb_header_stays(const char *name, const char *connection);
