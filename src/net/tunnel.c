/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CONNECT. The far end is connected to, the client is told so, and then its first bytes are held
 * back until they are known to be the beginning of TLS with the very host that was asked for. From
 * there on bytes go both ways unseen: what is said inside of TLS nobody here knows.
 */
#include "net/proxy.h"

#include <string.h>

#include "net/connect.h"
#include "net/hello.h"
#include "util/error.h"

#define CHUNK           65536
#define CONNECT_SECONDS 30

typedef struct Tunnel Tunnel;

typedef struct {
    Tunnel *tunnel;
    GInputStream *in;
    GOutputStream *out;
    GSocket *to; /* `out`'s */
    bool sent;   /* what the box sends */
    bool over;
    uint8_t buffer[CHUNK];
} Direction;

struct Tunnel {
    TbAsked *asked;
    SoupServerMessage *message; /* until it is answered */
    bool finished;              /* the client went before that */
    const char *over;           /* why it was cut */
    GIOStream *client;
    GSocket *client_socket;
    GSocketConnection *server;
    GByteArray *hello;
    Direction up, down;
    guint watch; /* a timer, once bytes go both ways */
};

static void tunnel_free(Tunnel *tunnel)
{
    g_clear_object(&tunnel->message);
    if (tunnel->watch)
        g_source_remove(tunnel->watch);
    if (tunnel->client)
        g_io_stream_close(tunnel->client, NULL, NULL);
    if (tunnel->client_socket)
        g_socket_close(tunnel->client_socket, NULL);
    if (tunnel->server)
        g_io_stream_close(G_IO_STREAM(tunnel->server), NULL, NULL);
    g_clear_object(&tunnel->client);
    g_clear_object(&tunnel->client_socket);
    g_clear_object(&tunnel->server);
    g_byte_array_unref(tunnel->hello);
    g_free(tunnel);
}

static void end(Tunnel *tunnel, TbVerdict verdict, const char *reason)
{
    tb_asked_end(tunnel->asked, verdict, reason);
    tunnel_free(tunnel);
}

/* ---- bytes */

static void read_more(Direction *direction);

static void direction_over(Direction *direction)
{
    Tunnel *tunnel = direction->tunnel;
    direction->over = true;
    g_socket_shutdown(direction->to, FALSE, TRUE, NULL);
    if (tunnel->up.over && tunnel->down.over)
        end(tunnel, tunnel->over ? TB_NET_REFUSED : TB_NET_ALLOWED,
            tunnel->over ? tunnel->over : "");
}

/* Both directions hear of it. */
static void cut(Tunnel *tunnel)
{
    g_socket_shutdown(tunnel->client_socket, TRUE, TRUE, NULL);
    g_socket_shutdown(g_socket_connection_get_socket(tunnel->server), TRUE, TRUE, NULL);
}

static gboolean on_watch(gpointer data)
{
    Tunnel *tunnel = data;
    if (tb_asked_left(tunnel->asked, tunnel->client_socket))
        cut(tunnel);
    return G_SOURCE_CONTINUE;
}

static void on_written(GObject *source, GAsyncResult *result, gpointer data)
{
    Direction *direction = data;
    gsize written = 0;
    bool ok = g_output_stream_write_all_finish(G_OUTPUT_STREAM(source), result, &written, NULL);
    Tunnel *tunnel = direction->tunnel;
    const char *over = tb_asked_count(tunnel->asked, direction->sent, written);
    if (ok && !over) {
        read_more(direction);
        return;
    }
    if (over && !tunnel->over) {
        tunnel->over = over;
        cut(tunnel);
    }
    /* Nobody takes it: the one who sends it hears of that by the other direction's end. */
    Direction *other = direction == &tunnel->up ? &tunnel->down : &tunnel->up;
    g_socket_shutdown(other->to, TRUE, TRUE, NULL);
    direction_over(direction);
}

static void on_read(GObject *source, GAsyncResult *result, gpointer data)
{
    Direction *direction = data;
    gssize got = g_input_stream_read_finish(G_INPUT_STREAM(source), result, NULL);
    if (got <= 0)
        direction_over(direction);
    else
        g_output_stream_write_all_async(direction->out, direction->buffer, (gsize)got,
                                        G_PRIORITY_DEFAULT, NULL, on_written, direction);
}

static void read_more(Direction *direction)
{
    g_input_stream_read_async(direction->in, direction->buffer, CHUNK, G_PRIORITY_DEFAULT, NULL,
                              on_read, direction);
}

/* ---- the first bytes */

static void read_hello(Tunnel *tunnel);

static void on_hello_written(GObject *source, GAsyncResult *result, gpointer data)
{
    Tunnel *tunnel = data;
    gsize written = 0;
    if (!g_output_stream_write_all_finish(G_OUTPUT_STREAM(source), result, &written, NULL)) {
        end(tunnel, TB_NET_FAILED, "the host has hung up");
        return;
    }
    tb_asked_count(tunnel->asked, true, written);
    tunnel->watch = g_timeout_add_seconds(TB_LEFT_SECONDS, on_watch, tunnel);
    read_more(&tunnel->up);
    read_more(&tunnel->down);
}

static void refuse_hello(Tunnel *tunnel, const char *why)
{
    /* TLS's own way to say it: a fatal alert, "access denied". */
    static const uint8_t alert[] = {21, 3, 1, 0, 2, 2, 49};
    g_socket_send(tunnel->client_socket, (const char *)alert, sizeof alert, NULL, NULL);
    end(tunnel, TB_NET_REFUSED, why);
}

