/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each request names what it wants; here is decided whether it may. The name is taken apart once
 * (net/policy.h), and what was understood is what is resolved and connected to.
 */
#include "net/proxy.h"

#include <string.h>
#include <unistd.h>

#include "util/error.h"

#define SOCKET_KEY "taskbox-socket"

struct TbProxy {
    SoupServer *server;
    TbNetPolicy *policy;
    TbReportFn report;
    void *data;
    GHashTable *open; /* of TbAsked * */
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

/* "name" or "name:port" is the target's. */
static bool host_is(const char *text, const char *host, int port)
{
    const char *colon = text ? strrchr(text, ':') : NULL;
    size_t length = colon ? (size_t)(colon - text) : text ? strlen(text) : 0;
    g_autofree char *name = text ? tb_host_parse(text, length, NULL) : NULL;
    int named = colon ? (int)g_ascii_strtoll(colon + 1, NULL, 10) : 80;
    return name && strcmp(name, host) == 0 && named == port;
}

static const char *bad_head(SoupServerMessage *message, GUri *uri, const char *host)
{
    SoupMessageHeaders *headers = soup_server_message_get_request_headers(message);
    if (strcmp(g_uri_get_scheme(uri), "http") != 0)
        return "only http:// and CONNECT are carried";
    if (g_uri_get_userinfo(uri))
        return "there are credentials in the address";
    int port = g_uri_get_port(uri) > 0 ? g_uri_get_port(uri) : 80;
    if (!host_is(soup_message_headers_get_list(headers, "Host"), host, port))
        return "the header Host names another host";
    if (soup_message_headers_get_list(headers, "Transfer-Encoding") &&
        soup_message_headers_get_list(headers, "Content-Length"))
        return "the request has two lengths";
    if (tb_is_push(g_uri_get_path(uri), g_uri_get_query(uri)))
        return "git push is never carried";
    return NULL;
}

/* When the head of a request has come. With a status set here nothing else is called. */
static void on_head(SoupServer *server, SoupServerMessage *message, const char *path,
                    GHashTable *query, gpointer data)
{
    TbProxy *proxy = data;
    GUri *uri = soup_server_message_get_uri(message);
    const char *method = soup_server_message_get_method(message);
    bool tunnel = strcmp(method, SOUP_METHOD_CONNECT) == 0;
    const char *raw = g_uri_get_host(uri), *why = NULL;
    int port = g_uri_get_port(uri) > 0 ? g_uri_get_port(uri) : tunnel ? 443 : 80;
    TbAsked *asked = tb_asked_new(proxy, method, raw, port);
    g_autofree char *host = tb_host_parse(raw ? raw : "", raw ? strlen(raw) : 0, &why);
    if (host && !tunnel)
        why = bad_head(message, uri, host);
    if (host && !why && !tb_net_policy_allows(proxy->policy, host, (uint16_t)port))
        why = "this host and port are not allowed (taskbox run --allow-host HOST:PORT)";
    if (why) {
        refuse(asked, message, why);
        return;
    }
    g_free(asked->event.host);
    asked->event.host = g_steal_pointer(&host);
    if (tunnel)
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

/* ---- life */

TbProxy *tb_proxy_new(TbNetPolicy *policy, TbReportFn report, void *data)
{
    TbProxy *proxy = g_new0(TbProxy, 1);
    proxy->policy = policy;
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

bool tb_proxy_take(TbProxy *proxy, int fd, GError **error)
{
    g_autoptr(GSocket) socket = g_socket_new_from_fd(fd, error);
    if (!socket) {
        close(fd);
        return false;
    }
    g_autoptr(GSocketConnection) connection = g_socket_connection_factory_create_connection(socket);
    /* libsoup wants addresses; a pair of sockets has none. It gives this one back with each
     * message, which is how a message is told from which socket it came. */
    g_autoptr(GSocketAddress) address = g_inet_socket_address_new_from_string("127.0.0.1", 0);
    g_object_set_data_full(G_OBJECT(address), SOCKET_KEY, g_object_ref(socket), g_object_unref);
    return soup_server_accept_iostream(proxy->server, G_IO_STREAM(connection), address, address,
                                       error);
}
