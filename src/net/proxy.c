/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections come in, requests out of them, and what becomes of each is told. */
#include "net/proxy.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "util/error.h"

#define SOCKET_KEY "taskbox-socket"
#define ENDED_KEY  "taskbox-ended"

struct TbProxy {
    SoupServer *server;
    const TbNetPolicy *policy;
    const TbVault *vault;
    TbReportFn report;
    void *data;
    uint64_t requests, bytes; /* so far */
    const char *over;         /* why the task may do no more; NULL: it may */
    GHashTable *open;         /* of TbAsked * */
};

/* ---- what is told */

TbAsked *tb_asked_new(TbProxy *proxy, const char *what, const char *host, int port)
{
    TbAsked *asked = g_new0(TbAsked, 1);
    asked->proxy = proxy;
    asked->event = (TbNetEvent){.time = g_get_real_time() / 1000,
                                .what = g_strdup(what),
                                .host = g_strdup(host ? host : ""),
                                .port = (uint16_t)CLAMP(port, 0, 65535)};
    g_hash_table_add(proxy->open, asked);
    return asked;
}

static void tell(TbAsked *asked)
{
    g_autofree char *line = tb_net_event_format(&asked->event);
    asked->proxy->report(line, asked->proxy->data);
}

static void asked_free(void *data)
{
    TbAsked *asked = data;
    tb_net_event_clear(&asked->event);
    g_clear_pointer(&asked->uri, g_uri_unref);
    g_clear_pointer(&asked->headers, soup_message_headers_unref);
    g_free(asked);
}

void tb_asked_end(TbAsked *asked, TbVerdict verdict, const char *reason)
{
    asked->event.verdict = verdict;
    g_free(asked->event.reason);
    asked->event.reason = g_strdup(reason);
    tell(asked);
    g_hash_table_remove(asked->proxy->open, asked);
}

const char *tb_asked_count(TbAsked *asked, bool sent, uint64_t bytes)
{
    TbProxy *proxy = asked->proxy;
    *(sent ? &asked->event.sent : &asked->event.received) += bytes;
    proxy->bytes += bytes;
    if (!proxy->over && proxy->policy->bytes && proxy->bytes > proxy->policy->bytes)
        proxy->over = TB_NET_BUDGET "of bytes is used up (limit 'net-bytes')";
    return proxy->over;
}

uint64_t tb_headers_size(SoupMessageHeaders *headers)
{
    SoupMessageHeadersIter iter;
    const char *name, *value;
    uint64_t size = 0;
    soup_message_headers_iter_init(&iter, headers);
    while (soup_message_headers_iter_next(&iter, &name, &value))
        size += strlen(name) + strlen(value) + strlen(": \r\n");
    return size;
}

bool tb_asked_left(TbAsked *asked, GSocket *client)
{
    struct pollfd end = {.fd = g_socket_get_fd(client), .events = POLLRDHUP};
    uint64_t moved = 1 + asked->event.sent + asked->event.received;
    bool gone = poll(&end, 1, 0) > 0;
    bool left = gone && asked->moved == moved;
    asked->moved = gone ? moved : 0;
    return left;
}

/* ---- the verdict */

void tb_proxy_answer(SoupServerMessage *message, guint status, const char *text)
{
    g_autofree char *body = g_strdup_printf("taskbox: %s\n", text);
    SoupMessageHeaders *headers = soup_server_message_get_response_headers(message);
    soup_message_headers_replace(headers, "Connection", "close");
    soup_server_message_set_status(message, status, NULL);
    soup_server_message_set_response(message, "text/plain; charset=utf-8", SOUP_MEMORY_COPY, body,
                                     strlen(body));
}

static void refuse(TbAsked *asked, SoupServerMessage *message, const char *reason)
{
    g_autofree char *text = g_strdup_printf("refused: %s", reason);
    tb_proxy_answer(message, SOUP_STATUS_FORBIDDEN, text);
    tb_asked_end(asked, TB_NET_REFUSED, reason);
}

/* A request is one that goes to a far end: a CONNECT that is ended here goes nowhere yet. */
static const char *count_request(TbProxy *proxy)
{
    uint64_t most = proxy->policy->requests;
    if (most == 0 || proxy->requests < most) {
        proxy->requests++;
        return proxy->over;
    }
    proxy->over = TB_NET_BUDGET "of requests is used up (limit 'requests')";
    return proxy->over;
}

/* Of a request that is made again. By the box's own words: how a value is escaped is not told. */
static const char *count_head(TbAsked *asked, SoupServerMessage *message)
{
    GUri *uri = soup_server_message_get_uri(message);
    const char *query = g_uri_get_query(uri);
    return tb_asked_count(asked, true,
                          strlen(soup_server_message_get_method(message)) +
                              strlen(g_uri_get_path(uri)) + (query ? strlen(query) + 1 : 0) +
                              strlen("  HTTP/1.1\r\n\r\n") + tb_headers_size(asked->headers));
}

