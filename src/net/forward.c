/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A request, made again for the far end: method, path, the headers that are not for one hop, and
 * the body as it comes. libsoup writes and reads both messages anew, so that the two sides cannot
 * understand one message in two ways; a redirect is the client's business. Where a secret is bound
 * (net/vault.h) that goes over HTTPS, and its value is taken out of the answer.
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

#define CHUNK           65536
#define CONNECT_SECONDS 30

typedef struct {
    TbAsked *asked; /* NULL once it was told */
    SoupServerMessage *message;
    SoupSession *session;
    SoupMessage *request;
    GInputStream *answer;
    GOutputStream *upload; /* a pipe to the request's body */
    GCancellable *stop;    /* of what is being written to it */
    const TbVault *vault;  /* NULL: no secrets */
    bool secure;           /* the answer may hold a value */
    TbStream up, down;     /* what is looked through */
    GByteArray *seen;      /* what may go on of a piece */
    bool answered;         /* its head was given to the client */
    bool finished;         /* the client's side is over */
    uint64_t came;         /* of the answer's body */
    unsigned calls;        /* under way */
    guint watch;           /* a timer */
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
    g_source_remove(forward->watch);
    g_signal_handlers_disconnect_by_data(forward->message, forward);
    if (forward->session)
        soup_session_abort(forward->session);
    g_clear_object(&forward->answer);
    g_clear_object(&forward->upload);
    g_clear_object(&forward->stop);
    g_clear_object(&forward->request);
    g_clear_object(&forward->session);
    g_clear_object(&forward->message);
    tb_stream_clear(&forward->up);
    tb_stream_clear(&forward->down);
    g_byte_array_unref(forward->seen);
    g_free(forward);
}

/* Nobody takes the body any more; the far end must not take what it has for the whole. */
static void drop_upload(Forward *forward)
{
    if (forward->upload && forward->session)
        soup_session_abort(forward->session);
    g_cancellable_cancel(forward->stop);
    g_clear_object(&forward->upload);
}

/* Before its head an answer of ours takes its place; after it only an end that nobody can take for
 * a good one is left. */
static void fail(Forward *forward, TbVerdict verdict, const char *reason)
{
    drop_upload(forward);
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
        /* Nothing of it goes out; libsoup would wait for more of a body that has no end. */
        soup_message_body_complete(soup_server_message_get_response_body(forward->message));
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
    drop_upload(forward);
    release(forward);
}

static gboolean on_watch(gpointer data)
{
    Forward *forward = data;
    if (!forward->finished && forward->asked &&
        tb_asked_left(forward->asked, tb_proxy_socket(forward->message)))
        fail(forward, TB_NET_FAILED, "the client has hung up");
    return G_SOURCE_CONTINUE;
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
    return forward->came < (uint64_t)soup_message_headers_get_content_length(headers);
}

static void read_answer(Forward *forward);

/* A piece of the answer, none at its end. False: nothing has gone on of it. */
static bool give_piece(Forward *forward, GBytes *bytes)
{
    SoupMessageBody *body = soup_server_message_get_response_body(forward->message);
    gsize size = g_bytes_get_size(bytes);
    if (!forward->secure) {
        if (size > 0)
            soup_message_body_append_bytes(body, bytes);
        return size > 0;
    }
    g_byte_array_set_size(forward->seen, 0);
    tb_stream_push(&forward->down, g_bytes_get_data(bytes, NULL), size, size == 0, true,
                   forward->seen);
    if (forward->seen->len == 0)
        return false;
    soup_message_body_append(body, SOUP_MEMORY_COPY, forward->seen->data, forward->seen->len);
    return true;
}

static void take_piece(Forward *forward, GBytes *bytes)
{
    gsize size = g_bytes_get_size(bytes);
    const char *over = forward->asked ? tb_asked_count(forward->asked, false, size) : NULL;
    forward->came += size;
    bool cut = size == 0 && is_cut(forward);
    if (over || cut) {
        fail(forward, over ? TB_NET_REFUSED : TB_NET_FAILED, over ? over : "the host has hung up");
        return;
    }
    bool gave = give_piece(forward, bytes);
    if (size > 0 && !gave) {
        read_answer(forward); /* all of it may be the beginning of a value */
        return;
    }
    if (size == 0) {
        soup_message_body_complete(soup_server_message_get_response_body(forward->message));
        tell(forward, TB_NET_ALLOWED, "");
    }
    soup_server_message_unpause(forward->message);
}

