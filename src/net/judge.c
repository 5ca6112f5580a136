/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a request wants, and whether it may. The name is taken apart once (net/policy.h), and what
 * was understood is what is resolved, connected to and told.
 *
 * There are four kinds: CONNECT; plain HTTP; what comes out of a CONNECT that is ended here, which
 * is for that host alone; and the gateway, http://127.0.0.1:3128/HOST/PATH, which means
 * https://HOST/PATH for a host that a secret is bound to.
 */
#include <string.h>

#include "net/proxy.h"
#include "net/secret.h"
#include "util/hole.h"

#define HTTPS 443
#define HTTP  80

#define DECODE_ROUNDS 4
#define PUSH          "git-receive-pack"

/* "name" or "name:port" is the target's. */
static bool host_is(const char *text, const char *host, int port, int default_port)
{
    const char *colon = text ? strrchr(text, ':') : NULL;
    size_t length = colon ? (size_t)(colon - text) : text ? strlen(text) : 0;
    g_autofree char *name = text ? tb_host_parse(text, length, NULL) : NULL;
    int named = colon ? (int)g_ascii_strtoll(colon + 1, NULL, 10) : default_port;
    return name && strcmp(name, host) == 0 && named == port;
}

static bool is_token(const char *text)
{
    static const char letters[] = G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "!#$%&'*+-.^_`|~";
    return *text && text[strspn(text, letters)] == '\0';
}

const char *tb_head_refused(const char *method, SoupMessageHeaders *headers)
{
    SoupMessageHeadersIter iter;
    const char *name, *value;
    if (!is_token(method))
        return "its method holds a byte that none has";
    soup_message_headers_iter_init(&iter, headers);
    while (soup_message_headers_iter_next(&iter, &name, &value)) {
        if (!is_token(name))
            return "the name of a header holds a byte that none has";
        for (; *value; value++)
            if (g_ascii_iscntrl(*value) && *value != '\t')
                return "a header holds a byte that none has";
    }
    return NULL;
}

static bool names_push(const char *text)
{
    g_autoptr(GString) now = g_string_new(text);
    for (int round = 0; round < DECODE_ROUNDS; round++) {
        g_string_ascii_down(now);
        if (memmem(now->str, now->len, PUSH, strlen(PUSH)))
            return true;
        if (!tb_undo_percent(now))
            return false;
    }
    return true; /* nobody in good faith escapes so often */
}

bool tb_is_push(const char *path, const char *query)
{
    return !tb_hole("git-push") && (names_push(path) || names_push(query));
}

static const char *bad_body(SoupServerMessage *message, GUri *uri)
{
    SoupMessageHeaders *headers = soup_server_message_get_request_headers(message);
    if (g_uri_get_userinfo(uri))
        return "there are credentials in the address";
    if (soup_message_headers_get_list(headers, "Transfer-Encoding") &&
        soup_message_headers_get_list(headers, "Content-Length"))
        return "the request has two lengths";
    if (tb_is_push(g_uri_get_path(uri), g_uri_get_query(uri)))
        return "git push is never carried";
    return NULL;
}

static const char *bad_plain(TbAsked *asked, SoupServerMessage *message, GUri *uri)
{
    SoupMessageHeaders *headers = soup_server_message_get_request_headers(message);
    if (strcmp(g_uri_get_scheme(uri), "http") != 0)
        return "only http:// and CONNECT are carried";
    if (!host_is(soup_message_headers_get_list(headers, "Host"), asked->event.host,
                 asked->event.port, HTTP))
        return "the header Host names another host";
    return bad_body(message, uri);
}

/* Inside of a CONNECT that is ended here. */
static const char *bad_ended(TbAsked *asked, const TbEnded *ended, SoupServerMessage *message,
                             GUri *uri)
{
    SoupMessageHeaders *headers = soup_server_message_get_request_headers(message);
    const char *raw = g_uri_get_host(uri);
    if (strcmp(soup_server_message_get_method(message), SOUP_METHOD_CONNECT) == 0)
        return "a CONNECT inside of another";
    if (!host_is(soup_message_headers_get_list(headers, "Host"), ended->host, ended->port, HTTPS))
        return "the header Host names another host";
    g_autofree char *host = tb_host_parse(raw ? raw : "", raw ? strlen(raw) : 0, NULL);
    if (!host || strcmp(host, ended->host) != 0)
        return "the request is for another host";
    return bad_body(message, uri);
}

