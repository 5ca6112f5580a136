/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The secrets of the egress process and what it does with them: values into requests to the hosts
 * they are bound to, placeholders nowhere else, values out of answers.
 */
#pragma once

#include <gio/gio.h>
#include <libsoup/soup.h>
#include <stdbool.h>

#include "net/authority.h"
#include "net/needle.h"
#include "net/secret.h"

typedef struct {
    GPtrArray *secrets;      /* of TbSecret *, one at least */
    TbNeedles *placeholders; /* data: const TbSecret *, likewise below */
    TbNeedles *values;       /* instead: the placeholder */
    TbAuthority *authority;
} TbVault;

/* Takes the secrets, also when it fails. */
TbVault *tb_vault_new(GPtrArray *secrets, GError **error);
/* Wipes. NULL is fine. */
void tb_vault_free(TbVault *vault);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbVault, tb_vault_free)

/* Whether requests to this host and port get values. vault may be NULL, likewise below. */
bool tb_vault_binds(const TbVault *vault, const char *host, uint16_t port);

/* "the placeholder of NAME WHERE": the reason of such a refusal. g_free. */
char *tb_vault_reason(const TbSecret *secret, const char *where);

/*
 * Copies the headers of a request that go on from `from` to `to`. For a host that is bound, values
 * take the place of placeholders where keys stand: in headers made for that, and in the parameter
 * "key" of *query (g_free'd and set anew then, may be NULL); Cookie and Range do not go on, and a
 * key that is not the host's is refused. `target` is what else can be seen of the request. A
 * placeholder anywhere else is refused. The reason (g_free), NULL: all is well.
 */
char *tb_vault_send(const TbVault *vault, const char *host, uint16_t port, const char *target,
                    SoupMessageHeaders *from, char **query, SoupMessageHeaders *to);

/* Copies the headers of an answer that go on, values replaced. */
void tb_vault_receive(const TbVault *vault, SoupMessageHeaders *from, SoupMessageHeaders *to);
/* Why an answer's body cannot be looked through (static); NULL: it can. */
const char *tb_vault_opaque(SoupMessageHeaders *headers);

/* %XX undone, whatever it makes; in place. What is none stays. False: there was none. */
bool tb_undo_percent(GString *text);
