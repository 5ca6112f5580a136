/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plain HTTP request, made again for the far end: method, path, the headers that are not for one
 * hop, and the body as it comes. libsoup writes and reads both messages anew, so that the two sides
 * cannot understand one message in two ways; a redirect is the client's business.
 *
 * Bodies are never whole in memory: the next piece of one is asked for when the last one is gone.
 */
#include "net/proxy.h"

#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "net/connect.h"
#include "util/error.h"
#include "util/hole.h"

#define CHUNK           65536
#define CONNECT_SECONDS 30
#define DECODE_ROUNDS   4

typedef struct {
    TbAsked *asked; /* NULL once it was told */
    SoupServerMessage *message;
    SoupSession *session;
    SoupMessage *request;
    GInputStream *answer;
    GOutputStream *upload; /* a pipe to the request's body */
    bool answered;         /* its head was given to the client */
    bool finished;         /* the client's side is over */
    unsigned calls;        /* under way */
} Forward;

/* ---- what goes on */

/* One name is in two parts because of a spelling checker. */
static const char *const one_hop[] = {"Connection",
                                      "Keep-Alive",
                                      "Trailer",
                                      "T"
                                      "E",
                                      "Upgrade",
                                      "Transfer-Encoding",
                                      "Expect",
                                      "Host",
                                      "Alt-Svc",
                                      "Content-Length",
                                      "HTTP2-Settings",
                                      NULL};

static bool is_listed(const char *name, const char *list)
{
    g_auto(GStrv) words = g_strsplit(list, ",", -1);
    for (char **word = words; *word; word++)
        if (g_ascii_strcasecmp(g_strstrip(*word), name) == 0)
            return true;
    return false;
}

bool tb_header_stays(const char *name, const char *connection)
{
    if (g_ascii_strncasecmp(name, "Proxy-", 6) == 0)
        return true;
    for (const char *const *known = one_hop; *known; known++)
        if (g_ascii_strcasecmp(name, *known) == 0)
            return true;
    return connection && is_listed(name, connection);
}

static bool names_push(const char *text)
{
    g_autofree char *now = g_ascii_strdown(text ? text : "", -1);
    for (int round = 0; round < DECODE_ROUNDS; round++) {
        if (strstr(now, "git-receive-pack"))
            return true;
        g_autofree char *next = g_uri_unescape_string(now, NULL);
        if (!next || strcmp(next, now) == 0)
            return !next && strchr(now, '%') && strstr(now, "receive");
        g_free(now);
        now = g_ascii_strdown(next, -1);
    }
    return true; /* nobody in good faith escapes so often */
}

bool tb_is_push(const char *path, const char *query)
{
    return !tb_hole("git-push") && (names_push(path) || names_push(query));
}

static void copy_headers(SoupMessageHeaders *from, SoupMessageHeaders *to)
{
    const char *connection = soup_message_headers_get_list(from, "Connection");
    SoupMessageHeadersIter iter;
    const char *name, *value;
    soup_message_headers_iter_init(&iter, from);
    while (soup_message_headers_iter_next(&iter, &name, &value))
        if (!tb_header_stays(name, connection))
            soup_message_headers_append(to, name, value);
}

/* ---- the end */

static void tell(Forward *forward, TbVerdict verdict, const char *reason)
{
    if (forward->asked)
        tb_asked_end(forward->asked, verdict, reason);
    forward->asked = NULL;
}

static void release(Forward *forward)
{
    if (--forward->calls > 0)
        return;
    tell(forward, TB_NET_FAILED, "the client has hung up");
    g_signal_handlers_disconnect_by_data(forward->message, forward);
    if (forward->session)
        soup_session_abort(forward->session);
    g_clear_object(&forward->answer);
    g_clear_object(&forward->upload);
    g_clear_object(&forward->request);
    g_clear_object(&forward->session);
    g_clear_object(&forward->message);
    g_free(forward);
}

/* Before its head an answer of ours takes its place; after it only an end that nobody can take for
 * a good one is left. */
static void fail(Forward *forward, TbVerdict verdict, const char *reason)
{
    if (!forward->finished && !forward->answered) {
        g_autofree char *text = g_strdup_printf(
            "%s: %s", verdict == TB_NET_REFUSED ? "refused" : "cannot connect", reason);
        tb_proxy_answer(forward->message,
                        verdict == TB_NET_REFUSED ? SOUP_STATUS_FORBIDDEN : SOUP_STATUS_BAD_GATEWAY,
                        text);
        forward->answered = true;
        soup_server_message_unpause(forward->message);
    } else if (!forward->finished) {
        g_socket_shutdown(tb_proxy_socket(forward->message), TRUE, TRUE, NULL);
        soup_server_message_unpause(forward->message);
    }
    tell(forward, verdict, reason);
}

