/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../suite.h"
#include "util/term-filter.h"

#define BAD "\xef\xbf\xbd"

static char *filtered(TbTermFilter *filter, const char *in, size_t length, size_t step)
{
    char *out = malloc(tb_term_filter_room(length) + 1);
    size_t n = 0;
    for (size_t at = 0; at < length; at += step) {
        size_t part = length - at < step ? length - at : step;
        n += tb_term_filter_push(filter, in + at, part, out + n);
    }
    out[n] = '\0';
    return out;
}

static const char *const pass[] = {
    "plain text ~\r\n\ttab\b\v\f",
    "Grüße, 世界 🎉",
    "\033[31mred\033[0m\033[38;5;200m\033[38:2::1:2:3mmany\033[m",
    "\033[2J\033[H\033[10;20H\033[K\033[1A\033[5B\033[3P\033[2X\033[1;24r\033[4h\033[4l",
    "\033[?1049h\033[?25l\033[?2004h\033[?1000;1006h\033[?1;7l",
    "\0337\0338\033=\033>\033M\033D\033E\033H\033(0lqk\033(B\016\017",
    "\033[6n\033[5n\033[c\033[0c\033[>c\033[>0c", /* answered with numbers */
    "\033[5 q\033[ q\033[!p\033#8",
    "\a",
};

static const struct {
    const char *in, *out;
} changed[] = {
    {"a\033]0;title\ab", "ab"},
    {"a\033]2;title\033\\b", "ab"},
    {"a\033]52;c;cm0gLXJm\ab", "ab"}, /* clipboard */
    {"a\033]8;;http://evil.test/\033\\link\033]8;;\033\\b", "alinkb"},
    {"a\033]10;?\ab\033]4;1;?\033\\c", "abc"},                  /* colours asked for */
    {"a\033P$qm\033\\b\033P+q544e\033\\c", "abc"},              /* DECRQSS, XTGETTCAP */
    {"a\033_payload\033\\b\033^x\033\\c\033Xy\033\\d", "abcd"}, /* APC, PM, SOS */
    {"a\033kname\033\\b", "ab"},                                /* screen's title */
    {"a\033[21tb\033[20tc\033[18td\033[8;5;5te", "abcde"},      /* window */
    {"a\033[5ib\033[4ic\033[?5id", "abcd"},                     /* printer */
    {"a\033[3Jb", "ab"},                                        /* scrollback */
    {"a\033cb", "a\033[!p\033[H\033[2Jb"},
    {"a\033[2hb\033[12hc\033[20hd", "abcd"}, /* keyboard, echo, line feed */
    {"a\033[?3hb\033[?1001hc\033[?1;9999hd", "abcd"},
    {"a\033[?u\033[>1ub\033[=5c\033[>qc", "abc"},
    {"a\033[1;1;1;1;1;1*yb\033[?6n\033[?26nc", "abc"}, /* DECRQCRA, further DSR */
    {"a\033[?$pb\033[4$pc\033[62\"pd", "abcd"},
    {"a\033Zb\005c", "abc"},                    /* DECID, ENQ */
    {"a\033%Gb\033%@c\033 Gd\033.Ae", "abcde"}, /* other character sets */
    {"a\033(Xb", "ab"},
    {"a\033[31\033[32mb", "a\033[32mb"},
    {"a\033[31\x18 b", "a b"},        /* CAN */
    {"a\033[3\r1mb", "a\r\033[31mb"}, /* as a terminal does it */
    {"a\x7f\x01\x02\x03\x10\x11\x13\x1c\x1f"
     "b",
     "ab"},
    {"a\x9b"
     "31mb",
     "a" BAD "31mb"}, /* C1 CSI as a byte */
    {"a\xc2\x9b"
     "31mb\xc2\x9d"
     "0;t\xc2\x9c",
     "a" BAD "31mb" BAD "0;t" BAD},
    {"a\xff"
     "b\xc3",
     "a" BAD "b"},
    {"a\xe4\xb8"
     "b",
     "a" BAD "b"},
    {"a\xed\xa0\x80"
     "b\xf4\x90\x80\x80"
     "c\xc0\xaf"
     "d",
     "a" BAD "b" BAD "c" BAD BAD "d"},
    {"a\xe4\033[1mb", "a" BAD "\033[1mb"},
    {"a\033[1111111111111111111111111111111111111111111111111111111111111111111mb", "ab"},
    {"a\033[<1mb\033[1<2mc", "abc"},
};