static void on_answer_bytes(GObject *source, GAsyncResult *result, gpointer data)
{
    Forward *forward = data;
    g_autoptr(GError) why = NULL;
    g_autoptr(GBytes) bytes =
        g_input_stream_read_bytes_finish(G_INPUT_STREAM(source), result, &why);
    if (!forward->finished && !bytes)
        fail(forward, TB_NET_FAILED, "the host has hung up");
    else if (!forward->finished)
        take_piece(forward, bytes);
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
    tb_vault_receive(forward->secure ? forward->vault : NULL, from, to);
    /* libsoup ends the connection of a server that does not listen; then it must be said. */
    soup_message_headers_replace(to, "Connection", "close");
    if (soup_message_headers_get_encoding(from) == SOUP_ENCODING_CONTENT_LENGTH)
        soup_message_headers_set_content_length(to, soup_message_headers_get_content_length(from));
    else if (soup_server_message_get_http_version(forward->message) == SOUP_HTTP_1_0)
        soup_message_headers_set_encoding(to, SOUP_ENCODING_EOF);
    else
        soup_message_headers_set_encoding(to, SOUP_ENCODING_CHUNKED);
    soup_server_message_set_status(
        forward->message, soup_message_get_status(forward->request),
        forward->secure ? NULL : soup_message_get_reason_phrase(forward->request));
    soup_message_body_set_accumulate(soup_server_message_get_response_body(forward->message),
                                     FALSE);
    forward->answered = true;
    g_signal_connect(forward->message, "wrote-headers", G_CALLBACK(on_wrote), forward);
    g_signal_connect(forward->message, "wrote-chunk", G_CALLBACK(on_wrote), forward);
    soup_server_message_unpause(forward->message);
}

static const char *count_head(Forward *forward)
{
    SoupMessageHeaders *headers = soup_message_get_response_headers(forward->request);
    return tb_asked_count(forward->asked, false,
                          strlen("HTTP/1.1 200 \r\n\r\n") + tb_headers_size(headers));
}

static void on_head(GObject *source, GAsyncResult *result, gpointer data)
{
    Forward *forward = data;
    g_autoptr(GError) why = NULL;
    forward->answer = soup_session_send_finish(SOUP_SESSION(source), result, &why);
    const char *opaque = forward->answer && forward->secure
                             ? tb_vault_opaque(soup_message_get_response_headers(forward->request))
                             : NULL;
    bool gone = forward->finished || !forward->asked;
    const char *over = gone || !forward->answer ? NULL : count_head(forward);
    if (!gone && over)
        fail(forward, TB_NET_REFUSED, over);
    else if (!gone && (!forward->answer || opaque))
        fail(forward, TB_NET_FAILED, opaque ? opaque : why->message);
    else if (!gone)
        give_head(forward);
    release(forward);
}

/* ---- the request's body */

static void on_uploaded(GObject *source, GAsyncResult *result, gpointer data)
{
    Forward *forward = data;
    gsize written = 0;
    bool ok = g_output_stream_write_all_finish(G_OUTPUT_STREAM(source), result, &written, NULL);
    const char *over = forward->asked ? tb_asked_count(forward->asked, true, written) : NULL;
    if (!ok)
        g_clear_object(&forward->upload);
    if (over && !forward->finished)
        fail(forward, TB_NET_REFUSED, over);
    else if (!forward->finished)
        soup_server_message_unpause(forward->message);
    release(forward);
}