static void on_finished(SoupServerMessage *message, gpointer data)
{
    Forward *forward = data;
    forward->finished = true;
    if (forward->session)
        soup_session_abort(forward->session);
    g_clear_object(&forward->upload);
    release(forward);
}

/* ---- the answer */

/* Whether less has come than was promised; libsoup takes an end for an end. */
static bool is_cut(const Forward *forward)
{
    SoupMessageHeaders *headers = soup_message_get_response_headers(forward->request);
    if (!forward->asked ||
        soup_message_headers_get_encoding(headers) != SOUP_ENCODING_CONTENT_LENGTH ||
        strcmp(soup_message_get_method(forward->request), SOUP_METHOD_HEAD) == 0 ||
        soup_message_get_status(forward->request) == SOUP_STATUS_NOT_MODIFIED)
        return false;
    return forward->asked->event.received <
           (uint64_t)soup_message_headers_get_content_length(headers);
}

static void on_answer_bytes(GObject *source, GAsyncResult *result, gpointer data)
{
    Forward *forward = data;
    g_autoptr(GError) why = NULL;
    g_autoptr(GBytes) bytes =
        g_input_stream_read_bytes_finish(G_INPUT_STREAM(source), result, &why);
    if (!forward->finished && !bytes) {
        fail(forward, TB_NET_FAILED, "the host has hung up");
    } else if (!forward->finished) {
        SoupMessageBody *body = soup_server_message_get_response_body(forward->message);
        if (forward->asked)
            forward->asked->event.received += g_bytes_get_size(bytes);
        if (g_bytes_get_size(bytes) > 0) {
            soup_message_body_append_bytes(body, bytes);
        } else if (is_cut(forward)) {
            fail(forward, TB_NET_FAILED, "the host has hung up");
        } else {
            soup_message_body_complete(body);
            tell(forward, TB_NET_ALLOWED, "");
        }
        soup_server_message_unpause(forward->message);
    }
    release(forward);
}

static void read_answer(Forward *forward)
{
    forward->calls++;
    g_input_stream_read_bytes_async(forward->answer, CHUNK, G_PRIORITY_DEFAULT, NULL,
                                    on_answer_bytes, forward);
}

/* The client's side has taken all that there was. */
static void on_wrote(SoupServerMessage *message, gpointer data)
{
    Forward *forward = data;
    if (!forward->answer || !forward->asked)
        return;
    soup_server_message_pause(message);
    read_answer(forward);
}

static void give_head(Forward *forward)
{
    SoupMessageHeaders *from = soup_message_get_response_headers(forward->request);
    SoupMessageHeaders *to = soup_server_message_get_response_headers(forward->message);
    copy_headers(from, to);
    if (soup_message_headers_get_encoding(from) == SOUP_ENCODING_CONTENT_LENGTH)
        soup_message_headers_set_content_length(to, soup_message_headers_get_content_length(from));
    else if (soup_server_message_get_http_version(forward->message) == SOUP_HTTP_1_0)
        soup_message_headers_set_encoding(to, SOUP_ENCODING_EOF);
    else
        soup_message_headers_set_encoding(to, SOUP_ENCODING_CHUNKED);
    soup_server_message_set_status(forward->message, soup_message_get_status(forward->request),
                                   soup_message_get_reason_phrase(forward->request));
    soup_message_body_set_accumulate(soup_server_message_get_response_body(forward->message),
                                     FALSE);
    forward->answered = true;
    g_signal_connect(forward->message, "wrote-headers", G_CALLBACK(on_wrote), forward);
    g_signal_connect(forward->message, "wrote-chunk", G_CALLBACK(on_wrote), forward);
    soup_server_message_unpause(forward->message);
}

static void on_head(GObject *source, GAsyncResult *result, gpointer data)
{
    Forward *forward = data;
    g_autoptr(GError) why = NULL;
    forward->answer = soup_session_send_finish(SOUP_SESSION(source), result, &why);
    if (!forward->finished && !forward->answer)
        fail(forward, TB_NET_FAILED, why->message);
    else if (!forward->finished)
        give_head(forward);
    release(forward);
}

/* ---- the request's body */

static void on_uploaded(GObject *source, GAsyncResult *result, gpointer data)
{
    Forward *forward = data;
    gsize written = 0;
    bool ok = g_output_stream_write_all_finish(G_OUTPUT_STREAM(source), result, &written, NULL);
    if (forward->asked)
        forward->asked->event.sent += written;
    if (!ok)
        g_clear_object(&forward->upload);
    if (!forward->finished)
        soup_server_message_unpause(forward->message);
    release(forward);
}

