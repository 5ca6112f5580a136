/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/secret.h"

#include <string.h>
#include <sys/random.h>

#include "net/policy.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/units.h"

#define FIRST_LINE   "taskbox-secrets 1"
#define DEFAULT_PORT 443

void tb_secret_wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    g_free(text);
}

bool tb_secret_name_valid(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    return *name && !g_ascii_isdigit(*name) && strlen(name) <= TB_SECRET_NAME &&
           name[strspn(name, letters)] == '\0';
}

/* ---- hosts */

void tb_secret_host_free(void *host)
{
    g_free(((TbSecretHost *)host)->host);
    g_free(host);
}

TbSecretHost *tb_secret_host_parse(const char *text, GError **error)
{
    const char *colon = strrchr(text, ':'), *why = NULL;
    uint64_t port = DEFAULT_PORT;
    g_autofree char *host =
        tb_host_parse(text, colon ? (size_t)(colon - text) : strlen(text), &why);
    if (!host) {
        g_autofree char *shown = tb_escape_name(text);
        tb_error_set(error, TB_ERROR_USAGE,
                     "'%s' is no host for a secret (%s; write HOST or HOST:PORT)", shown,
                     *text == '*' ? "a secret is bound to whole names" : why);
        return NULL;
    }
    if (colon && !tb_number_parse(colon + 1, "port", 1, 65535, &port, error))
        return NULL;
    TbSecretHost *out = g_new(TbSecretHost, 1);
    *out = (TbSecretHost){.host = g_steal_pointer(&host), .port = (uint16_t)port};
    return out;
}

bool tb_secret_binds(const TbSecret *secret, const char *host, uint16_t port)
{
    for (guint i = 0; i < secret->hosts->len; i++) {
        const TbSecretHost *bound = secret->hosts->pdata[i];
        if (bound->port == port && strcmp(bound->host, host) == 0)
            return true;
    }
    return false;
}

bool tb_secrets_bind(const GPtrArray *secrets, const char *host, uint16_t port)
{
    for (guint i = 0; secrets && i < secrets->len; i++)
        if (tb_secret_binds(secrets->pdata[i], host, port))
            return true;
    return false;
}

/* ---- the placeholder */

/* How well-known keys begin; what follows differs from key to key. Longer ones first. */
static const char *const beginnings[] = {
    "sk-ant-api03-", "sk-ant-oat01-", "sk-ant-",  "sk-proj-", "sk-svcacct-", "sk-or-v1-", "sk-",
    "github_pat_",   "ghp_",          "gho_",     "ghu_",     "ghs_",        "ghr_",      "glpat-",
    "hf_",           "npm_",          "pypi-",    "xoxb-",    "xoxp-",       "gsk_",      "xai-",
    "r8_",           "sk_live_",      "sk_test_", "rk_live_", "dop_v1_",     "AIza",      "AKIA",
    "ASIA",          "pk-",           "eyJ",      NULL};

static char random_of(const char *alphabet)
{
    size_t count = strlen(alphabet);
    uint8_t byte = 0;
    do
        while (getrandom(&byte, 1, 0) != 1)
            ;
    while (byte >= 256 - 256 % count);
    return alphabet[byte % count];
}

/* All digits, all hexadecimal, or letters and digits: as the value's rest is. */
static const char *alphabet_of(const char *rest)
{
    static const char *const known[] = {"0123456789", "0123456789abcdef", "0123456789ABCDEF"};
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
        if (rest[strspn(rest, known[i])] == '\0')
            return known[i];
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
}

char *tb_secret_placeholder(const char *value)
{
    size_t length = strlen(value), kept = 0;
    for (const char *const *beginning = beginnings; *beginning && kept == 0; beginning++)
        if (g_str_has_prefix(value, *beginning) && length >= strlen(*beginning) + TB_SECRET_MIN)
            kept = strlen(*beginning);
    const char *alphabet = alphabet_of(value + kept);
    char *out = g_strndup(value, length);
    do
        for (size_t i = kept; i < length; i++)
            out[i] = random_of(alphabet);
    while (strcmp(out, value) == 0);
    return out;
}

/* ---- one */

static const char *bad_value(const char *value)
{
    size_t length = strlen(value);
    if (length < TB_SECRET_MIN)
        return "it is shorter than 12 bytes";
    if (length > TB_SECRET_MAX)
        return "it is longer than 4096 bytes";
    for (const char *at = value; *at; at++)
        if (*at <= ' ' || *at > '~')
            return "it holds a byte that no key has (a blank, a line's end, or none of ASCII)";
    return NULL;
}

static GPtrArray *parse_hosts(const char *const *hosts, GError **error)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(tb_secret_host_free);
    for (; hosts && *hosts; hosts++) {
        TbSecretHost *host = tb_secret_host_parse(*hosts, error);
        if (!host)
            return NULL;
        g_ptr_array_add(list, host);
    }
    if (list->len == 0 || list->len > TB_SECRET_HOSTS) {
        tb_error_set(error, TB_ERROR_USAGE, "it must be bound to 1 to %d hosts", TB_SECRET_HOSTS);
        return NULL;
    }
    return g_steal_pointer(&list);
}

