/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Secrets as data, what stands in their place, what they look like in bytes that come in pieces,
 * which requests get them, and the certificates of a task. */
#include <check.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>

#include "../suite.h"
#include "net/report.h"
#include "net/vault.h"
#include "util/error.h"

#define VALUE  "sk-R3alV/alue+ofAtLeast30Bytes0"
#define HOST   "api.test"
#define HOST_2 "other.test"

static const char *const hosts[] = {HOST, HOST_2 ":8443", NULL};

static TbSecret *make(const char *value)
{
    g_autoptr(GError) error = NULL;
    TbSecret *secret = tb_secret_new("KEY", value, hosts, &error);
    ck_assert_msg(secret != NULL, "%s", error ? error->message : "");
    return secret;
}

START_TEST(placeholders)
{
    static const char *const values[][3] = {
        {"sk-ant-api03-abcdefghijklmnop", "sk-ant-api03-", NULL},
        {"sk-proj-abcdefghijklmnop", "sk-proj-", NULL},
        {"sk-0123456789abcdef", "sk-", "0123456789abcdef"},
        {"ghp_abcdefghijklmnopqrstuvwxyz", "ghp_", NULL},
        {"github_pat_abcdefghijklmnop", "github_pat_", NULL},
        {"AIzaSyabcdefghijklmnop", "AIza", NULL},
        {"my-own-key-of-some-length", "", NULL},
        {"123456789012", "", "0123456789"},
        {"0123456789ABCDEF", "", "0123456789ABCDEF"}};
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        g_autofree char *one = tb_secret_placeholder(values[i][0]);
        g_autofree char *two = tb_secret_placeholder(values[i][0]);
        size_t kept = strlen(values[i][1]);
        ck_assert_uint_eq(strlen(one), strlen(values[i][0]));
        ck_assert(g_str_has_prefix(one, values[i][1]));
        ck_assert_str_ne(one, values[i][0]);
        ck_assert_str_ne(one, two);
        for (const char *at = one + kept; *at; at++)
            ck_assert(values[i][2] ? strchr(values[i][2], *at) != NULL : g_ascii_isalnum(*at));
    }
    /* What looks like a beginning of a short value is no beginning. */
    g_autofree char *all = tb_secret_placeholder("sk-ant-12345");
    ck_assert(!g_str_has_prefix(all, "sk-ant-"));
}
END_TEST

START_TEST(what_is_a_secret)
{
    static const char *const bad_values[] = {"",
                                             "Qwe-1",
                                             "with a blank in it",
                                             "a\nline's",
                                             "\xc3\xa4"
                                             "aaaaaaaaaaaaaaa",
                                             "twelve\tbytes or so"};
    static const char *const bad_names[] = {"", "1A", "A B", "A=B", "A-B", "\xc3\xa4"};
    static const char *const bad_hosts[] = {"",           "*.test",  "127.0.0.1", "localhost",
                                            "api.test:0", "a.test:", "api.test:x"};
    g_autofree char *long_value = g_strnfill(TB_SECRET_MAX + 1, 'a');
    for (size_t i = 0; i <= G_N_ELEMENTS(bad_values); i++) {
        g_autoptr(GError) error = NULL;
        const char *value = i < G_N_ELEMENTS(bad_values) ? bad_values[i] : long_value;
        ck_assert_ptr_null(tb_secret_new("KEY", value, hosts, &error));
        ck_assert_int_eq(tb_error_code(error), TB_ERROR_USAGE);
        ck_assert_msg(!*value || !strstr(error->message, value), "%s", error->message);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad_names); i++)
        ck_assert_ptr_null(tb_secret_new(bad_names[i], VALUE, hosts, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(bad_hosts); i++) {
        const char *const one[] = {bad_hosts[i], NULL};
        ck_assert_msg(!tb_secret_new("KEY", VALUE, one, NULL), "'%s'", bad_hosts[i]);
    }
    ck_assert_ptr_null(tb_secret_new("KEY", VALUE, hosts + 2, NULL));
    TbSecret *secret = make(VALUE);
    ck_assert(tb_secret_binds(secret, HOST, 443) && tb_secret_binds(secret, HOST_2, 8443));
    ck_assert(!tb_secret_binds(secret, HOST, 80) && !tb_secret_binds(secret, HOST_2, 443));
    ck_assert(!tb_secret_binds(secret, "x." HOST, 443) && !tb_secret_binds(secret, "", 443));
    tb_secret_free(secret);
}
END_TEST