static void on_hello(GObject *source, GAsyncResult *result, gpointer data)
{
    Tunnel *tunnel = data;
    gssize got = g_input_stream_read_finish(G_INPUT_STREAM(source), result, NULL);
    if (got <= 0) {
        end(tunnel, TB_NET_FAILED, "the client has hung up");
        return;
    }
    g_byte_array_append(tunnel->hello, tunnel->up.buffer, (guint)got);
    g_autofree char *name = NULL;
    const char *why = NULL;
    switch (tb_hello_parse(tunnel->hello->data, tunnel->hello->len, &name, &why)) {
    case TB_HELLO_MORE:
        read_hello(tunnel);
        return;
    case TB_HELLO_BAD:
        refuse_hello(tunnel, why);
        return;
    case TB_HELLO_NAME:
        break;
    }
    if (strcmp(name, tunnel->asked->event.host) != 0) {
        g_autofree char *text = g_strdup_printf("its TLS names another server (%s)", name);
        refuse_hello(tunnel, text);
        return;
    }
    g_output_stream_write_all_async(tunnel->up.out, tunnel->hello->data, tunnel->hello->len,
                                    G_PRIORITY_DEFAULT, NULL, on_hello_written, tunnel);
}

static void read_hello(Tunnel *tunnel)
{
    g_input_stream_read_async(tunnel->up.in, tunnel->up.buffer, CHUNK, G_PRIORITY_DEFAULT, NULL,
                              on_hello, tunnel);
}

/* ---- making it */

static void on_answered(SoupServerMessage *message, gpointer data)
{
    Tunnel *tunnel = data;
    g_signal_handlers_disconnect_by_data(message, tunnel);
    tunnel->client_socket = g_object_ref(tb_proxy_socket(message));
    tunnel->client = soup_server_message_steal_connection(message);
    g_clear_object(&tunnel->message);
    GIOStream *server = G_IO_STREAM(tunnel->server);
    tunnel->up = (Direction){.tunnel = tunnel,
                             .in = g_io_stream_get_input_stream(tunnel->client),
                             .out = g_io_stream_get_output_stream(server),
                             .to = g_socket_connection_get_socket(tunnel->server),
                             .sent = true};
    tunnel->down = (Direction){.tunnel = tunnel,
                               .in = g_io_stream_get_input_stream(server),
                               .out = g_io_stream_get_output_stream(tunnel->client),
                               .to = tunnel->client_socket};
    read_hello(tunnel);
}

static bool client_is_gone(Tunnel *tunnel)
{
    bool gone = tunnel->finished;
    if (gone)
        end(tunnel, TB_NET_FAILED, "the client has hung up");
    return gone;
}

/* While something is under way its end finds the flag; afterwards this is the end. */
static void on_finished(SoupServerMessage *message, gpointer data)
{
    Tunnel *tunnel = data;
    g_signal_handlers_disconnect_by_data(message, tunnel);
    tunnel->finished = true;
    if (tunnel->server)
        client_is_gone(tunnel);
}

static void fail(Tunnel *tunnel, const GError *why)
{
    g_signal_handlers_disconnect_by_data(tunnel->message, tunnel);
    bool refused = g_error_matches(why, TB_ERROR, TB_ERROR_DENIED);
    g_autofree char *text =
        g_strdup_printf("%s: %s", refused ? "refused" : "cannot connect", why->message);
    tb_proxy_answer(tunnel->message, refused ? SOUP_STATUS_FORBIDDEN : SOUP_STATUS_BAD_GATEWAY,
                    text);
    soup_server_message_unpause(tunnel->message);
    end(tunnel, refused ? TB_NET_REFUSED : TB_NET_FAILED, why->message);
}

static void on_connected(GObject *source, GAsyncResult *result, gpointer data)
{
    Tunnel *tunnel = data;
    g_autoptr(GError) why = NULL;
    tunnel->server = g_socket_client_connect_finish(G_SOCKET_CLIENT(source), result, &why);
    if (client_is_gone(tunnel))
        return;
    if (!tunnel->server) {
        fail(tunnel, why);
        return;
    }
    g_socket_set_timeout(g_socket_connection_get_socket(tunnel->server), 0);
    g_signal_connect(tunnel->message, "wrote-body", G_CALLBACK(on_answered), tunnel);
    soup_server_message_set_status(tunnel->message, SOUP_STATUS_OK, NULL);
    soup_server_message_unpause(tunnel->message);
}

static void on_resolved(GObject *source, GAsyncResult *result, gpointer data)
{
    Tunnel *tunnel = data;
    g_autoptr(GError) why = NULL;
    g_autoptr(GSocketConnectable) pinned = tb_net_resolve_finish(result, &why);
    if (client_is_gone(tunnel))
        return;
    if (!pinned) {
        fail(tunnel, why);
        return;
    }
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_socket_client_set_enable_proxy(client, FALSE);
    g_socket_client_set_timeout(client, CONNECT_SECONDS);
    g_socket_client_connect_async(client, pinned, NULL, on_connected, tunnel);
}

void tb_tunnel_start(TbAsked *asked, SoupServerMessage *message)
{
    Tunnel *tunnel = g_new0(Tunnel, 1);
    tunnel->asked = asked;
    tunnel->message = g_object_ref(message);
    tunnel->hello = g_byte_array_new();
    g_signal_connect(message, "finished", G_CALLBACK(on_finished), tunnel);
    tb_net_resolve(asked->event.host, asked->event.port, NULL, on_resolved, tunnel);
}
