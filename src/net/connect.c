/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What stands in the middle of a name and a connection in GIO is a GSocketConnectable. Ours is a
 * GNetworkAddress, so that TLS compares certificates with the name, but one that gives the
 * addresses it was made of instead of asking a resolver: between check and connect nothing is asked
 * again.
 */
#include "net/connect.h"

#include <string.h>

#include "net/address.h"
#include "util/error.h"
#include "util/hole.h"

/* ---- the addresses, one after the other */

#define PINNED_TYPE_LIST (pinned_list_get_type())
G_DECLARE_FINAL_TYPE(PinnedList, pinned_list, PINNED, LIST, GSocketAddressEnumerator)
struct _PinnedList {
    GSocketAddressEnumerator parent;
    GPtrArray *addresses;
    guint next;
};
G_DEFINE_FINAL_TYPE(PinnedList, pinned_list, G_TYPE_SOCKET_ADDRESS_ENUMERATOR)

static GSocketAddress *pinned_list_next(GSocketAddressEnumerator *enumerator,
                                        GCancellable *cancellable, GError **error)
{
    PinnedList *list = PINNED_LIST(enumerator);
    return list->next < list->addresses->len ? g_object_ref(list->addresses->pdata[list->next++])
                                             : NULL;
}

static void pinned_list_finalize(GObject *object)
{
    g_ptr_array_unref(PINNED_LIST(object)->addresses);
    G_OBJECT_CLASS(pinned_list_parent_class)->finalize(object);
}

static void pinned_list_class_init(PinnedListClass *class)
{
    G_SOCKET_ADDRESS_ENUMERATOR_CLASS(class)->next = pinned_list_next;
    G_OBJECT_CLASS(class)->finalize = pinned_list_finalize;
}

static void pinned_list_init(PinnedList *list)
{
}

/* ---- the connectable */

#define PINNED_TYPE_NAME (pinned_name_get_type())
G_DECLARE_FINAL_TYPE(PinnedName, pinned_name, PINNED, NAME, GNetworkAddress)
struct _PinnedName {
    GNetworkAddress parent;
    GPtrArray *addresses;
};
static void pinned_name_connectable(GSocketConnectableIface *iface);
G_DEFINE_FINAL_TYPE_WITH_CODE(PinnedName, pinned_name, G_TYPE_NETWORK_ADDRESS,
                              G_IMPLEMENT_INTERFACE(G_TYPE_SOCKET_CONNECTABLE,
                                                    pinned_name_connectable))

static GSocketAddressEnumerator *enumerate(GSocketConnectable *connectable)
{
    PinnedList *list = g_object_new(PINNED_TYPE_LIST, NULL);
    list->addresses = g_ptr_array_ref(PINNED_NAME(connectable)->addresses);
    return G_SOCKET_ADDRESS_ENUMERATOR(list);
}

static void pinned_name_connectable(GSocketConnectableIface *iface)
{
    iface->enumerate = enumerate;
    iface->proxy_enumerate = enumerate; /* there is no proxy beyond us */
}

static void pinned_name_finalize(GObject *object)
{
    g_clear_pointer(&PINNED_NAME(object)->addresses, g_ptr_array_unref);
    G_OBJECT_CLASS(pinned_name_parent_class)->finalize(object);
}

static void pinned_name_class_init(PinnedNameClass *class)
{
    G_OBJECT_CLASS(class)->finalize = pinned_name_finalize;
}

static void pinned_name_init(PinnedName *name)
{
}

GSocketConnectable *tb_net_pin(const char *host, uint16_t port, GList *addresses, GError **error)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_object_unref);
    for (GList *item = addresses; item; item = item->next) {
        const char *what = tb_address_refused_here(item->data);
        bool no_name = !strchr(host, '.') || g_hostname_is_ip_address(host);
        if (what && !tb_hole("net-rebind") && !(tb_hole("net-names") && no_name)) {
            g_autofree char *text = g_inet_address_to_string(item->data);
            tb_error_set(error, TB_ERROR_DENIED, "its address %s is %s", text, what);
            return NULL;
        }
        g_ptr_array_add(list, g_inet_socket_address_new(item->data, port));
    }
    if (list->len == 0) {
        tb_error_set(error, TB_ERROR_NOT_FOUND, "the name has no address");
        return NULL;
    }
    PinnedName *name = g_object_new(PINNED_TYPE_NAME, "hostname", host, "port", (guint)port, NULL);
    name->addresses = g_steal_pointer(&list);
    return G_SOCKET_CONNECTABLE(name);
}

/* ---- the look-up */

typedef struct {
    char *host;
    uint16_t port;
} Wanted;

static void wanted_free(void *data)
{
    Wanted *wanted = data;
    g_free(wanted->host);
    g_free(wanted);
}

static void on_addresses(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    const Wanted *wanted = g_task_get_task_data(task);
    g_autoptr(GError) why = NULL;
    GList *addresses = g_resolver_lookup_by_name_finish(G_RESOLVER(source), result, &why);
    if (!addresses) {
        g_task_return_new_error(task, TB_ERROR, TB_ERROR_NOT_FOUND, "the name is not known");
        return;
    }
    GError *error = NULL;
    GSocketConnectable *pinned = tb_net_pin(wanted->host, wanted->port, addresses, &error);
    g_resolver_free_addresses(addresses);
    if (pinned)
        g_task_return_pointer(task, pinned, g_object_unref);
    else
        g_task_return_error(task, error);
}

void tb_net_resolve(const char *host, uint16_t port, GCancellable *cancellable,
                    GAsyncReadyCallback callback, gpointer data)
{
    GTask *task = g_task_new(NULL, cancellable, callback, data);
    Wanted *wanted = g_new(Wanted, 1);
    *wanted = (Wanted){g_strdup(host), port};
    g_task_set_task_data(task, wanted, wanted_free);
    g_autoptr(GResolver) resolver = g_resolver_get_default();
    g_resolver_lookup_by_name_async(resolver, host, cancellable, on_addresses, task);
}

GSocketConnectable *tb_net_resolve_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}