/* When the head of a request has come. With a status set here nothing else is called. */
static void on_head(SoupServer *server, SoupServerMessage *message, const char *path,
                    GHashTable *query, gpointer data)
{
    TbProxy *proxy = data;
    GUri *uri = soup_server_message_get_uri(message);
    const char *method = soup_server_message_get_method(message);
    bool tunnel = strcmp(method, SOUP_METHOD_CONNECT) == 0;
    int port = g_uri_get_port(uri) > 0 ? g_uri_get_port(uri) : tunnel ? 443 : 80;
    TbAsked *asked = tb_asked_new(proxy, method, g_uri_get_host(uri), port);
    g_autofree char *why = tb_judge(asked, message);
    bool ends =
        !why && tunnel && tb_vault_binds(proxy->vault, asked->event.host, asked->event.port);
    const char *over = !why && !ends ? count_request(proxy) : NULL;
    if (!why && !over && !tunnel)
        over = count_head(asked, message);
    if (why || over)
        refuse(asked, message, why ? why : over);
    else if (ends)
        tb_ended_start(asked, message,
                       tb_authority_certificate(proxy->vault->authority, asked->event.host));
    else if (tunnel)
        tb_tunnel_start(asked, message);
    else
        tb_forward_start(asked, message);
}

/* When all of a request has come: its answer has not. */
static void on_request(SoupServer *server, SoupServerMessage *message, const char *path,
                       GHashTable *query, gpointer data)
{
    soup_server_message_pause(message);
}

GSocket *tb_proxy_socket(SoupServerMessage *message)
{
    GSocketAddress *address = soup_server_message_get_remote_address(message);
    return g_object_get_data(G_OBJECT(address), SOCKET_KEY);
}

const TbEnded *tb_proxy_ended(SoupServerMessage *message)
{
    GSocketAddress *address = soup_server_message_get_remote_address(message);
    return g_object_get_data(G_OBJECT(address), ENDED_KEY);
}

const TbNetPolicy *tb_proxy_policy(const TbProxy *proxy)
{
    return proxy->policy;
}

const TbVault *tb_proxy_vault(const TbProxy *proxy)
{
    return proxy->vault;
}

/* ---- life */

TbProxy *tb_proxy_new(const TbNetPolicy *policy, const TbVault *vault, TbReportFn report,
                      void *data)
{
    TbProxy *proxy = g_new0(TbProxy, 1);
    proxy->policy = policy;
    proxy->vault = vault;
    proxy->report = report;
    proxy->data = data;
    proxy->open = g_hash_table_new_full(NULL, NULL, asked_free, NULL);
    proxy->server = soup_server_new("raw-paths", TRUE, NULL);
    soup_server_add_early_handler(proxy->server, NULL, on_head, proxy, NULL);
    soup_server_add_handler(proxy->server, NULL, on_request, proxy, NULL);
    return proxy;
}

void tb_proxy_free(TbProxy *proxy)
{
    GHashTableIter iter;
    gpointer asked;
    g_hash_table_iter_init(&iter, proxy->open);
    while (g_hash_table_iter_next(&iter, &asked, NULL))
        tell(asked);
    g_object_unref(proxy->server);
    g_hash_table_unref(proxy->open);
    g_free(proxy);
}

static void ended_free(void *data)
{
    g_free(((TbEnded *)data)->host);
    g_free(data);
}

bool tb_proxy_accept(TbProxy *proxy, GIOStream *stream, GSocket *socket, const TbEnded *ended,
                     GError **error)
{
    /* libsoup wants addresses; a pair of sockets has none. It gives this one back with each
     * message, which is how a message is told from which connection it came. */
    g_autoptr(GSocketAddress) address = g_inet_socket_address_new_from_string("127.0.0.1", 0);
    g_object_set_data_full(G_OBJECT(address), SOCKET_KEY, g_object_ref(socket), g_object_unref);
    if (ended) {
        TbEnded *copy = g_new(TbEnded, 1);
        *copy = (TbEnded){g_strdup(ended->host), ended->port};
        g_object_set_data_full(G_OBJECT(address), ENDED_KEY, copy, ended_free);
    }
    return soup_server_accept_iostream(proxy->server, stream, address, address, error);
}

bool tb_proxy_take(TbProxy *proxy, int fd, GError **error)
{
    g_autoptr(GSocket) socket = g_socket_new_from_fd(fd, error);
    if (!socket) {
        close(fd);
        return false;
    }
    g_autoptr(GSocketConnection) connection = g_socket_connection_factory_create_connection(socket);
    return tb_proxy_accept(proxy, G_IO_STREAM(connection), socket, NULL, error);
}