TbSecret *tb_secret_new(const char *name, const char *value, const char *const *hosts,
                        GError **error)
{
    const char *why = bad_value(value);
    if (!tb_secret_name_valid(name)) {
        g_autofree char *shown = tb_escape_name(name);
        tb_error_set(error, TB_ERROR_USAGE, "'%s' is no name of a variable", shown);
        return NULL;
    }
    if (why) {
        tb_error_set(error, TB_ERROR_USAGE, "the value of secret '%s' cannot be one: %s", name,
                     why);
        return NULL;
    }
    g_autoptr(GPtrArray) list = parse_hosts(hosts, error);
    if (!list) {
        g_prefix_error(error, "secret '%s': ", name);
        return NULL;
    }
    TbSecret *secret = g_new(TbSecret, 1);
    *secret = (TbSecret){.name = g_strdup(name),
                         .placeholder = tb_secret_placeholder(value),
                         .value = g_strdup(value),
                         .hosts = g_steal_pointer(&list)};
    return secret;
}

void tb_secret_free(void *data)
{
    TbSecret *secret = data;
    g_free(secret->name);
    g_free(secret->placeholder);
    tb_secret_wipe(secret->value);
    g_ptr_array_unref(secret->hosts);
    g_free(secret);
}

/* ---- all of a task */

GPtrArray *tb_secrets_new(void)
{
    return g_ptr_array_new_with_free_func(tb_secret_free);
}

void tb_secrets_forget(GPtrArray *secrets)
{
    for (guint i = 0; secrets && i < secrets->len; i++) {
        TbSecret *secret = secrets->pdata[i];
        g_clear_pointer(&secret->value, tb_secret_wipe);
    }
}

static size_t text_size(const GPtrArray *secrets)
{
    size_t size = 64;
    for (guint i = 0; i < secrets->len; i++) {
        const TbSecret *secret = secrets->pdata[i];
        size += strlen(secret->name) + 2 * strlen(secret->value) + 8;
        size += secret->hosts->len * (TB_HOST_MAX + 8);
    }
    return size;
}

/* The string never grows over its room, so that no copy of a value is left behind. */
char *tb_secrets_format(const GPtrArray *secrets)
{
    GString *out = g_string_sized_new(text_size(secrets));
    g_string_append(out, FIRST_LINE "\n");
    for (guint i = 0; i < secrets->len; i++) {
        const TbSecret *secret = secrets->pdata[i];
        g_string_append_printf(out, "%s\t%s\t", secret->name, secret->placeholder);
        g_string_append(out, secret->value);
        for (guint k = 0; k < secret->hosts->len; k++) {
            const TbSecretHost *host = secret->hosts->pdata[k];
            g_string_append_printf(out, "%c%s:%u", k ? ',' : '\t', host->host, host->port);
        }
        g_string_append_c(out, '\n');
    }
    g_string_append(out, "end\n");
    return g_string_free(out, FALSE);
}

static TbSecret *parse_line(const char *line, GError **error)
{
    enum { NAME, PLACEHOLDER, VALUE, HOSTS, FIELDS };
    char **fields = g_strsplit(line, "\t", -1);
    TbSecret *secret = NULL;
    if (g_strv_length(fields) == FIELDS && strlen(fields[PLACEHOLDER]) == strlen(fields[VALUE]) &&
        !bad_value(fields[PLACEHOLDER]) && strcmp(fields[PLACEHOLDER], fields[VALUE]) != 0) {
        g_auto(GStrv) hosts = g_strsplit(fields[HOSTS], ",", -1);
        secret = tb_secret_new(fields[NAME], fields[VALUE], (const char *const *)hosts, error);
    } else {
        tb_error_set(error, TB_ERROR_CONFIG, "the secrets have a line that is not known");
    }
    if (secret) {
        g_free(secret->placeholder);
        secret->placeholder = g_strdup(fields[PLACEHOLDER]);
    }
    for (char **field = fields; *field; field++)
        explicit_bzero(*field, strlen(*field));
    g_strfreev(fields);
    return secret;
}

GPtrArray *tb_secrets_parse(const char *text, GError **error)
{
    g_autoptr(GPtrArray) secrets = tb_secrets_new();
    const char *first = FIRST_LINE "\n", *at = text;
    bool whole = g_str_has_prefix(at, first);
    for (at += whole ? strlen(first) : 0; whole && strcmp(at, "end\n") != 0;) {
        const char *end = strchr(at, '\n');
        whole = end && secrets->len < TB_SECRETS_MAX;
        if (!whole)
            break;
        char *line = g_strndup(at, (gsize)(end - at));
        TbSecret *secret = parse_line(line, error);
        tb_secret_wipe(line);
        if (!secret)
            return NULL;
        g_ptr_array_add(secrets, secret);
        at = end + 1;
    }
    if (!whole) {
        tb_error_set(error, TB_ERROR_CONFIG, "the secrets are not whole");
        return NULL;
    }
    return g_steal_pointer(&secrets);
}
