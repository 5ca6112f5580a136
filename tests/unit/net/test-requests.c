/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is looked at in a request before it is carried: which headers go on, what is a push, and the
 * beginning of TLS, whole, cut and broken. */
#include <check.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

#include "../suite.h"
#include "net/hello.h"
#include "net/proxy.h"

START_TEST(headers)
{
    static const char *const hop[] = {"Connection",
                                      "keep-alive",
                                      "TE",
                                      "Proxy-Authorization",
                                      "proxy-anything",
                                      "Transfer-Encoding",
                                      "UPGRADE",
                                      "Host",
                                      "Content-Length",
                                      "X-Mine",
                                      "x-other"};
    static const char *const end[] = {"Accept", "Authorization", "Cookie", "X-Mine2", "Proxied"};
    for (size_t i = 0; i < G_N_ELEMENTS(hop); i++)
        ck_assert_msg(tb_header_stays(hop[i], "close, X-Mine ,x-OTHER"), "%s goes on", hop[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(end); i++)
        ck_assert_msg(!tb_header_stays(end[i], "close, X-Mine"), "%s stays", end[i]);
    ck_assert(!tb_header_stays("X-Mine", NULL));
}
END_TEST

START_TEST(pushes)
{
    static const char *const yes[][2] = {
        {"/a.git/git-receive-pack", NULL},
        {"/a.git/info/refs", "service=git-receive-pack"},
        {"/a.git/info/refs", "x=1&service=GIT-Receive-Pack"},
        {"/a.git/git%2dreceive%2Dpack", NULL},
        {"/a.git/git%252dreceive-pack", NULL},
        {"/a.git/%67it-receive-pack", NULL},
        /* What cannot be undone whole hides nothing. */
        {"/a.git/info/refs", "service=git-%72eceive-pack&x=%00"},
        {"/a.git/info/refs", "service=git-%72eceive-pack&x=%zz"},
        {"/a.git/info/refs", "service=git%252d%72eceive-pack&x=%"},
        {"/%00/git-%2572eceive-pack", NULL},
    };
    static const char *const no[][2] = {{"/a.git/git-upload-pack", NULL},
                                        {"/a.git/info/refs", "service=git-upload-pack"},
                                        {"/", NULL},
                                        {"/100%", "a=100%25"},
                                        {"/a%zz", "%"}};
    for (size_t i = 0; i < G_N_ELEMENTS(yes); i++)
        ck_assert_msg(tb_is_push(yes[i][0], yes[i][1]), "%s ? %s", yes[i][0], yes[i][1]);
    for (size_t i = 0; i < G_N_ELEMENTS(no); i++)
        ck_assert_msg(!tb_is_push(no[i][0], no[i][1]), "%s ? %s", no[i][0], no[i][1]);
}
END_TEST

START_TEST(heads)
{
    static const char *const methods[] = {
        "",        "GE\rT", "GET\nHost:evil", "GET\x0b/\x0bHTTP/1.1\nX:",
        "GE\x01T", "GET:",  "GE T",           "GET\x85"};
    static const char *const lines[][2] = {
        {"X-Mine\x0b", "a"}, {"X\x01", "a"}, {"X-Mine", "a\x0b"}, {"X-Mine", "\x7f"}};
    for (size_t i = 0; i < G_N_ELEMENTS(methods); i++) {
        SoupMessageHeaders *head = soup_message_headers_new(SOUP_MESSAGE_HEADERS_REQUEST);
        ck_assert_msg(tb_head_refused(methods[i], head) != NULL, "%zu", i);
        ck_assert_ptr_null(tb_head_refused("M-SEARCH", head));
        soup_message_headers_unref(head);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        SoupMessageHeaders *head = soup_message_headers_new(SOUP_MESSAGE_HEADERS_REQUEST);
        soup_message_headers_append(head, "X-Fine_1", "a\tb \xc3\xa4\xff");
        ck_assert_ptr_null(tb_head_refused("GET", head));
        soup_message_headers_append(head, lines[i][0], lines[i][1]);
        ck_assert_msg(tb_head_refused("GET", head) != NULL, "%zu", i);
        soup_message_headers_unref(head);
    }
}
END_TEST

static GByteArray *sent;

static ssize_t on_push(gnutls_transport_ptr_t transport, const void *data, size_t length)
{
    g_byte_array_append(sent, data, (guint)length);
    return (ssize_t)length;
}

static ssize_t on_pull(gnutls_transport_ptr_t transport, void *data, size_t length)
{
    gnutls_transport_set_errno((gnutls_session_t)transport, EAGAIN);
    return -1;
}

/* What a client of GnutTLS says first. */
static void make_hello(const char *name)
{
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    sent = g_byte_array_new();
    gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NONBLOCK);
    gnutls_certificate_allocate_credentials(&credentials);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_set_default_priority(session);
    if (name)
        gnutls_server_name_set(session, GNUTLS_NAME_DNS, name, strlen(name));
    gnutls_transport_set_ptr(session, session);
    gnutls_transport_set_push_function(session, on_push);
    gnutls_transport_set_pull_function(session, on_pull);
    gnutls_handshake(session);
    gnutls_deinit(session);
    gnutls_certificate_free_credentials(credentials);
}