START_TEST(there_and_back)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) secrets = tb_secrets_new();
    TbSecret *one = make(VALUE), *two = make("another-value-of-a-key");
    g_ptr_array_add(secrets, one);
    g_ptr_array_add(secrets, two);
    char *text = tb_secrets_format(secrets);
    g_autoptr(GPtrArray) again = tb_secrets_parse(text, &error);
    ck_assert_msg(again != NULL, "%s", error ? error->message : "");
    ck_assert_uint_eq(again->len, 2);
    const TbSecret *read = again->pdata[0];
    ck_assert_str_eq(read->name, "KEY");
    ck_assert_str_eq(read->value, VALUE);
    ck_assert_str_eq(read->placeholder, one->placeholder);
    ck_assert(tb_secret_binds(read, HOST_2, 8443));
    /* Cut anywhere it is nothing. */
    for (size_t length = 0; length < strlen(text); length++) {
        g_autofree char *cut = g_strndup(text, length);
        ck_assert_ptr_null(tb_secrets_parse(cut, NULL));
    }
    g_autofree char *more = g_strconcat(text, "x", NULL);
    ck_assert_ptr_null(tb_secrets_parse(more, NULL));
    tb_secret_wipe(text);
    tb_secrets_forget(secrets);
    ck_assert_ptr_null(one->value);
    ck_assert_ptr_nonnull(one->placeholder);
}
END_TEST

/* ---- bytes in pieces */

/* Pushes `text` in pieces of `size` bytes; what came out, NUL-terminated. g_free. */
static char *push_all(const TbNeedles *needles, const char *text, size_t size, bool replace,
                      const void **seen)
{
    TbStream stream;
    GByteArray *out = g_byte_array_new();
    size_t length = strlen(text);
    tb_stream_init(&stream, needles);
    *seen = NULL;
    for (size_t at = 0; at <= length && (replace || !*seen); at += size) {
        const void *found = tb_stream_push(&stream, text + at, MIN(size, length - at),
                                           at + size > length, replace, out);
        *seen = found ? found : *seen;
    }
    tb_stream_clear(&stream);
    g_byte_array_append(out, (const guint8 *)"", 1);
    return (char *)g_byte_array_free(out, FALSE);
}

START_TEST(over_borders)
{
    g_autoptr(TbNeedles) needles = tb_needles_new();
    const void *seen = NULL;
    static const char instead[] = "sk-pppppppppppppppppppppppppppp";
    ck_assert_uint_eq(strlen(instead), strlen(VALUE));
    tb_needles_add(needles, VALUE, instead, "data");
    static const char text[] = "sk-R3alV/aluX" VALUE VALUE "and sk-R3a " VALUE "sk-R3alV";
    g_autofree char *wanted =
        g_strconcat("sk-R3alV/aluX", instead, instead, "and sk-R3a ", instead, "sk-R3alV", NULL);
    for (size_t size = 1; size <= sizeof text; size++) {
        g_autofree char *got = push_all(needles, text, size, true, &seen);
        ck_assert_str_eq(got, wanted);
        ck_assert_str_eq(seen, "data");
        g_autofree char *stopped = push_all(needles, text, size, false, &seen);
        ck_assert_str_eq(stopped, "sk-R3alV/aluX");
        ck_assert_str_eq(seen, "data");
        g_autofree char *other =
            push_all(needles, "sk-R3alV/alu of nothing sk-", size, false, &seen);
        ck_assert_str_eq(other, "sk-R3alV/alu of nothing sk-");
        ck_assert_ptr_null(seen);
    }
}
END_TEST

/* How much of `first` goes on before anything follows it. */
static guint gone(const TbNeedles *needles, const char *first)
{
    TbStream stream;
    g_autoptr(GByteArray) out = g_byte_array_new();
    tb_stream_init(&stream, needles);
    tb_stream_push(&stream, first, strlen(first), false, true, out);
    guint length = out->len;
    tb_stream_push(&stream, NULL, 0, true, true, out);
    ck_assert_uint_eq(out->len, strlen(first));
    tb_stream_clear(&stream);
    return length;
}