/* "/HOST[:PORT]/PATH": the host into *asked, where the path begins into *path. */
static const char *read_gateway(TbAsked *asked, const TbVault *vault, GUri *uri, const char **path)
{
    const char *at = g_uri_get_path(uri);
    size_t length = *at == '/' ? strcspn(at + 1, "/") : 0;
    g_autofree char *text = g_strndup(at + (*at == '/'), length);
    *path = at + 1 + length;
    TbSecretHost *host = tb_secret_host_parse(text, NULL);
    if (!host)
        return "the gateway's paths begin with a host that a secret is bound to";
    g_free(asked->event.host);
    asked->event.host = g_strdup(host->host);
    asked->event.port = host->port;
    tb_secret_host_free(host);
    if (!tb_vault_binds(vault, asked->event.host, asked->event.port))
        return "no secret is bound to this host";
    return NULL;
}

static const char *bad_gateway(TbAsked *asked, SoupServerMessage *message, GUri *uri)
{
    SoupMessageHeaders *headers = soup_server_message_get_request_headers(message);
    const char *host = soup_message_headers_get_list(headers, "Host");
    if (strcmp(g_uri_get_scheme(uri), "http") != 0)
        return "only http:// and CONNECT are carried";
    if (!host || strcmp(host, TB_GATEWAY) != 0)
        return "the header Host names another host";
    return bad_body(message, uri);
}

static bool is_gateway(GUri *uri)
{
    g_autofree char *name = g_strdup_printf("%s:%d", g_uri_get_host(uri) ? g_uri_get_host(uri) : "",
                                            g_uri_get_port(uri));
    return strcmp(name, TB_GATEWAY) == 0;
}

/* What goes to the far end: address and headers. */
static char *make_request(TbAsked *asked, const TbVault *vault, SoupServerMessage *message,
                          GUri *uri, const char *path, bool build)
{
    g_autofree char *query = g_strdup(g_uri_get_query(uri));
    const char *raw = g_uri_get_host(uri);
    g_autofree char *target = g_strdup_printf("%s\n%s\n%s", soup_server_message_get_method(message),
                                              raw ? raw : "", g_uri_get_path(uri));
    asked->headers = soup_message_headers_new(SOUP_MESSAGE_HEADERS_REQUEST);
    char *why =
        tb_vault_send(vault, asked->secure ? asked->event.host : "", asked->event.port, target,
                      soup_server_message_get_request_headers(message), &query, asked->headers);
    bool is_default = asked->event.port == (asked->secure ? HTTPS : HTTP);
    if (!why && build)
        asked->uri = g_uri_build(SOUP_HTTP_URI_FLAGS, asked->secure ? "https" : "http", NULL,
                                 asked->event.host, is_default ? -1 : asked->event.port,
                                 *path ? path : "/", query, NULL);
    if (asked->secure)
        tb_secret_wipe(g_steal_pointer(&query));
    return why;
}

char *tb_judge(TbAsked *asked, SoupServerMessage *message)
{
    TbProxy *proxy = asked->proxy;
    const TbVault *vault = tb_proxy_vault(proxy);
    const TbEnded *ended = tb_proxy_ended(message);
    GUri *uri = soup_server_message_get_uri(message);
    const char *raw = g_uri_get_host(uri), *why = NULL, *path = g_uri_get_path(uri);
    bool tunnel = strcmp(soup_server_message_get_method(message), SOUP_METHOD_CONNECT) == 0;
    if (ended) {
        g_free(asked->event.host);
        asked->event.host = g_strdup(ended->host);
        asked->event.port = ended->port;
        asked->secure = true;
        why = bad_ended(asked, ended, message, uri);
    } else if (!tunnel && is_gateway(uri)) {
        asked->secure = true;
        why = bad_gateway(asked, message, uri);
        if (!why)
            why = read_gateway(asked, vault, uri, &path);
    } else {
        char *host = tb_host_parse(raw ? raw : "", raw ? strlen(raw) : 0, &why);
        if (host) {
            g_free(asked->event.host);
            asked->event.host = host;
        }
        if (host && !tunnel)
            why = bad_plain(asked, message, uri);
    }
    const char *head = tb_head_refused(soup_server_message_get_method(message),
                                       soup_server_message_get_request_headers(message));
    why = head ? head : why;
    g_autofree char *leak = make_request(asked, vault, message, uri, path, !why && !tunnel);
    if (leak)
        return g_steal_pointer(&leak);
    if (!why && !tb_net_policy_allows(tb_proxy_policy(proxy), asked->event.host, asked->event.port))
        why = "this host and port are not allowed (taskbox run --allow-host HOST:PORT)";
    return g_strdup(why);
}