static TbHelloResult look(const uint8_t *data, size_t length, char **name)
{
    const char *why = NULL;
    /* A copy without a byte to spare, so that a read past the end is seen. */
    g_autofree uint8_t *copy = g_memdup2(data, length);
    TbHelloResult result = tb_hello_parse(copy, length, name, &why);
    ck_assert_int_eq(result == TB_HELLO_BAD, why != NULL);
    ck_assert_int_eq(result == TB_HELLO_NAME, *name != NULL);
    return result;
}

START_TEST(hello)
{
    make_hello("Good.Test");
    for (guint length = 0; length < sent->len; length++) {
        g_autofree char *none = NULL;
        ck_assert_int_eq(look(sent->data, length, &none), TB_HELLO_MORE);
    }
    g_autofree char *name = NULL;
    ck_assert_int_eq(look(sent->data, sent->len, &name), TB_HELLO_NAME);
    ck_assert_str_eq(name, "good.test");
    g_byte_array_append(sent, (const uint8_t *)"more", 4);
    g_autofree char *again = NULL;
    ck_assert_int_eq(look(sent->data, sent->len, &again), TB_HELLO_NAME);
    g_byte_array_unref(sent);
}
END_TEST

/* The same message in records of three bytes. */
START_TEST(hello_in_small_records)
{
    make_hello("good.test");
    g_autoptr(GByteArray) cut = g_byte_array_new();
    for (guint at = 5; at < sent->len; at += 3) {
        guint size = MIN(3, sent->len - at);
        const uint8_t header[] = {22, 3, 1, 0, (uint8_t)size};
        g_byte_array_append(cut, header, sizeof header);
        g_byte_array_append(cut, sent->data + at, size);
    }
    g_autofree char *name = NULL;
    ck_assert_int_eq(look(cut->data, cut->len, &name), TB_HELLO_NAME);
    ck_assert_str_eq(name, "good.test");
    g_byte_array_unref(sent);
}
END_TEST

START_TEST(no_hello)
{
    static const char *const names[] = {NULL, "127.0.0.1", "localhost", "a_b.test"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *name = NULL;
        make_hello(names[i]);
        ck_assert_int_eq(look(sent->data, sent->len, &name), TB_HELLO_BAD);
        g_byte_array_unref(sent);
    }
    static const char *const other[] = {"GET / HTTP/1.1\r\n", "SSH-2.0", "\x16\x02\x00\x00\x05",
                                        "\x16\x03\x01\0\0\1", "\x15\x03\x01\0\2\2\x28"};
    static const size_t lengths[] = {16, 7, 5, 6, 7};
    for (size_t i = 0; i < G_N_ELEMENTS(other); i++) {
        g_autofree char *name = NULL;
        char bytes[16] = "";
        memcpy(bytes, other[i], lengths[i]);
        ck_assert_int_eq(look((const uint8_t *)bytes, lengths[i], &name), TB_HELLO_BAD);
    }
    g_autofree uint8_t *endless = g_malloc0(2 * TB_HELLO_MAX);
    for (size_t at = 0; at + 1029 < 2 * TB_HELLO_MAX; at += 1029)
        memcpy(endless + at, "\x16\x03\x01\x04\x00\x01\x00\xff\xff", 9);
    g_autofree char *name = NULL;
    ck_assert_int_eq(look(endless, 2 * TB_HELLO_MAX, &name), TB_HELLO_BAD);
}
END_TEST

/* Any byte changed: never another name than the one that is there. */
START_TEST(hello_with_a_changed_byte)
{
    make_hello("good.test");
    for (guint at = 0; at < sent->len; at++) {
        for (unsigned change = 1; change < 256; change = change * 2 + 1) {
            g_autofree char *name = NULL;
            sent->data[at] ^= (uint8_t)change;
            look(sent->data, sent->len, &name);
            ck_assert(!name || strchr(name, '.'));
            sent->data[at] ^= (uint8_t)change;
        }
    }
    g_byte_array_unref(sent);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("net-requests");
    TCase *tests = tcase_create("requests");
    tcase_add_test(tests, headers);
    tcase_add_test(tests, pushes);
    tcase_add_test(tests, heads);
    tcase_add_test(tests, hello);
    tcase_add_test(tests, hello_in_small_records);
    tcase_add_test(tests, no_hello);
    tcase_add_test(tests, hello_with_a_changed_byte);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
