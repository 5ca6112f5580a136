/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/patch-view.h"

/* What a terminal gets when a box writes these pieces one after the other. */
static char *shown(const char *const *pieces)
{
    int channel[2];
    ck_assert_int_eq(pipe(channel), 0);
    TbScreen *screen = tb_screen_new_escaping(channel[1]);
    for (; *pieces; pieces++)
        ck_assert(tb_screen_write(screen, *pieces, strlen(*pieces), NULL));
    tb_screen_free(screen);
    close(channel[1]);
    char *text = g_malloc0(4096);
    ck_assert_int_ge(read(channel[0], text, 4095), 0);
    close(channel[0]);
    return text;
}

static const struct {
    const char *pieces[5];
    const char *text;
} screens[] = {
    {{"plain\ttext\n"}, "plain\ttext\n"},
    {{"\033]0;title\a\033[2J"}, "\\x1B]0;title\\x07\\x1B[2J"},
    {{"\xc3", "\xa4"}, "\xc3\xa4"},                       /* a character in two pieces */
    {{"\xf0\x9f", "\x98", "\x80!"}, "\xf0\x9f\x98\x80!"}, /* in three */
    {{"a\xc3"}, "a\\xC3"},                                /* never complete */
    {{"\xc3", "x"}, "\\xC3x"},                            /* not continued */
    {{"one\r\ntwo\rthree"}, "one\ntwo\nthree"},
    {{"one\r", "\ntwo"}, "one\ntwo"},
    {{"\xe2\x80", "\xae evil"}, "\\u{202E} evil"}, /* right-to-left override */
    {{"\x9b", "31m"}, "\\x9B31m"},
};

START_TEST(test_escaping)
{
    g_autofree char *text = shown(screens[_i].pieces);
    ck_assert_str_eq(text, screens[_i].text);
}
END_TEST

/* The same with colours, each piece of `patch` of `cut` bytes. */
static char *coloured(const char *patch, size_t cut)
{
    int channel[2];
    TbStyle style = {.colour = true, .width = 80};
    ck_assert_int_eq(pipe(channel), 0);
    TbScreen *screen = tb_screen_new_escaping(channel[1]);
    TbPatchView *view = tb_patch_view_new(screen, &style);
    for (size_t length = strlen(patch); length > 0;) {
        size_t part = MIN(cut, length);
        ck_assert(tb_patch_view_write(view, patch, part, NULL));
        patch += part;
        length -= part;
    }
    tb_patch_view_free(view);
    tb_screen_free(screen);
    close(channel[1]);
    char *text = g_malloc0(8192);
    ck_assert_int_ge(read(channel[0], text, 8191), 0);
    close(channel[0]);
    return text;
}

#define BOLD  "\033[1m"
#define GREEN "\033[32m"
#define RED   "\033[31m"
#define FAINT "\033[2m"
#define END   "\033[0m"

START_TEST(test_patch_colours)
{
    static const char patch[] =
        "Subject: - a +\n+none\n"
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1 @@ f()\n"
        " same\xc3\xa4\n--- a/y\n@@ -7 +7,2 @@\n-\033[0m\xc3\n+\xc3\xa4\r\n+b\n+no";
    static const char shown_as[] =
        "Subject: - a +" END "\n+none" END "\n" BOLD "diff --git a/x b/x" END "\n" BOLD
        "--- a/x" END "\n" BOLD "+++ b/x" END "\n" FAINT "@@ -1,2 +1 @@ f()" END
        "\n same\xc3\xa4" END "\n" RED "--- a/y" END "\n" FAINT "@@ -7 +7,2 @@" END "\n" RED
        "-\\x1B[0m\\xC3" END "\n" GREEN "+\xc3\xa4\n" END GREEN "+b" END "\n+no" END;
    for (size_t cut = 1; cut < sizeof patch; cut++) {
        g_autofree char *text = coloured(patch, cut);
        ck_assert_str_eq(text, shown_as);
    }
}
END_TEST

/* Of any length, and cut anywhere: nothing is lost, and the colour is one. */
START_TEST(test_long_lines)
{
    g_autofree char *line = g_strnfill(3000, 'x');
    for (size_t length = 250; length < 262; length++) {
        line[length] = '\0';
        g_autofree char *patch = g_strdup_printf("@@ -0,0 +1 @@\n+%s\n", line);
        g_autofree char *wanted =
            g_strdup_printf(FAINT "@@ -0,0 +1 @@" END "\n" GREEN "+%s" END "\n", line);
        line[length] = 'x';
        for (size_t cut = 1; cut < 300; cut += 7) {
            g_autofree char *text = coloured(patch, cut);
            ck_assert_str_eq(text, wanted);
        }
    }
}
END_TEST

START_TEST(test_raw_elsewhere)
{
    int channel[2];
    ck_assert_int_eq(pipe(channel), 0);
    g_autoptr(TbScreen) screen = tb_screen_new(channel[1]);
    ck_assert(tb_screen_write(screen, "\033[31m\0\xff\r\n", 9, NULL));
    char text[16] = "";
    ck_assert_int_eq(read(channel[0], text, sizeof text), 9);
    ck_assert_mem_eq(text, "\033[31m\0\xff\r\n", 9);
    close(channel[0]);
    /* nobody reads: no error, the rest is dropped */
    signal(SIGPIPE, SIG_IGN);
    ck_assert(tb_screen_write(screen, "x", 1, NULL));
    ck_assert(tb_screen_write(screen, "y", 1, NULL));
}
END_TEST

START_TEST(test_full_disk)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(full, 0);
    g_autoptr(TbScreen) screen = tb_screen_new(full);
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_screen_write(screen, "x", 1, &error));
    ck_assert_ptr_nonnull(error);
    close(full);
}
END_TEST

START_TEST(test_summaries)
{
    TbPatchStat none = {0}, one = {.files = 1, .added = 2},
                many = {.files = 3, .added = 10, .removed = 2};
    g_autofree char *a = tb_stat_format(&none), *b = tb_stat_format(&one),
                    *c = tb_stat_format(&many);
    ck_assert_str_eq(a, "no changes");
    ck_assert_str_eq(b, "1 file, +2 -0");
    ck_assert_str_eq(c, "3 files, +10 -2");
    int64_t now = g_get_real_time() / 1000;
    g_autofree char *minutes = tb_age_format(now - 5 * 60 * 1000 - 500);
    g_autofree char *future = tb_age_format(now + 10000);
    ck_assert_str_eq(minutes, "5 m");
    ck_assert_str_eq(future, "now");
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("screen");
    tcase_add_loop_test(cases, test_escaping, 0, G_N_ELEMENTS(screens));
    tcase_add_test(cases, test_patch_colours);
    tcase_add_test(cases, test_long_lines);
    tcase_add_test(cases, test_raw_elsewhere);
    tcase_add_test(cases, test_full_disk);
    tcase_add_test(cases, test_summaries);
    return suite_run_case("cli screen", cases);
}