static void send_piece(Forward *forward, GBytes *bytes)
{
    forward->calls++;
    soup_server_message_pause(forward->message);
    g_object_set_data_full(G_OBJECT(forward->message), "taskbox-chunk", g_bytes_ref(bytes),
                           (GDestroyNotify)g_bytes_unref);
    g_output_stream_write_all_async(forward->upload, g_bytes_get_data(bytes, NULL),
                                    g_bytes_get_size(bytes), G_PRIORITY_DEFAULT, forward->stop,
                                    on_uploaded, forward);
}

/* A placeholder in a body is never replaced. To its own host it may go, since whoever shows his
 * environment to an agent has it in every request from then on. False: it was stopped. */
static bool look_through(Forward *forward, const void *data, gsize size, bool last)
{
    g_byte_array_set_size(forward->seen, 0);
    const TbSecret *found = tb_stream_push(&forward->up, data, size, last, false, forward->seen);
    if (!found)
        return true;
    g_autofree char *why = tb_vault_reason(found, "goes where it is not bound to, in a body");
    fail(forward, TB_NET_REFUSED, why);
    return false;
}

static void on_chunk(SoupServerMessage *message, GBytes *chunk, gpointer data)
{
    Forward *forward = data;
    if (!forward->upload)
        return;
    if (!forward->vault || forward->secure) {
        send_piece(forward, chunk);
        return;
    }
    gsize size = 0;
    const void *bytes = g_bytes_get_data(chunk, &size);
    if (!look_through(forward, bytes, size, false) || forward->seen->len == 0)
        return;
    g_autoptr(GBytes) piece = g_bytes_new(forward->seen->data, forward->seen->len);
    send_piece(forward, piece);
}

static void on_last(GObject *source, GAsyncResult *result, gpointer data)
{
    Forward *forward = data;
    gsize written = 0;
    (void)g_output_stream_write_all_finish(G_OUTPUT_STREAM(source), result, &written, NULL);
    if (forward->asked)
        tb_asked_count(forward->asked, true, written);
    g_clear_object(&forward->upload);
    release(forward);
}

/* Its reader sees the end when the pipe is closed; before that goes what was held back. */
static void on_body(SoupServerMessage *message, gpointer data)
{
    Forward *forward = data;
    bool looks = forward->upload && forward->vault && !forward->secure;
    if (looks && look_through(forward, NULL, 0, true) && forward->seen->len > 0) {
        forward->calls++;
        g_output_stream_write_all_async(forward->upload, forward->seen->data, forward->seen->len,
                                        G_PRIORITY_DEFAULT, forward->stop, on_last, forward);
        return;
    }
    g_clear_object(&forward->upload);
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

static void append_header(const char *name, const char *value, gpointer to)
{
    soup_message_headers_append(to, name, value);
}

static void send_request(Forward *forward)
{
    g_autoptr(GError) why = NULL;
    forward->request = soup_message_new_from_uri(soup_server_message_get_method(forward->message),
                                                 forward->asked->uri);
    soup_message_add_flags(forward->request,
                           SOUP_MESSAGE_NO_REDIRECT | SOUP_MESSAGE_DO_NOT_USE_AUTH_CACHE);
    soup_message_disable_feature(forward->request, SOUP_TYPE_CONTENT_SNIFFER);
    if (!attach_body(forward, &why)) {
        fail(forward, TB_NET_FAILED, why->message);
        return;
    }
    SoupMessageHeaders *to = soup_message_get_request_headers(forward->request);
    soup_message_headers_remove(to, "Content-Type");
    soup_message_headers_foreach(forward->asked->headers, append_header, to);
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
    forward->vault = tb_proxy_vault(asked->proxy);
    forward->secure = asked->secure;
    forward->seen = g_byte_array_new();
    forward->stop = g_cancellable_new();
    forward->watch = g_timeout_add_seconds(TB_LEFT_SECONDS, on_watch, forward);
    if (forward->vault) {
        tb_stream_init(&forward->up, forward->vault->placeholders);
        tb_stream_init(&forward->down, forward->vault->values);
    }
    g_signal_connect(message, "finished", G_CALLBACK(on_finished), forward);
    soup_server_message_pause(message);
    tb_net_resolve(asked->event.host, asked->event.port, NULL, on_resolved, forward);
}