START_TEST(passes)
{
    TbTermFilter filter;
    size_t length = strlen(pass[_i]);
    for (size_t step = 1; step <= length; step++) {
        tb_term_filter_init(&filter, true);
        char *out = filtered(&filter, pass[_i], length, step);
        ck_assert_str_eq(out, pass[_i]);
        free(out);
    }
}
END_TEST

START_TEST(is_changed)
{
    TbTermFilter filter;
    size_t length = strlen(changed[_i].in);
    for (size_t step = 1; step <= length; step++) {
        tb_term_filter_init(&filter, true);
        char *out = filtered(&filter, changed[_i].in, length, step);
        ck_assert_str_eq(out, changed[_i].out);
        free(out);
    }
}
END_TEST

static void restores(const char *in, const char *want)
{
    TbTermFilter filter;
    char out[TB_TERM_RESTORE + 1];
    tb_term_filter_init(&filter, true);
    free(filtered(&filter, in, strlen(in), 7));
    out[tb_term_filter_restore(&filter, out)] = '\0';
    ck_assert_str_eq(out, want);
    ck_assert_uint_eq(tb_term_filter_restore(&filter, out), 0);
}

START_TEST(modes_are_put_back)
{
    restores("text\r\n", "");
    restores("\033[1;31mred", "\033[m");
    restores("\033[1;31mred\033[0m", "");
    restores("\033[?1049h\033[?25l\033[?2004h", "\033[?2004l\033[?1049l\033[?25h");
    restores("\033[?1049h\033[?25l\033[?2004h\033[?2004l\033[?25h\033[?1049l", "");
    restores("\033[2;5r", "\0337\033[r\0338");
    restores("\033=\033[4h\033[2h\033[2l\033[3 q\033(0", "\033[4l\033>\033[0 q\033(B\033)B\017");
    restores("\033]0;never ended", "");
}
END_TEST

START_TEST(everything_at_once_is_put_back)
{
    char in[4096] = "\033=\033[4h\033[3 q\033(0\033[1;2r\033[1m";
    TbTermFilter filter;
    char out[TB_TERM_RESTORE];
    for (int mode = 0; mode < 3000; mode++) {
        char text[64];
        tb_term_filter_init(&filter, true);
        snprintf(text, sizeof text, "\033[?%dh", mode);
        char *passed = filtered(&filter, text, strlen(text), 99);
        if (*passed && strlen(in) + 20 < sizeof in)
            strcat(in, text);
        free(passed);
    }
    tb_term_filter_init(&filter, true);
    free(filtered(&filter, in, strlen(in), 99));
    size_t n = tb_term_filter_restore(&filter, out);
    ck_assert_uint_gt(n, 100);
    ck_assert_uint_lt(n, TB_TERM_RESTORE - 1);
}
END_TEST

START_TEST(without_utf8_only_ascii)
{
    TbTermFilter filter;
    tb_term_filter_init(&filter, false);
    char *out = filtered(&filter,
                         "a\xc3\x9b"
                         "b\xff",
                         5, 1); /* 0x9b would be CSI there */
    ck_assert_str_eq(out, "a?b?");
    free(out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("term-filter");
    TCase *tcase = tcase_create("all");
    tcase_add_loop_test(tcase, passes, 0, sizeof pass / sizeof *pass);
    tcase_add_loop_test(tcase, is_changed, 0, sizeof changed / sizeof *changed);
    tcase_add_test(tcase, modes_are_put_back);
    tcase_add_test(tcase, everything_at_once_is_put_back);
    tcase_add_test(tcase, without_utf8_only_ascii);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
