/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CONNECT to a host that a secret is bound to: TLS ends here, with a certificate by the task's own
 * authority, and what is said inside are requests like all others (judge.c), for this host and no
 * other, whatever name the client's TLS gives. The far end is connected to for each of them, with
 * its certificate checked.
 */
#include "net/proxy.h"

#include <string.h>

typedef struct {
    TbAsked *asked;
    SoupServerMessage *message;
    GTlsCertificate *certificate;
    GSocket *socket;
    GIOStream *tls;
    TbEnded target;
} Ending;

static void end(Ending *ending, TbVerdict verdict, const char *reason)
{
    tb_asked_end(ending->asked, verdict, reason);
    g_clear_object(&ending->message);
    g_clear_object(&ending->certificate);
    g_clear_object(&ending->socket);
    g_clear_object(&ending->tls);
    g_free(ending->target.host);
    g_free(ending);
}

static void on_handshake(GObject *source, GAsyncResult *result, gpointer data)
{
    Ending *ending = data;
    TbProxy *proxy = ending->asked->proxy;
    g_autoptr(GError) why = NULL;
    if (g_tls_connection_handshake_finish(G_TLS_CONNECTION(source), result, &why) &&
        tb_proxy_accept(proxy, ending->tls, ending->socket, &ending->target, &why)) {
        end(ending, TB_NET_ALLOWED, "");
        return;
    }
    g_socket_close(ending->socket, NULL);
    g_autofree char *text = g_strdup_printf(
        "no TLS with the box, or it does not trust the task's certificate: %s", why->message);
    end(ending, TB_NET_FAILED, text);
}

static void on_answered(SoupServerMessage *message, gpointer data)
{
    static const char *const protocols[] = {"http/1.1", NULL};
    Ending *ending = data;
    g_autoptr(GError) why = NULL;
    g_signal_handlers_disconnect_by_data(message, ending);
    ending->socket = g_object_ref(tb_proxy_socket(message));
    g_autoptr(GIOStream) client = soup_server_message_steal_connection(message);
    ending->tls = g_tls_server_connection_new(client, ending->certificate, &why);
    if (!ending->tls) {
        g_socket_close(ending->socket, NULL);
        end(ending, TB_NET_FAILED, why->message);
        return;
    }
    GTlsConnection *tls = G_TLS_CONNECTION(ending->tls);
    g_tls_connection_set_advertised_protocols(tls, protocols);
    g_tls_connection_set_require_close_notify(tls, FALSE);
    g_tls_connection_handshake_async(tls, G_PRIORITY_DEFAULT, NULL, on_handshake, ending);
}

static void on_finished(SoupServerMessage *message, gpointer data)
{
    Ending *ending = data;
    g_signal_handlers_disconnect_by_data(message, ending);
    end(ending, TB_NET_FAILED, "the client has hung up");
}

void tb_ended_start(TbAsked *asked, SoupServerMessage *message, GTlsCertificate *certificate)
{
    Ending *ending = g_new0(Ending, 1);
    ending->asked = asked;
    ending->message = g_object_ref(message);
    ending->certificate = g_object_ref(certificate);
    ending->target = (TbEnded){g_strdup(asked->event.host), asked->event.port};
    g_signal_connect(message, "wrote-body", G_CALLBACK(on_answered), ending);
    g_signal_connect(message, "finished", G_CALLBACK(on_finished), ending);
    soup_server_message_set_status(message, SOUP_STATUS_OK, NULL);
}
