/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A placeholder is worth nothing but at its host, so what is refused here is no leak: it is a sign
 * that somebody takes what he believes to be a key elsewhere. The look for it is as wide as is
 * cheap: as it is, encoded, percent signs undone, letters of either case, and cut over several
 * headers.
 */
#include "net/vault.h"

#include <string.h>

#include "net/proxy.h"
#include "util/hole.h"

#define DECODE_ROUNDS 3
#define KEY_LENGTH    16 /* shorter ones are other things that are called so */
#define BESIDE_MAX    64 /* bytes in a header of a key that are not the key */
#define KEY_LETTERS   G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-_.+/="

/* Where keys stand. */
static const char *const key_headers[] = {
    "Authorization", "X-Api-Key", "X-Goog-Api-Key", "Api-Key", "X-Auth-Token",
    "Private-Token", NULL};
/* Credentials of somebody else's, and what asks for pieces of an answer, a difference of two or
 * other bytes for its letters, in which no value could be seen. */
static const char *const dropped[] = {"Cookie",          "Range", "Request-Range",  "If-Range",
                                      "Accept-Encoding", "A-IM",  "Accept-Charset", NULL};

TbVault *tb_vault_new(GPtrArray *secrets, GError **error)
{
    g_autoptr(TbVault) vault = g_new0(TbVault, 1);
    vault->secrets = secrets;
    vault->placeholders = tb_needles_new();
    vault->values = tb_needles_new();
    for (guint i = 0; i < secrets->len; i++) {
        const TbSecret *secret = secrets->pdata[i];
        tb_needles_add(vault->placeholders, secret->placeholder, NULL, secret);
        tb_needles_add(vault->values, secret->value, secret->placeholder, secret);
    }
    vault->authority = tb_authority_new(secrets, error);
    return vault->authority ? g_steal_pointer(&vault) : NULL;
}

void tb_vault_free(TbVault *vault)
{
    if (!vault)
        return;
    g_ptr_array_unref(vault->secrets);
    tb_needles_free(vault->placeholders);
    tb_needles_free(vault->values);
    tb_authority_free(vault->authority);
    g_free(vault);
}

bool tb_vault_binds(const TbVault *vault, const char *host, uint16_t port)
{
    return vault && tb_secrets_bind(vault->secrets, host, port);
}

char *tb_vault_reason(const TbSecret *secret, const char *where)
{
    return g_strdup_printf(TB_NET_PLACEHOLDER "%s %s", secret->name, where);
}

/* Whatever is behind CGI takes '_' for '-'. */
static bool is_same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (g_ascii_tolower(*a == '_' ? '-' : *a) != g_ascii_tolower(*b == '_' ? '-' : *b))
            return false;
    return *a == *b;
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (is_same_name(name, *names))
            return true;
    return false;
}

/* ---- values for placeholders */

static char *replace_all(const char *text, const char *what, const char *with)
{
    GString *out = g_string_sized_new(strlen(text) + 1); /* of equal length */
    const char *at = text;
    for (const char *found; (found = strstr(at, what)); at = found + strlen(what)) {
        g_string_append_len(out, at, found - at);
        g_string_append(out, with);
    }
    g_string_append(out, at);
    return g_string_free(out, FALSE);
}

/* The text with the values of the host's; NULL: there is no placeholder of one. */
static char *swap(const TbVault *vault, const char *host, uint16_t port, const char *text)
{
    char *out = NULL;
    for (guint i = 0; i < vault->secrets->len; i++) {
        const TbSecret *secret = vault->secrets->pdata[i];
        const char *now = out ? out : text;
        if (!tb_secret_binds(secret, host, port) || !strstr(now, secret->placeholder))
            continue;
        char *next = replace_all(now, secret->placeholder, secret->value);
        tb_secret_wipe(out);
        out = next;
    }
    return out;
}

/* The text with blanks for the placeholders of the host's. */
static char *blank_own(const TbVault *vault, const char *host, uint16_t port, const char *text)
{
    char *out = g_strdup(text);
    for (guint i = 0; i < vault->secrets->len; i++) {
        const TbSecret *secret = vault->secrets->pdata[i];
        if (!tb_secret_binds(secret, host, port))
            continue;
        for (char *found; (found = strstr(out, secret->placeholder));)
            memset(found, ' ', strlen(secret->placeholder));
    }
    return out;
}

static bool looks_like_key(const char *text)
{
    size_t length = 0;
    for (; *text && length < KEY_LENGTH; text++)
        length = strchr(KEY_LETTERS, *text) ? length + 1 : 0;
    return length >= KEY_LENGTH;
}

/* "Basic" hides it in base64. */
static char *swap_header(const TbVault *vault, const char *host, uint16_t port, const char *value)
{
    if (g_ascii_strncasecmp(value, "Basic ", 6) != 0)
        return swap(vault, host, port, value);
    gsize length = 0;
    g_autofree guchar *plain = g_base64_decode(value + 6, &length);
    g_autofree char *text = g_strndup((const char *)plain, length);
    char *swapped = strlen(text) == length ? swap(vault, host, port, text) : NULL;
    if (!swapped)
        return NULL;
    char *coded = g_base64_encode((const guchar *)swapped, strlen(swapped));
    char *out = g_strconcat("Basic ", coded, NULL);
    tb_secret_wipe(coded);
    tb_secret_wipe(swapped);
    return out;
}