/* At once what ends with a blank: an event must not wait for the next. */
START_TEST(held_back)
{
    g_autoptr(TbNeedles) needles = tb_needles_new();
    tb_needles_add(needles, VALUE, VALUE, "data");
    ck_assert_uint_eq(gone(needles, "data: x\n\n"), 9);
    ck_assert_uint_eq(gone(needles, "data: \"sk-R3\"}\n\n"), 16);
    ck_assert_uint_eq(gone(needles, "x sk-R3"), 2);
    ck_assert_uint_eq(gone(needles, "\xc3\xa4sk-"), 2);
    g_autofree char *much = g_strnfill(10000, 'x');
    guint went = gone(needles, much);
    ck_assert_uint_ge(went, 10000 - 3 * strlen(VALUE));
    ck_assert_uint_lt(went, 10000 - strlen(VALUE));
}
END_TEST

/* Whoever has a server send texts of his own choice, and sees how much of each comes at once, must
 * not find out how far one is right. */
START_TEST(no_guessing)
{
    g_autoptr(TbNeedles) needles = tb_needles_new();
    g_autofree char *coded = g_base64_encode((const guchar *)VALUE, strlen(VALUE));
    const char *const forms[] = {VALUE, coded};
    tb_needles_add(needles, VALUE, "sk-pppppppppppppppppppppppppppp", "data");
    for (size_t i = 0; i < G_N_ELEMENTS(forms); i++)
        for (size_t right = 1; right < strlen(forms[i]) - 8; right++) {
            g_autofree char *begun = g_strndup(forms[i], right);
            g_autofree char *wrong = g_strdup(begun);
            wrong[right - 1] ^= 1;
            g_autofree char *guess = g_strconcat("my text ", begun, NULL);
            g_autofree char *other = g_strconcat("my text ", wrong, NULL);
            ck_assert_msg(gone(needles, guess) == gone(needles, other), "'%s'", guess);
        }
}
END_TEST

/* One value begins with another: nothing of the longer one stays. */
START_TEST(values_in_values)
{
    for (int turn = 0; turn < 2; turn++) {
        g_autoptr(TbNeedles) needles = tb_needles_new();
        const void *seen = NULL;
        if (turn)
            tb_needles_add(needles, "abcdefghijkl", "pppppppppppp", "short");
        tb_needles_add(needles, "abcdefghijklmnopqrst", "qqqqqqqqqqqqqqqqqqqq", "long");
        if (!turn)
            tb_needles_add(needles, "abcdefghijkl", "pppppppppppp", "short");
        for (size_t size = 1; size < 30; size++) {
            g_autofree char *got =
                push_all(needles, "<abcdefghijklmnopqrst><abcdefghijklm>", size, true, &seen);
            ck_assert_str_eq(got, "<qqqqqqqqqqqqqqqqqqqq><ppppppppppppm>");
        }
    }
}
END_TEST

START_TEST(encodings)
{
    g_autoptr(TbNeedles) needles = tb_needles_new();
    tb_needles_add(needles, VALUE, NULL, "data");
    for (size_t before = 0; before < 7; before++) {
        g_autofree char *plain = g_strconcat("abcdefg" + 7 - before, VALUE, "xyz", NULL);
        g_autofree char *coded = g_base64_encode((const guchar *)plain, strlen(plain));
        ck_assert_str_eq(tb_needles_find(needles, coded, strlen(coded)), "data");
        for (char *at = coded; *at; at++)
            *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
        ck_assert_str_eq(tb_needles_find(needles, coded, strlen(coded)), "data");
    }
    static const char *const others[] = {
        "x sk-R3alV%2Falue%2BofAtLeast30Bytes0", "sk-R3alV%2falue%2bofAtLeast30Bytes0",
        "{\"sk-R3alV\\/alue+ofAtLeast30Bytes0\"}",
        /* Python's quote, .NET's and Gson's JSON, HTML */
        "sk-R3alV/alue%2BofAtLeast30Bytes0", "sk-R3alV/alue\\u002BofAtLeast30Bytes0",
        "sk-R3alV&#x2F;alue&#43;ofAtLeast30Bytes0"};
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        ck_assert_msg(tb_needles_find(needles, others[i], strlen(others[i])) != NULL, "%s",
                      others[i]);
    ck_assert_ptr_null(tb_needles_find(needles, VALUE, strlen(VALUE) - 1));
    ck_assert_ptr_null(tb_needles_find(needles, "", 0));
}
END_TEST

