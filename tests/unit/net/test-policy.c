/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names, rules, addresses, and the lines that cross: all forms that were a way around a filter
 * somewhere. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../suite.h"
#include "net/address.h"
#include "net/connect.h"
#include "net/policy.h"
#include "net/report.h"
#include "util/error.h"

static char *parse(const char *text)
{
    return tb_host_parse(text, strlen(text), NULL);
}

START_TEST(names)
{
    static const struct {
        const char *text, *name;
    } good[] = {
        {"example.com", "example.com"},
        {"EXAMPLE.Com.", "example.com"},
        {"a-b.c-d.e", "a-b.c-d.e"},
        {"xn--bcher-kva.example", "xn--bcher-kva.example"},
        {"1.example", "1.example"},
        {"1.2.3.4.example", "1.2.3.4.example"},
        {"0x7f.example", "0x7f.example"},
        {"a.0b", "a.0b"},
        {"a.1x", "a.1x"},
        {"a.x1", "a.x1"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autofree char *name = parse(good[i].text);
        ck_assert_msg(name && strcmp(name, good[i].name) == 0, "'%s' is '%s'", good[i].text, name);
    }
}
END_TEST

START_TEST(no_names)
{
    static const char *const bad[] = {
        "",
        ".",
        "..",
        "a..b",
        ".a.b",
        "a.b..",
        "localhost",
        "-a.b",
        "a-.b",
        "a.-b",
        "a_b.c",
        "a b.c",
        "a\tb.c",
        "a\nb.c",
        "a%2eb.c",
        "a@b.c",
        "a/b.c",
        "a:b.c",
        "[::1]",
        "::1",
        "a.b\x7f",
        "\xc3\xa9.example",
        "a\\.b",
        "a.b%00.c",
        "a.b#",
        "a.b?",
        "*.b.c",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "0",
        "1.2.3.4.",
        "a.0x",
        "a.0xff",
        "a.1",
        "a.b.0x1F",
        "0x7f000001",
        "a.00",
        "1.2.3.0XfF",
        "fe80::1%lo",
        "::ffff:1.2.3.4",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *name = parse(bad[i]);
        ck_assert_msg(!name, "'%s' is '%s'", bad[i], name);
    }
    ck_assert_ptr_null(tb_host_parse("evil.test\0.good.test", 20, NULL));
    ck_assert_ptr_null(tb_host_parse("good.test\0", 10, NULL));
    g_autofree char *label = g_strnfill(64, 'a');
    g_autofree char *longer = g_strdup_printf("%s.test", label);
    ck_assert_ptr_null(parse(longer));
    g_autofree char *just = parse(longer + 1);
    ck_assert_ptr_nonnull(just);
    g_autoptr(GString) all = g_string_new("a");
    while (all->len <= TB_HOST_MAX)
        g_string_append(all, ".a");
    ck_assert_ptr_null(parse(all->str));
    for (int byte = 0; byte < 256; byte++) {
        char text[] = "a?b.test";
        text[1] = (char)byte;
        g_autofree char *name = tb_host_parse(text, 8, NULL);
        ck_assert_int_eq(name != NULL, g_ascii_isalnum(byte) || byte == '-' || byte == '.');
    }
}
END_TEST

static TbNetPolicy *policy_of(const char *rule)
{
    TbNetPolicy *policy = tb_net_policy_new();
    ck_assert_msg(tb_net_policy_add(policy, rule, NULL), "'%s' is no rule", rule);
    return policy;
}

START_TEST(rules)
{
    static const struct {
        const char *rule, *host;
        uint16_t port;
        bool allowed;
    } cases[] = {
        {"a.test", "a.test", 443, true},         {"a.test", "a.test", 80, true},
        {"a.test", "a.test", 22, false},         {"a.test", "b.a.test", 443, false},
        {"a.test", "xa.test", 443, false},       {"a.test", "a.test.b", 443, false},
        {"A.Test.", "a.test", 443, true},        {"a.test:8080", "a.test", 8080, true},
        {"a.test:8080", "a.test", 443, false},   {"*.a.test", "b.a.test", 443, true},
        {"*.a.test", "c.b.a.test", 443, true},   {"*.a.test", "a.test", 443, false},
        {"*.a.test", "xxa.test", 443, false},    {"*.a.test", "xa.test", 443, false},
        {"*.a.test", ".a.test", 443, false},     {"*.a.test:22", "b.a.test", 22, true},
        {"*.a.test:22", "b.a.test", 443, false},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(TbNetPolicy) policy = policy_of(cases[i].rule);
        ck_assert_msg(tb_net_policy_allows(policy, cases[i].host, cases[i].port) ==
                          cases[i].allowed,
                      "%s: %s:%u", cases[i].rule, cases[i].host, cases[i].port);
    }
}
END_TEST

START_TEST(no_rules)
{
    static const char *const bad[] = {"",
                                      "*",
                                      "*.",
                                      "a",
                                      "127.0.0.1",
                                      "a.test:",
                                      "a.test:0",
                                      "a.test:x",
                                      "a.test:65536",
                                      "a.*.test",
                                      "**.test",
                                      "*a.test",
                                      "http://a.test",
                                      "a.test/x",
                                      "*.1"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(TbNetPolicy) policy = tb_net_policy_new();
        g_autoptr(GError) error = NULL;
        ck_assert_msg(!tb_net_policy_add(policy, bad[i], &error), "'%s' is a rule", bad[i]);
        ck_assert(g_error_matches(error, TB_ERROR, TB_ERROR_USAGE));
    }
}
END_TEST

START_TEST(there_and_back)
{
    g_autoptr(TbNetPolicy) policy = policy_of("a.test");
    ck_assert(tb_net_policy_add(policy, "*.b.test:8443", NULL));
    ck_assert(tb_net_policy_add(policy, "A.TEST", NULL)); /* is there already */
    g_autofree char *text = tb_net_policy_format(policy);
    ck_assert_str_eq(text, "taskbox-policy 1\nallow a.test\nallow *.b.test:8443\nend\n");
    g_autoptr(TbNetPolicy) again = tb_net_policy_parse(text, NULL);
    g_autofree char *shown = tb_net_policy_text(again);
    ck_assert_str_eq(shown, "a.test, *.b.test:8443");
    for (size_t cut = 0; cut < strlen(text); cut++) {
        g_autofree char *part = g_strndup(text, cut);
        ck_assert_ptr_null(tb_net_policy_parse(part, NULL));
    }
    g_autoptr(TbNetPolicy) none = tb_net_policy_new();
    g_autofree char *nothing = tb_net_policy_text(none);
    ck_assert_str_eq(nothing, "none");
    ck_assert(!tb_net_policy_allows(none, "a.test", 443));
    none->open = true;
    g_autofree char *open = tb_net_policy_format(none);
    g_autoptr(TbNetPolicy) is_open = tb_net_policy_parse(open, NULL);
    ck_assert(tb_net_policy_allows(is_open, "a.test", 1));
}
END_TEST

static TbNetPolicy *policy_of_all(const char *list)
{
    TbNetPolicy *policy = tb_net_policy_new();
    g_auto(GStrv) words = g_strsplit(list, " ", -1);
    for (char **word = words; *word; word++)
        if (strcmp(*word, "open") == 0)
            policy->open = true;
        else
            ck_assert(tb_net_policy_add(policy, *word, NULL));
    return policy;
}

START_TEST(narrowed)
{
    static const struct {
        const char *rules, *only, *both;
    } cases[] = {
        {"a.test b.test", "b.test c.test", "b.test"},
        {"a.test", "none.test", "none"},
        {"a.test", "", "none"},
        {"open", "a.test *.b.test:8443", "a.test, *.b.test:8443"},
        {"a.test", "open", "a.test"},
        {"*.a.test", "x.a.test a.test", "x.a.test"},
        {"x.a.test a.test", "*.a.test", "x.a.test"},
        {"*.a.test", "*.b.a.test", "*.b.a.test"},
        {"*.b.a.test", "*.a.test", "*.b.a.test"},
        {"*.a.test", "*.a.test", "*.a.test"},
        {"a.test", "*.a.test", "none"},
        {"*.a.test", "a.test", "none"},
        {"a.test", "a.test:443", "a.test:443"},
        {"a.test:443", "a.test", "a.test:443"},
        {"a.test:8080", "a.test", "none"},
        {"a.test", "a.test:8080", "none"},
        {"a.test:8080", "a.test:8080", "a.test:8080"},
        {"a.test:80", "a.test:443", "none"},
        {"*.a.test:443", "x.a.test", "x.a.test:443"},
        {"a.test a.test:443", "a.test", "a.test, a.test:443"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(TbNetPolicy) policy = policy_of_all(cases[i].rules);
        g_autoptr(TbNetPolicy) only = policy_of_all(cases[i].only);
        policy->requests = 7;
        tb_net_policy_narrow(policy, only);
        g_autofree char *text = tb_net_policy_text(policy);
        ck_assert_msg(strcmp(text, cases[i].both) == 0, "'%s' of '%s' is '%s'", cases[i].only,
                      cases[i].rules, text);
        ck_assert_uint_eq(policy->requests, 7);
    }
}
END_TEST

START_TEST(addresses)
{
    static const char *const refused[] = {
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.170",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
        "::",
        "::1",
        "::ffff:8.8.8.8",
        "::ffff:127.0.0.1",
        "::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2001:10::1",
        "2002:7f00:1::",
        "2002:808:808::",
        "3fff::1",
        "4000::1",
        "5f00::1",
    };
    static const char *const fine[] = {
        "1.1.1.1",      "8.8.8.8",         "9.255.255.255", "11.0.0.1",    "100.63.255.255",
        "100.128.0.1",  "126.0.0.1",       "128.0.0.1",     "169.253.0.1", "172.15.0.1",
        "172.32.0.1",   "192.167.0.1",     "198.17.0.1",    "198.20.0.1",  "223.255.255.254",
        "2606:4700::1", "2001:4860::8888", "2a00:1450::1"};
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(GInetAddress) address = g_inet_address_new_from_string(refused[i]);
        ck_assert_msg(address && tb_address_refused(address), "%s is fine", refused[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(fine); i++) {
        g_autoptr(GInetAddress) address = g_inet_address_new_from_string(fine[i]);
        ck_assert_msg(address && !tb_address_refused(address), "%s is refused", fine[i]);
    }
}
END_TEST

static GList *list_of(const char *const *texts)
{
    GList *list = NULL;
    for (; *texts; texts++)
        list = g_list_append(list, g_inet_address_new_from_string(*texts));
    return list;
}

/* One bad address among good ones, at any place, is enough. */
START_TEST(pinned)
{
    static const char *const good[] = {"1.1.1.1", "2606:4700::1", NULL};
    static const char *const bad[][4] = {{"127.0.0.1", "1.1.1.1"},
                                         {"1.1.1.1", "127.0.0.1"},
                                         {"1.1.1.1", "2606:4700::1", "::1"},
                                         {NULL}};
    GList *list = list_of(good);
    g_autoptr(GSocketConnectable) name = tb_net_pin("a.test", 443, list, NULL);
    ck_assert(G_IS_NETWORK_ADDRESS(name)); /* TLS finds the name in it */
    ck_assert_str_eq(g_network_address_get_hostname(G_NETWORK_ADDRESS(name)), "a.test");
    g_autoptr(GSocketAddressEnumerator) all = g_socket_connectable_enumerate(name);
    for (int i = 0; good[i]; i++) {
        g_autoptr(GSocketAddress) address = g_socket_address_enumerator_next(all, NULL, NULL);
        g_autofree char *text = g_inet_address_to_string(
            g_inet_socket_address_get_address(G_INET_SOCKET_ADDRESS(address)));
        ck_assert_str_eq(text, good[i]);
    }
    ck_assert_ptr_null(g_socket_address_enumerator_next(all, NULL, NULL));
    g_list_free_full(list, g_object_unref);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        list = list_of(bad[i]);
        ck_assert_ptr_null(tb_net_pin("a.test", 443, list, &error));
        ck_assert(
            g_error_matches(error, TB_ERROR, bad[i][0] ? TB_ERROR_DENIED : TB_ERROR_NOT_FOUND));
        g_list_free_full(list, g_object_unref);
    }
}
END_TEST

START_TEST(lines)
{
    g_auto(TbNetEvent) event = {.time = 12,
                                .what = g_strdup("GET"),
                                .host = g_strdup("a\tb\n\033[2J"),
                                .port = 80,
                                .verdict = TB_NET_REFUSED,
                                .reason = g_strdup("no\r"),
                                .sent = 3,
                                .received = 4};
    g_autofree char *line = tb_net_event_format(&event);
    g_auto(TbNetEvent) back = {0};
    ck_assert(tb_net_event_parse(line, &back));
    ck_assert_str_eq(back.host, "a\\x09b\\x0A\\x1B[2J");
    ck_assert_int_eq(back.verdict, TB_NET_REFUSED);
    ck_assert_uint_eq(back.received, 4);
    static const char *const bad[] = {"",
                                      "\t\t\t\t\t\t\t",
                                      "1\tGET\ta\t80\tmaybe\t\t0\t0",
                                      "1\tGET\ta\t65536\tallowed\t\t0\t0",
                                      "1\tGET\ta\t80\tallowed\t\t0",
                                      "-1\tGET\ta\t80\tallowed\t\t0\t0",
                                      "1\tGET\ta\t80\tallowed\t\t0\t0\t0"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_auto(TbNetEvent) none = {0};
        ck_assert_msg(!tb_net_event_parse(bad[i], &none), "'%s' is a line", bad[i]);
    }
    g_auto(TbNetEvent) hostile = {0};
    ck_assert(tb_net_event_parse("1\tGET\t\033]0;x\a\t80\tallowed\t\0332J\t0\t0", &hostile));
    ck_assert(!strchr(hostile.host, '\033') && !strchr(hostile.reason, '\033'));
    g_autofree char *huge = g_strnfill(100000, '\001');
    g_free(event.host);
    event.host = g_strdup(huge);
    g_autofree char *cut = tb_net_event_format(&event);
    ck_assert_uint_lt(strlen(cut), TB_NET_LINE_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net-policy");
    TCase *tests = tcase_create("policy");
    tcase_add_test(tests, names);
    tcase_add_test(tests, no_names);
    tcase_add_test(tests, rules);
    tcase_add_test(tests, no_rules);
    tcase_add_test(tests, there_and_back);
    tcase_add_test(tests, narrowed);
    tcase_add_test(tests, addresses);
    tcase_add_test(tests, pinned);
    tcase_add_test(tests, lines);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