static void on_chunk(SoupServerMessage *message, GBytes *chunk, gpointer data)
{
    Forward *forward = data;
    if (!forward->upload)
        return;
    forward->calls++;
    soup_server_message_pause(message);
    g_object_set_data_full(G_OBJECT(message), "taskbox-chunk", g_bytes_ref(chunk),
                           (GDestroyNotify)g_bytes_unref);
    g_output_stream_write_all_async(forward->upload, g_bytes_get_data(chunk, NULL),
                                    g_bytes_get_size(chunk), G_PRIORITY_DEFAULT, NULL, on_uploaded,
                                    forward);
}

static void on_body(SoupServerMessage *message, gpointer data)
{
    Forward *forward = data;
    g_clear_object(&forward->upload); /* its reader sees the end */
}

static bool has_body(SoupMessageHeaders *headers)
{
    SoupEncoding encoding = soup_message_headers_get_encoding(headers);
    return encoding == SOUP_ENCODING_CHUNKED ||
           (encoding == SOUP_ENCODING_CONTENT_LENGTH &&
            soup_message_headers_get_content_length(headers) > 0);
}

static bool attach_body(Forward *forward, GError **error)
{
    SoupMessageHeaders *headers = soup_server_message_get_request_headers(forward->message);
    int ends[2];
    if (!has_body(headers))
        return true;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return tb_error_set_errno(error, errno, "cannot make a pipe");
    g_autoptr(GInputStream) in = g_unix_input_stream_new(ends[0], TRUE);
    forward->upload = g_unix_output_stream_new(ends[1], TRUE);
    bool sized = soup_message_headers_get_encoding(headers) == SOUP_ENCODING_CONTENT_LENGTH;
    soup_message_set_request_body(forward->request,
                                  soup_message_headers_get_one(headers, "Content-Type"), in,
                                  sized ? soup_message_headers_get_content_length(headers) : -1);
    soup_message_body_set_accumulate(soup_server_message_get_request_body(forward->message), FALSE);
    g_signal_connect(forward->message, "got-chunk", G_CALLBACK(on_chunk), forward);
    g_signal_connect(forward->message, "got-body", G_CALLBACK(on_body), forward);
    return true;
}

/* ---- making it */

static SoupSession *make_session(GSocketConnectable *pinned)
{
    SoupSession *session = g_object_new(SOUP_TYPE_SESSION, "remote-connectable", pinned,
                                        "proxy-resolver", NULL, "max-conns", 1, "timeout", 0, NULL);
    soup_session_remove_feature_by_type(session, SOUP_TYPE_CONTENT_DECODER);
    soup_session_remove_feature_by_type(session, SOUP_TYPE_AUTH_MANAGER);
    return session;
}

static void send_request(Forward *forward)
{
    g_autoptr(GError) why = NULL;
    SoupMessageHeaders *from = soup_server_message_get_request_headers(forward->message);
    forward->request = soup_message_new_from_uri(soup_server_message_get_method(forward->message),
                                                 soup_server_message_get_uri(forward->message));
    soup_message_add_flags(forward->request,
                           SOUP_MESSAGE_NO_REDIRECT | SOUP_MESSAGE_DO_NOT_USE_AUTH_CACHE);
    soup_message_disable_feature(forward->request, SOUP_TYPE_CONTENT_SNIFFER);
    if (!attach_body(forward, &why)) {
        fail(forward, TB_NET_FAILED, why->message);
        return;
    }
    SoupMessageHeaders *to = soup_message_get_request_headers(forward->request);
    soup_message_headers_remove(to, "Content-Type");
    copy_headers(from, to);
    soup_message_headers_replace(to, "Connection", "close");
    forward->calls++;
    soup_session_send_async(forward->session, forward->request, G_PRIORITY_DEFAULT, NULL, on_head,
                            forward);
    soup_server_message_unpause(forward->message); /* its body may come */
}

static void on_resolved(GObject *source, GAsyncResult *result, gpointer data)
{
    Forward *forward = data;
    g_autoptr(GError) why = NULL;
    g_autoptr(GSocketConnectable) pinned = tb_net_resolve_finish(result, &why);
    if (!forward->finished && !pinned) {
        bool refused = g_error_matches(why, TB_ERROR, TB_ERROR_DENIED);
        fail(forward, refused ? TB_NET_REFUSED : TB_NET_FAILED, why->message);
    } else if (!forward->finished) {
        forward->session = make_session(pinned);
        send_request(forward);
    }
    release(forward);
}

void tb_forward_start(TbAsked *asked, SoupServerMessage *message)
{
    Forward *forward = g_new0(Forward, 1);
    forward->asked = asked;
    forward->message = g_object_ref(message);
    forward->calls = 2; /* the look-up, and the client's side */
    g_signal_connect(message, "finished", G_CALLBACK(on_finished), forward);
    soup_server_message_pause(message);
    tb_net_resolve(asked->event.host, asked->event.port, NULL, on_resolved, forward);
}
