/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../suite.h"
#include "util/escape.h"

static const struct {
    const char *in, *out;
} cases[] = {
    {"", ""},
    {"plain text ~", "plain text ~"},
    {"back\\slash", "back\\slash"},
    {"Grüße, 世界 🎉", "Grüße, 世界 🎉"},
    {"\x1b[31mred", "\\x1B[31mred"},
    {"bell\a\b\r\x7f", "bell\\x07\\x08\\x0D\\x7F"},
    {"line\nnext\tcell", "line\\x0Anext\\x09cell"},
    {"\xc2\x9b"
     "31m",
     "\\u{009B}31m"}, /* C1 CSI */
    {"\x9b"
     "31m",
     "\\x9B31m"}, /* the same as a bare byte */
    {"\xe2\x80\xae"
     "cod.exe",
     "\\u{202E}cod.exe"}, /* right-to-left override */
    {"a\xe2\x81\xa6"
     "b\xe2\x81\xa9",
     "a\\u{2066}b\\u{2069}"},
    {"a\xe2\x80\x8b"
     "b",
     "a\\u{200B}b"}, /* zero width space */
    {"a\xe2\x80\x8d"
     "b",
     "a\\u{200D}b"},
    {"\xef\xbb\xbfx", "\\u{FEFF}x"},
    {"\xf3\xa0\x81\x81", "\\u{E0041}"}, /* tag A */
    {"x\xef\xb8\x8f", "x\\u{FE0F}"},    /* variation selector */
    {"\xf3\xa0\x84\x80", "\\u{E0100}"},
    {"\xe3\x85\xa4", "\\u{3164}"}, /* Hangul filler */
    {"\xe2\x80\xa8", "\\u{2028}"},
    {"soft\xc2\xadhyphen", "soft\\u{00AD}hyphen"},
    {"\xc3\x28", "\\xC3("},
    {"cut \xe4\xb8", "cut \\xE4\\xB8"},
    {"\xc0\xaf", "\\xC0\\xAF"},          /* overlong */
    {"\xed\xa0\x80", "\\xED\\xA0\\x80"}, /* surrogate */
    {"\xf5\x80\x80\x80", "\\xF5\\x80\\x80\\x80"},
};

START_TEST(test_name)
{
    g_autofree char *out = tb_escape_name(cases[_i].in);
    ck_assert_str_eq(out, cases[_i].out);
}
END_TEST

START_TEST(test_multiline)
{
    static const char text[] = "a\n\tb\r\n\x1b]0;title\a";
    g_autofree char *out = tb_escape_terminal(text, strlen(text), true);
    ck_assert_str_eq(out, "a\n\tb\\x0D\n\\x1B]0;title\\x07");
}
END_TEST

START_TEST(test_nul_and_null)
{
    g_autofree char *out = tb_escape_terminal("a\0b", 3, false);
    ck_assert_str_eq(out, "a\\x00b");
    g_autofree char *none = tb_escape_terminal(NULL, 0, true);
    ck_assert_str_eq(none, "");
}
END_TEST

/* Whatever comes in, what goes out is UTF-8 without a control character. */
START_TEST(test_any_bytes)
{
    GRand *random = g_rand_new_with_seed((guint32)_i);
    uint8_t bytes[257];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)g_rand_int_range(random, 0, 256);
    g_rand_free(random);
    g_autofree char *out = tb_escape_terminal(bytes, sizeof bytes, false);
    ck_assert(g_utf8_validate(out, -1, NULL));
    for (const char *c = out; *c; c = g_utf8_next_char(c))
        ck_assert(g_unichar_isprint(g_utf8_get_char(c)));
}
END_TEST

int main(void)
{
    TCase *escape = tcase_create("escape");
    tcase_add_loop_test(escape, test_name, 0, G_N_ELEMENTS(cases));
    tcase_add_test(escape, test_multiline);
    tcase_add_test(escape, test_nul_and_null);
    tcase_add_loop_test(escape, test_any_bytes, 0, 50);
    Suite *suite = suite_create("util-escape");
    suite_add_tcase(suite, escape);
    return suite_run(suite);
}