/* ---- heads */

static TbVault *vault;
static const TbSecret *secret, *other;

static void open_vault(void)
{
    GPtrArray *secrets = tb_secrets_new();
    g_autoptr(GError) error = NULL;
    g_ptr_array_add(secrets, make(VALUE));
    secret = secrets->pdata[0];
    static const char *const elsewhere[] = {"elsewhere.test", NULL};
    g_ptr_array_add(secrets,
                    tb_secret_new("OTHER", "ghp_another-key-of-the-user", elsewhere, NULL));
    other = secrets->pdata[1];
    vault = tb_vault_new(secrets, &error);
    ck_assert_msg(vault != NULL, "%s", error ? error->message : "");
}

static void close_vault(void)
{
    g_clear_pointer(&vault, tb_vault_free);
}

typedef struct {
    SoupMessageHeaders *from, *to;
    char *query, *why;
} Head;

static void head_clear(Head *head)
{
    soup_message_headers_unref(head->from);
    soup_message_headers_unref(head->to);
    g_free(head->query);
    g_free(head->why);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Head, head_clear)

/* `line` is "Name: value" with "@" for the placeholder; query likewise, may be NULL. */
static Head give(const char *host, uint16_t port, const char *line, const char *query)
{
    Head head = {.from = soup_message_headers_new(SOUP_MESSAGE_HEADERS_REQUEST),
                 .to = soup_message_headers_new(SOUP_MESSAGE_HEADERS_REQUEST)};
    g_auto(GStrv) parts = g_strsplit(line ? line : "", "@", -1);
    g_autofree char *whole = g_strjoinv(secret->placeholder, parts);
    char *colon = strstr(whole, ": ");
    if (colon) {
        *colon = '\0';
        soup_message_headers_append(head.from, whole, colon + 2);
    }
    g_auto(GStrv) pieces = g_strsplit(query ? query : "", "@", -1);
    head.query = query ? g_strjoinv(secret->placeholder, pieces) : NULL;
    head.why = tb_vault_send(vault, host, port, "GET\nx\n/", head.from, &head.query, head.to);
    return head;
}

START_TEST(values_go_to_their_host)
{
    static const char *const lines[][2] = {
        {"Authorization: Bearer @", "Bearer " VALUE},
        {"authorization: token @", "token " VALUE},
        {"X-API-Key: @", VALUE},
        {"x-goog-api-key: @", VALUE},
        {"Authorization: Token token=\"@\"", "Token token=\"" VALUE "\""},
        {"X_Api_Key: @", VALUE},
        {"Private-Token: @", VALUE}};
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_auto(Head) head = give(HOST, 443, lines[i][0], NULL);
        g_autofree char *name = g_strndup(lines[i][0], strcspn(lines[i][0], ":"));
        ck_assert_msg(!head.why, "%s", head.why);
        ck_assert_str_eq(soup_message_headers_get_one(head.to, name), lines[i][1]);
        ck_assert_str_eq(soup_message_headers_get_one(head.to, "Accept-Encoding"), "identity");
    }
    g_auto(Head) query = give(HOST_2, 8443, NULL, "a=b&key=@&c");
    ck_assert_ptr_null(query.why);
    ck_assert_str_eq(query.query, "a=b&key=sk-R3alV%2Falue%2BofAtLeast30Bytes0&c");
    g_autofree char *plain = g_strconcat("user:", secret->placeholder, NULL);
    g_autofree char *coded = g_base64_encode((const guchar *)plain, strlen(plain));
    g_autofree char *line = g_strconcat("Authorization: Basic ", coded, NULL);
    g_auto(Head) basic = give(HOST, 443, line, NULL);
    g_autofree char *wanted = g_base64_encode((const guchar *)"user:" VALUE, strlen("user:" VALUE));
    ck_assert_ptr_null(basic.why);
    ck_assert_str_eq(soup_message_headers_get_one(basic.to, "Authorization") + 6, wanted);
}
END_TEST

