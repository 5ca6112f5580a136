/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Line comparison: whatever the texts, the edits turn one into the other. */
#include <check.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "../suite.h"
#include "review/lines.h"

/* The base with its edits made. */
static char *apply_edits(const TbLines *a, const TbLines *b, const TbEdit *edits, size_t count)
{
    GString *text = g_string_new(NULL);
    uint32_t at = 0;
    for (size_t i = 0; i < count; i++) {
        const TbEdit *edit = &edits[i];
        ck_assert(i == 0 || edit->a > at || edit->a == 0); /* an equal line in between */
        ck_assert_uint_ge(edit->a, at);
        g_string_append_len(text, (const char *)a->text + a->start[at],
                            a->start[edit->a] - a->start[at]);
        g_string_append_len(text, (const char *)b->text + b->start[edit->b],
                            b->start[edit->b + edit->b_count] - b->start[edit->b]);
        at = edit->a + edit->a_count;
    }
    g_string_append_len(text, (const char *)a->text + a->start[at],
                        a->start[a->count] - a->start[at]);
    return g_string_free(text, FALSE);
}

/* "A,COUNT>B,COUNT" of each edit. */
static char *compare(const char *from, const char *to)
{
    TbLines a, b;
    size_t count = 0;
    tb_lines_split(&a, (const uint8_t *)from, strlen(from));
    tb_lines_split(&b, (const uint8_t *)to, strlen(to));
    g_autofree TbEdit *edits = tb_lines_compare(&a, &b, &count);
    g_autofree char *made = apply_edits(&a, &b, edits, count);
    ck_assert_str_eq(made, to);
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < count; i++)
        g_string_append_printf(text, "%s%u,%u>%u,%u", i ? " " : "", edits[i].a, edits[i].a_count,
                               edits[i].b, edits[i].b_count);
    tb_lines_clear(&a);
    tb_lines_clear(&b);
    return g_string_free(text, FALSE);
}

static const struct {
    const char *from, *to, *edits;
} known[] = {
    {"", "", ""},
    {"a\n", "a\n", ""},
    {"", "a\nb\n", "0,0>0,2"},
    {"a\nb\n", "", "0,2>0,0"},
    {"a\nb\nc\n", "a\nx\nc\n", "1,1>1,1"},
    {"a\nb", "a\nb\n", "1,1>1,1"}, /* a newline at the end is a difference */
    {"a\nb\nc\n", "b\nc\nd\n", "0,1>0,0 3,0>2,1"},
    {"x\nx\nx\n", "x\nx\n", "2,1>2,0"},
    {"a\nb\na\nb\nc\n", "a\nb\nc\na\nb\n", "2,0>2,1 4,1>5,0"},
    {"p\nq\np\nq\np\n", "q\np\nq\np\nq\n", "0,1>0,0 5,0>4,1"}, /* nothing is unique: Myers */
};

START_TEST(test_known)
{
    g_autofree char *edits = compare(known[_i].from, known[_i].to);
    ck_assert_str_eq(edits, known[_i].edits);
}
END_TEST

static char *random_text(GRand *random, int lines, int kinds)
{
    GString *text = g_string_new(NULL);
    int count = g_rand_int_range(random, 0, lines);
    for (int i = 0; i < count; i++)
        g_string_append_printf(text, "%d\n", g_rand_int_range(random, 0, kinds));
    if (g_rand_boolean(random))
        g_string_append(text, "end");
    return g_string_free(text, FALSE);
}

START_TEST(test_random)
{
    GRand *random = g_rand_new_with_seed((guint32)_i);
    for (int i = 0; i < 50; i++) {
        int kinds = g_rand_int_range(random, 1, 60);
        g_autofree char *from = random_text(random, 80, kinds);
        g_autofree char *to = random_text(random, 80, kinds);
        g_free(compare(from, to));
    }
    g_rand_free(random);
}
END_TEST

/* Texts on which a greedy search alone would take for ever. */
START_TEST(test_bounded)
{
    GRand *random = g_rand_new_with_seed(7);
    GString *from = g_string_new(NULL), *to = g_string_new(NULL);
    for (int i = 0; i < 60000; i++) {
        g_string_append_printf(from, "%d\n", g_rand_int_range(random, 0, 50));
        g_string_append_printf(to, "%d\n", g_rand_int_range(random, 0, 50));
    }
    gint64 start = g_get_monotonic_time();
    g_free(compare(from->str, to->str));
    ck_assert_int_lt(g_get_monotonic_time() - start, 20 * G_USEC_PER_SEC);
    g_string_free(from, TRUE);
    g_string_free(to, TRUE);
    g_rand_free(random);
}
END_TEST

/* The text without its line end, of either kind. */
START_TEST(test_line_text)
{
    TbLines lines;
    size_t length = 0;
    tb_lines_split(&lines, (const uint8_t *)"one\r\ntwo\n\r\nthree", 16);
    static const char *const texts[] = {"one", "two", "", "three"};
    ck_assert_uint_eq(lines.count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        const uint8_t *text = tb_line_text(&lines, i, &length);
        ck_assert_uint_eq(length, strlen(texts[i]));
        ck_assert_mem_eq(text, texts[i], length);
    }
    tb_lines_clear(&lines);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lines");
    TCase *tests = tcase_create("lines");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, test_known, 0, G_N_ELEMENTS(known));
    tcase_add_loop_test(tests, test_random, 0, 20);
    tcase_add_test(tests, test_bounded);
    tcase_add_test(tests, test_line_text);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