bool tb_undo_percent(GString *text)
{
    gsize to = 0;
    bool undone = false;
    for (gsize at = 0; at < text->len; at++, to++) {
        int high = at + 2 < text->len ? g_ascii_xdigit_value(text->str[at + 1]) : -1;
        int low = high >= 0 ? g_ascii_xdigit_value(text->str[at + 2]) : -1;
        text->str[to] = text->str[at];
        if (text->str[at] == '%' && low >= 0) {
            text->str[to] = (char)(high << 4 | low);
            at += 2;
            undone = true;
        }
    }
    g_string_truncate(text, to);
    return undone;
}

/* Whether a parameter is where some servers take keys and looks like one: with a key of its own a
 * program could give data away through a host that is allowed. However the name is escaped. */
static bool is_key_parameter(const char *pair)
{
    static const char *const names[] = {
        "key",           "api_key",     "apikey",     "access_token",
        "private_token", "oauth_token", "auth_token", NULL};
    g_autoptr(GString) text = g_string_new(pair);
    for (int round = 0; round <= DECODE_ROUNDS && tb_undo_percent(text); round++)
        continue;
    g_auto(GStrv) parts = g_strsplit_set(text->str, "&;", -1); /* what servers split at */
    for (char **part = parts; *part; part++) {
        const char *equals = strchr(*part, '=');
        size_t length = equals ? strlen(equals + 1) : 0;
        g_autofree char *name = g_strndup(*part, equals ? (gsize)(equals - *part) : 0);
        if (is_one_of(name, names) && length >= KEY_LENGTH &&
            strspn(equals + 1, KEY_LETTERS) == length)
            return true;
    }
    return false;
}

/* "key=PLACEHOLDER" among the parameters, and nothing else. The rest of them goes to `seen`. The
 * reason (g_free), when there is a key that is not the host's. */
static char *swap_query(const TbVault *vault, const char *host, uint16_t port, char **query,
                        GString *seen)
{
    g_auto(GStrv) pairs = g_strsplit(*query, "&", -1);
    bool changed = false;
    char *foreign = NULL;
    for (char **pair = pairs; *pair; pair++) {
        char *value = g_str_has_prefix(*pair, "key=") ? swap(vault, host, port, *pair + 4) : NULL;
        if (!value) {
            g_string_append_printf(seen, "%s\n", *pair);
            if (!foreign && is_key_parameter(*pair))
                foreign = g_strdup(TB_NET_FOREIGN "a parameter of the address");
            continue;
        }
        const TbSecret *other = tb_needles_find(vault->placeholders, value, strlen(value));
        if (other)
            g_string_append_printf(seen, "%s\n", other->placeholder);
        g_autofree char *rest = blank_own(vault, host, port, *pair + 4);
        if (!foreign && looks_like_key(rest))
            foreign = g_strdup(TB_NET_FOREIGN "a parameter of the address");
        char *coded = g_uri_escape_string(value, NULL, FALSE);
        tb_secret_wipe(*pair);
        *pair = g_strconcat("key=", coded, NULL);
        tb_secret_wipe(coded);
        tb_secret_wipe(value);
        changed = true;
    }
    if (!changed)
        return foreign;
    g_free(*query);
    *query = g_strjoinv("&", pairs);
    for (char **pair = pairs; *pair; pair++)
        explicit_bzero(*pair, strlen(*pair));
    return foreign;
}

/* ---- placeholders where none may be */

/* Host names come in small letters. */
static const TbSecret *find_any_case(const TbVault *vault, const GString *text)
{
    g_autofree char *low = g_ascii_strdown(text->str, (gssize)text->len);
    for (guint i = 0; i < vault->secrets->len; i++) {
        const TbSecret *secret = vault->secrets->pdata[i];
        g_autofree char *wanted = g_ascii_strdown(secret->placeholder, -1);
        if (memmem(low, text->len, wanted, strlen(wanted)))
            return secret;
    }
    return NULL;
}

static const TbSecret *find_in(const TbVault *vault, GString *text)
{
    const TbSecret *found = NULL;
    for (int round = 0; !found && round <= DECODE_ROUNDS; round++) {
        found = tb_needles_find(vault->placeholders, text->str, text->len);
        if (!found)
            found = find_any_case(vault, text);
        if (!found && !tb_undo_percent(text))
            break;
    }
    return found;
}

/* ---- heads */

typedef struct {
    const TbVault *vault;
    const char *host;
    uint16_t port;
    bool bound;
    GString *seen, *joined; /* what was not swapped: a line each, and without anything between */
} Sending;

static void see(Sending *sending, const char *name, const char *value)
{
    g_string_append_printf(sending->seen, "%s\n%s\n", name, value);
    g_string_append(sending->joined, value);
}