START_TEST(placeholders_go_nowhere)
{
    static const struct {
        const char *host;
        uint16_t port;
        const char *line, *query;
    } cases[] = {{HOST, 80, "Authorization: Bearer @", NULL},
                 {HOST_2, 443, "Authorization: Bearer @", NULL},
                 {"api.test.evil.test", 443, "X-Api-Key: @", NULL},
                 {"", 80, "X-Other: a@b", NULL},
                 {"", 80, NULL, "key=@"},
                 {HOST, 443, "X-Other: @", NULL},
                 {HOST, 443, "Cookie: @", NULL},
                 {HOST, 443, "Proxy-Authorization: @", NULL},
                 {HOST, 443, NULL, "keys=@"},
                 {HOST, 443, NULL, "a=@&key=1"},
                 {HOST, 443, NULL, "x&key=1@"}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(Head) head = give(cases[i].host, cases[i].port, cases[i].line, cases[i].query);
        if (i == G_N_ELEMENTS(cases) - 1) { /* a key with something around it is one, too */
            ck_assert_ptr_null(head.why);
            continue;
        }
        ck_assert_msg(head.why && g_str_has_prefix(head.why, TB_NET_PLACEHOLDER "KEY "), "%zu: %s",
                      i, head.why ? head.why : "nothing");
        ck_assert_ptr_null(strstr(head.query ? head.query : "", VALUE));
    }
    static const char *const foreign[] = {"Authorization: Bearer mine", "X-Api-Key: mine",
                                          "Authorization: Basic bWluZTptaW5l",
                                          "Authorization: ", "X_Api_Key: mine"};
    for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++) {
        g_auto(Head) head = give(HOST, 443, foreign[i], NULL);
        ck_assert_msg(head.why && g_str_has_prefix(head.why, TB_NET_FOREIGN), "%s", foreign[i]);
        g_auto(Head) free_host = give("", 80, foreign[i], NULL);
        ck_assert_ptr_null(free_host.why);
    }
    static const struct {
        const char *query;
        bool refused;
    } parameters[] = {
        {"a=b&key=AIzaMine-0123456789", true},
        {"KEY=AIzaMine-0123456789", true},
        {"%6b%65y=AIzaMine-0123456789", true},
        {"%256bey=AIzaMine-0123456789", true},
        {"access_token=ya29.mine-0123456789", true},
        {"a=1;private_token=glpat-mine0123456789", true},
        {"a=1%26key=AIzaMine-0123456789", true},
        {"key=@&key=AIzaMine-0123456789", true},
        {"key=AIzaMine-0123456789,@", true},
        {"api-key=AIzaMine-0123456789", true},
        {"key=short", false},
        {"key=words of a search that are long", false},
        {"monkey=AIzaMine-0123456789", false},
        {"page_token=AIzaMine-0123456789", false},
        {"key", false},
        {"key=", false},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(parameters); i++) {
        g_auto(Head) head = give(HOST, 443, NULL, parameters[i].query);
        bool refused = head.why && g_str_has_prefix(head.why, TB_NET_FOREIGN);
        ck_assert_msg(refused == parameters[i].refused, "%s", parameters[i].query);
        g_auto(Head) free_host = give("", 80, NULL, "key=AIzaMine-0123456789");
        ck_assert_ptr_null(free_host.why);
    }
    g_autofree char *two =
        g_strdup_printf("Authorization: Bearer %s %s", secret->placeholder, other->placeholder);
    g_auto(Head) beside = give(HOST, 443, two, NULL);
    ck_assert(g_str_has_prefix(beside.why, TB_NET_PLACEHOLDER "OTHER "));
    g_autofree char *pair = g_strdup_printf("user:%s:%s", secret->placeholder, other->placeholder);
    g_autofree char *pair_coded = g_base64_encode((const guchar *)pair, strlen(pair));
    g_autofree char *basic = g_strconcat("Authorization: Basic ", pair_coded, NULL);
    g_auto(Head) coded = give(HOST, 443, basic, NULL);
    ck_assert(g_str_has_prefix(coded.why, TB_NET_PLACEHOLDER "OTHER "));
    g_auto(Head) fine = give(HOST, 443, "Accept: */*", "q=sk-");
    ck_assert_ptr_null(fine.why);
}
END_TEST

/* Of two keys in one header a server may take the first. */
START_TEST(keys_beside)
{
    static const char *const refused[] = {
        "Authorization: Bearer sk-of-the-attacker @",
        "Authorization: Bearer @ sk-of-the-attacker",
        "X-Api-Key: sk-of-the-attacker, @",
        "X-Api-Key: @sk-of-the-attacker",
        "Authorization: Digest username=\"a\", response=\"0123456789abcdef\", opaque=\"@\"",
        "Authorization: Bearer . . . . . . . . . . . . . . . . . . . . . . . . . . . . . . . @"};
    static const struct {
        const char *before, *after;
        bool refused;
    } basics[] = {{"user:", "", false},
                  {"AC0123456789abcdef0123456789abcdef:", "", false},
                  {"", ":x-oauth-basic", false},
                  {"", ":", false},
                  {"", ":sk-of-the-attacker", true},
                  {"user:sk-of-the-attacker", "", true}};
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_auto(Head) head = give(HOST, 443, refused[i], NULL);
        ck_assert_msg(head.why && g_str_has_prefix(head.why, TB_NET_FOREIGN), "%s: %s", refused[i],
                      head.why);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(basics); i++) {
        g_autofree char *plain =
            g_strconcat(basics[i].before, secret->placeholder, basics[i].after, NULL);
        g_autofree char *coded = g_base64_encode((const guchar *)plain, strlen(plain));
        g_autofree char *line = g_strconcat("Authorization: Basic ", coded, NULL);
        g_auto(Head) head = give(HOST, 443, line, NULL);
        ck_assert_msg((head.why != NULL) == basics[i].refused, "%s: %s", plain, head.why);
    }
}
END_TEST

/* In pieces, differences and other letters no value can be seen. */
START_TEST(no_pieces)
{
    static const char *const names[] = {"Range", "Request-Range",  "If-Range",
                                        "A-IM",  "Accept-Charset", "Cookie"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *line = g_strconcat(names[i], ": x", NULL);
        g_auto(Head) head = give(HOST, 443, line, NULL);
        ck_assert_ptr_null(head.why);
        ck_assert_msg(!soup_message_headers_get_one(head.to, names[i]), "%s", names[i]);
        g_auto(Head) other_host = give("", 80, line, NULL);
        ck_assert_msg(soup_message_headers_get_one(other_host.to, names[i]) != NULL, "%s",
                      names[i]);
    }
}
END_TEST

START_TEST(answers)
{
    SoupMessageHeaders *from = soup_message_headers_new(SOUP_MESSAGE_HEADERS_RESPONSE);
    SoupMessageHeaders *to = soup_message_headers_new(SOUP_MESSAGE_HEADERS_RESPONSE);
    soup_message_headers_append(from, "X-Said", "<" VALUE ">");
    soup_message_headers_append(from,
                                "X-"
                                "sk-R3alV%2Falue%2BofAtLeast30Bytes0",
                                "name");
    soup_message_headers_append(from, "Connection", "close");
    soup_message_headers_append(from, "X-Fine", "yes");
    tb_vault_receive(vault, from, to);
    g_autofree char *wanted = g_strdup_printf("<%s>", secret->placeholder);
    ck_assert_str_eq(soup_message_headers_get_one(to, "X-Said"), wanted);
    ck_assert_str_eq(soup_message_headers_get_one(to, "X-Fine"), "yes");
    ck_assert_ptr_null(soup_message_headers_get_one(to, "Connection"));
    ck_assert_ptr_null(soup_message_headers_get_one(to, "X-sk-R3alV%2Falue%2BofAtLeast30Bytes0"));
    ck_assert_ptr_null(tb_vault_opaque(from));
    soup_message_headers_replace(from, "Content-Encoding", "identity");
    ck_assert_ptr_null(tb_vault_opaque(from));
    soup_message_headers_replace(from, "Content-Encoding", "gzip");
    ck_assert_ptr_nonnull(tb_vault_opaque(from));
    soup_message_headers_remove(from, "Content-Encoding");
    soup_message_headers_replace(from, "Transfer-Encoding", "gzip, chunked");
    ck_assert_ptr_nonnull(tb_vault_opaque(from));
    soup_message_headers_unref(from);
    soup_message_headers_unref(to);
}
END_TEST

/* ---- certificates */

static gnutls_x509_crt_t read_pem(const char *pem)
{
    gnutls_x509_crt_t crt;
    gnutls_datum_t text = {(unsigned char *)(uintptr_t)pem, (unsigned)strlen(pem)};
    ck_assert_int_eq(gnutls_x509_crt_init(&crt), 0);
    ck_assert_int_eq(gnutls_x509_crt_import(crt, &text, GNUTLS_X509_FMT_PEM), 0);
    return crt;
}