/* Whether another key stands beside the host's: of two in one header a server may take either. The
 * name before a password may be long, and is no key where the password counts. */
static bool has_another(Sending *sending, const char *value)
{
    bool basic = g_ascii_strncasecmp(value, "Basic ", 6) == 0;
    gsize length = 0;
    g_autofree guchar *plain = basic ? g_base64_decode(value + 6, &length) : NULL;
    g_autofree char *text = basic ? g_strndup((const char *)plain, length) : g_strdup(value);
    g_autofree char *rest = blank_own(sending->vault, sending->host, sending->port, text);
    const char *colon = basic ? strchr(text, ':') : NULL;
    size_t name = colon ? (size_t)(colon - text) : 0;
    bool in_name = strncmp(text, rest, name) != 0;
    size_t beside = 0;
    for (const char *at = basic ? "" : text; *at; at++)
        beside += rest[at - text] == *at;
    return beside > BESIDE_MAX || looks_like_key(in_name || !colon ? rest : rest + name);
}

/* The reason, when the key is not the host's. */
static char *send_key(Sending *sending, const char *name, const char *value, SoupMessageHeaders *to)
{
    char *swapped = swap_header(sending->vault, sending->host, sending->port, value);
    if (!swapped) {
        see(sending, name, value);
        return g_strdup_printf(TB_NET_FOREIGN "'%s'", name);
    }
    /* Beside the host's own there may be another's. */
    const TbSecret *other = tb_needles_find(sending->vault->placeholders, swapped, strlen(swapped));
    if (other)
        g_string_append(sending->seen, other->placeholder);
    soup_message_headers_append(to, name, swapped);
    tb_secret_wipe(swapped);
    return has_another(sending, value) ? g_strdup_printf(TB_NET_FOREIGN "'%s'", name) : NULL;
}

static char *send_header(Sending *sending, const char *name, const char *value, bool stays,
                         SoupMessageHeaders *to)
{
    bool key = sending->bound && !stays && is_one_of(name, key_headers);
    char *why = key ? send_key(sending, name, value, to) : NULL;
    if (!key)
        see(sending, name, value);
    if (!key && !stays && !(sending->bound && is_one_of(name, dropped)))
        soup_message_headers_append(to, name, value);
    return why;
}

char *tb_vault_send(const TbVault *vault, const char *host, uint16_t port, const char *target,
                    SoupMessageHeaders *from, char **query, SoupMessageHeaders *to)
{
    bool bound = tb_vault_binds(vault, host, port);
    const char *connection = soup_message_headers_get_list(from, "Connection");
    SoupMessageHeadersIter iter;
    const char *name, *value;
    g_autofree char *foreign = NULL;
    g_autoptr(GString) seen = g_string_new(target), joined = g_string_new(NULL);
    g_string_append_c(seen, '\n');
    Sending sending = {vault, host, port, bound, seen, joined};
    soup_message_headers_iter_init(&iter, from);
    while (soup_message_headers_iter_next(&iter, &name, &value)) {
        char *why = send_header(&sending, name, value, tb_header_stays(name, connection), to);
        if (why) {
            g_free(foreign);
            foreign = why;
        }
    }
    if (!vault)
        return NULL;
    char *parameter = *query && bound ? swap_query(vault, host, port, query, seen) : NULL;
    if (parameter) {
        g_free(foreign);
        foreign = parameter;
    }
    if (*query && !bound)
        g_string_append(seen, *query);
    if (bound)
        soup_message_headers_replace(to, "Accept-Encoding", "identity");
    const TbSecret *found = tb_hole("secret-trip") ? NULL : find_in(vault, seen);
    if (!found && !tb_hole("secret-trip"))
        found = find_in(vault, joined);
    if (found)
        return tb_vault_reason(found, bound ? "is not where a key stands"
                                            : "goes where it is not bound to");
    return tb_hole("secret-trip") ? NULL : g_steal_pointer(&foreign);
}

void tb_vault_receive(const TbVault *vault, SoupMessageHeaders *from, SoupMessageHeaders *to)
{
    const char *connection = soup_message_headers_get_list(from, "Connection");
    SoupMessageHeadersIter iter;
    const char *name, *value;
    soup_message_headers_iter_init(&iter, from);
    while (soup_message_headers_iter_next(&iter, &name, &value)) {
        g_autofree char *shown = g_strdup(value);
        if (tb_header_stays(name, connection) ||
            (vault && tb_needles_find(vault->values, name, strlen(name))))
            continue;
        if (vault)
            tb_needles_replace(vault->values, shown, strlen(shown));
        soup_message_headers_append(to, name, shown);
    }
}

const char *tb_vault_opaque(SoupMessageHeaders *headers)
{
    const char *content = soup_message_headers_get_list(headers, "Content-Encoding");
    const char *transfer = soup_message_headers_get_list(headers, "Transfer-Encoding");
    if (content && g_ascii_strcasecmp(content, "identity") != 0)
        return "its answer is compressed, though it was asked for a plain one";
    if (transfer && g_ascii_strcasecmp(transfer, "chunked") != 0)
        return "its answer is encoded in a way that is not known";
    return NULL;
}