/* Whether the constraints of the authority let a certificate name this. */
static bool may_name(gnutls_x509_crt_t root, gnutls_x509_subject_alt_name_t type, const void *name,
                     size_t length)
{
    gnutls_x509_name_constraints_t constraints;
    unsigned critical = 0;
    gnutls_datum_t datum = {(unsigned char *)(uintptr_t)name, (unsigned)length};
    gnutls_x509_name_constraints_init(&constraints);
    ck_assert_int_eq(gnutls_x509_crt_get_name_constraints(root, constraints, 0, &critical), 0);
    ck_assert_uint_eq(critical, 1);
    bool may = gnutls_x509_name_constraints_check(constraints, type, &datum) != 0;
    gnutls_x509_name_constraints_deinit(constraints);
    return may;
}

START_TEST(certificates)
{
    gnutls_x509_crt_t root = read_pem(tb_authority_pem(vault->authority));
    unsigned ca = 0, critical = 0, usage = 0;
    int path = -1;
    ck_assert_int_ge(gnutls_x509_crt_get_basic_constraints(root, &critical, &ca, &path), 0);
    ck_assert(ca && path == 0);
    ck_assert_int_eq(gnutls_x509_crt_get_key_usage(root, &usage, &critical), 0);
    ck_assert_uint_eq(usage, GNUTLS_KEY_KEY_CERT_SIGN);
    time_t life = gnutls_x509_crt_get_expiration_time(root) - time(NULL);
    ck_assert(life > 0 && life <= TB_AUTHORITY_DAYS * 24 * 3600);
    ck_assert(may_name(root, GNUTLS_SAN_DNSNAME, HOST, strlen(HOST)));
    ck_assert(!may_name(root, GNUTLS_SAN_DNSNAME, "evil.test", 9));
    ck_assert(!may_name(root, GNUTLS_SAN_DNSNAME, "xapi.test", 9));
    ck_assert(!may_name(root, GNUTLS_SAN_IPADDRESS, "\x0b\0\0\1", 4));
    ck_assert_ptr_null(tb_authority_certificate(vault->authority, "evil.test"));
    GTlsCertificate *leaf = tb_authority_certificate(vault->authority, HOST);
    g_autofree char *pem = NULL;
    g_object_get(leaf, "certificate-pem", &pem, NULL);
    gnutls_x509_crt_t crt = read_pem(pem);
    unsigned verdict = 1;
    ck_assert_int_eq(gnutls_x509_crt_verify(crt, &root, 1, 0, &verdict), 0);
    ck_assert_uint_eq(verdict, 0);
    ck_assert(gnutls_x509_crt_check_hostname(crt, HOST) != 0);
    ck_assert(gnutls_x509_crt_check_hostname(crt, HOST_2) == 0);
    ck_assert_int_eq(gnutls_x509_crt_get_ca_status(crt, NULL), 0);
    gnutls_x509_crt_deinit(crt);
    /* Another task's is another. */
    TbVault *first = vault;
    open_vault();
    gnutls_x509_crt_t another = read_pem(tb_authority_pem(vault->authority));
    ck_assert_int_eq(gnutls_x509_crt_equals(root, another), 0);
    tb_vault_free(first);
    gnutls_x509_crt_deinit(another);
    gnutls_x509_crt_deinit(root);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net-secret");
    TCase *tests = tcase_create("secrets"), *heads = tcase_create("vault");
    tcase_add_test(tests, placeholders);
    tcase_add_test(tests, what_is_a_secret);
    tcase_add_test(tests, there_and_back);
    tcase_add_test(tests, over_borders);
    tcase_add_test(tests, held_back);
    tcase_add_test(tests, no_guessing);
    tcase_add_test(tests, values_in_values);
    tcase_add_test(tests, encodings);
    tcase_add_checked_fixture(heads, open_vault, close_vault);
    tcase_add_test(heads, values_go_to_their_host);
    tcase_add_test(heads, placeholders_go_nowhere);
    tcase_add_test(heads, keys_beside);
    tcase_add_test(heads, no_pieces);
    tcase_add_test(heads, answers);
    tcase_add_test(heads, certificates);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, heads);
    return suite_run(suite);
}
