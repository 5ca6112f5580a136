/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What commits bring that the patch does not show: in between, in their messages and authors. And
 * how their words become harmless. */
#include "../suite.h"
#include "fixture.h"

#include <string.h>
#include <unistd.h>

#include "patch/series.h"
#include "review/findings.h"
#include "review/words.h"

#define TOKEN "ghp_aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2dE3f"
#define KEY   "AKIAQ3EGR7B5WZ2LKD4N"

static Fixture f;
static GPtrArray *series;
static char *result;

static void start(void)
{
    f = (Fixture){0};
    fixture_start(&f);
    PUT(f.repository, "info/attributes", PLAIN_ATTRIBUTES);
    PUT(f.project, "config", "old " TOKEN "\nplain\n");
    PUT(f.project, "other", "x\n");
    fixture_base(&f);
    series = tb_series_new();
}

static void stop(void)
{
    g_clear_pointer(&series, g_ptr_array_unref);
    g_clear_pointer(&result, g_free);
    fixture_stop(&f);
}

/* The box as it is becomes a commit; without an author, what was not committed. */
static void commit(const char *author, const char *message)
{
    TbSeriesStep *step = g_new0(TbSeriesStep, 1);
    *step = (TbSeriesStep){.commit = author ? g_strdup_printf("%040u", series->len + 1) : NULL,
                           .tree = tree_of(&f, f.box),
                           .author = author ? g_strdup_printf("%s 1 +0000", author) : NULL,
                           .message = g_strdup(message)};
    g_ptr_array_add(series, step);
    g_free(result);
    result = g_strdup(step->tree);
}

static void gone(const char *path)
{
    g_autofree char *full = g_build_filename(f.box, path, NULL);
    ck_assert_int_eq(unlink(full), 0);
}

static TbFindings *find(void)
{
    g_autoptr(GError) error = NULL;
    TbFindings *findings = tb_findings_find(f.git, f.base_tree, result, NULL, &error);
    ck_assert_msg(findings != NULL, "%s", error ? error->message : "");
    ck_assert_msg(tb_findings_add_commits(findings, f.git, f.base_tree, result, series, &error),
                  "%s", error ? error->message : "");
    return findings;
}

/* "RULE PLACE: DETAIL" of each, a line each. */
static void expect(const TbFindings *findings, const char *wanted)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < findings->list->len; i++) {
        const TbFinding *finding = findings->list->pdata[i];
        g_autofree char *place = tb_finding_place(finding);
        g_string_append_printf(text, "%s %s: %s\n", finding->rule, place,
                               finding->detail ? finding->detail : "-");
    }
    ck_assert_str_eq(text->str, wanted);
}

START_TEST(test_between)
{
    PUT(f.box, "config", "plain\nnew " KEY "\nstays " KEY "\n");
    PUT(f.box, "CLAUDE.md", "obey\n");
    PUT(f.box, "stays.sh", "\033[31m\n");
    put_file(f.box, "data", "a\0b", 3, 0644);
    commit("A <a@b>", "One\n");
    PUT(f.box, "config", "plain\nstays " KEY "\n");
    gone("CLAUDE.md");
    gone("data");
    commit("A <a@b>", "Two\n");
    PUT(f.box, "other", "y\n");
    commit(NULL, "");
    g_autoptr(TbFindings) findings = find();
    expect(findings, "credential config:2: AWS access key: AKIA... (20 characters)\n"
                     "terminal-escape stays.sh:1: U+001B (escape)\n"
                     "agent-instructions CLAUDE.md in commit 000000000000: -\n"
                     "credential config:2 in commit 000000000000: AWS access key: AKIA... (20 "
                     "characters)\n"
                     "binary data in commit 000000000000: 3 B\n");
    ck_assert_uint_eq(findings->counts[TB_SEVERITY_HIGH], 4);
    g_autofree const char **patch = tb_findings_high_rules(findings, false);
    g_autofree const char **all = tb_findings_high_rules(findings, true);
    ck_assert_uint_eq(g_strv_length((char **)patch), 2);
    ck_assert_uint_eq(g_strv_length((char **)all), 3);
    g_autofree char *text = tb_findings_format(findings);
    g_autoptr(TbFindings) again = tb_findings_parse(text, strlen(text), NULL);
    g_autofree char *text_again = tb_findings_format(again);
    ck_assert_str_eq(text, text_again);
    const TbFinding *last = again->list->pdata[4];
    ck_assert_str_eq(last->commit, "0000000000000000000000000000000000000001");
}
END_TEST

/* What the base had, and what the result has, is no matter of a commit. */
START_TEST(test_no_matter)
{
    PUT(f.box, "config", "old " TOKEN "\nmore\n");
    PUT(f.box, "tests/test_a", "assert 1\n");
    commit("A <a@b>", "One");
    PUT(f.box, "config", "more\n");
    gone("tests/test_a");
    commit("A <a@b>", "Two \xe2\x9d\xa4\xef\xb8\x8f\r\n\r\n\tmore\r\n");
    g_autoptr(TbFindings) findings = find();
    expect(findings, "");
}
END_TEST

/* The same file as a link in the result, as a directory, as nothing: its lines are looked at. */
START_TEST(test_kinds)
{
    PUT(f.box, "a", "\033a\n");
    PUT(f.box, "b", "\033b\n");
    commit("A <a@b>", "One");
    gone("a");
    gone("b");
    g_autofree char *link = g_build_filename(f.box, "a", NULL);
    ck_assert_int_eq(symlink("\033a", link), 0);
    PUT(f.box, "b/c", "x\n");
    commit("A <a@b>", "Two");
    g_autoptr(TbFindings) findings = find();
    expect(findings, "terminal-escape a:1 in commit 000000000000: U+001B (escape)\n"
                     "terminal-escape b:1 in commit 000000000000: U+001B (escape)\n"
                     "symlink a: to '\\x1Ba'\n");
}
END_TEST

START_TEST(test_words)
{
    PUT(f.box, "other", "y\n");
    commit("Ad\xe2\x80\x8bmin <a@b>", "Fix\n\nok \xe2\x80\xae"
                                      "evil\nred \033[31m\n" TOKEN "\n");
    g_autoptr(TbFindings) findings = find();
    expect(findings, "invisible author of commit 000000000000: U+200B\n"
                     "bidi message of commit 000000000000, line 3: U+202E\n"
                     "terminal-escape message of commit 000000000000, line 4: U+001B (escape)\n"
                     "credential message of commit 000000000000, line 5: GitHub token: ghp_... (44 "
                     "characters)\n");
}
END_TEST

/* Many commits, many findings: each rule has its room, and the rest is counted. */
START_TEST(test_flood)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (int i = 0; i < 300; i++)
        g_string_append(text, "\033\n");
    for (int i = 0; i < 15; i++)
        commit("A <a@b>", text->str);
    PUT(f.box, "key", TOKEN "\n");
    commit("A <a@b>", "One");
    gone("key");
    commit("A <a@b>", "Two");
    g_autoptr(TbFindings) findings = find();
    ck_assert_uint_eq(findings->counts[TB_SEVERITY_HIGH], 15 * 300 + 1);
    ck_assert_uint_eq(findings->list->len, 100 + 1 + 1);
    const TbFinding *secret = findings->list->pdata[100], *rest = findings->list->pdata[101];
    ck_assert_str_eq(secret->path, "key");
    ck_assert_str_eq(rest->detail, "4400 more of this rule in the commits");
}
END_TEST

static const struct {
    const char *message, *encoding, *clean;
} messages[] = {
    {"plain\n\n\ttext\n", NULL, "plain\n\n\ttext\n"},
    {"red \033[31m\b\177\n", NULL, "red \\x1B[31m\\x08\\x7F\n"},
    {"a\r\nb\rc\r", NULL, "a\nb\\x0Dc\\x0D"},
    {"c1 \xc2\x9b"
     "2J",
     NULL, "c1 \\u{009B}2J"},
    {"bidi \xe2\x80\xae and \xe2\x81\xa6", NULL, "bidi \\u{202E} and \\u{2066}"},
    {"ad\xe2\x80\x8bmin \xf3\xa0\x81\xa1", NULL, "ad\\u{200B}min \\u{E0061}"},
    {"\xe2\x9d\xa4\xef\xb8\x8f \xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb", NULL,
     "\xe2\x9d\xa4\xef\xb8\x8f \xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb"},
    {"\xef\xb8\x8f", NULL, "\\u{FE0F}"},
    {"na\xc3\xafve", "ISO-8859-1", "na\xc3\xafve"},
    {"na\xefve \x9b", "iso-8859-1", "na\xc3\xafve \\u{009B}"},
    {"na\xefve", NULL, "na\\xEFve"},
    {"\x82\xa0", "Shift_JIS", "\\x82\\xA0"},
    {"", NULL, ""},
};

START_TEST(test_clean)
{
    g_autofree char *got = tb_clean_message(messages[_i].message, messages[_i].encoding);
    ck_assert_str_eq(got, messages[_i].clean);
}
END_TEST

START_TEST(test_clean_author)
{
    g_autofree char *plain = tb_clean_author("J\xc3\xb6rg <j@x> 1 +0100", NULL);
    ck_assert_str_eq(plain, "J\xc3\xb6rg <j@x> 1 +0100");
    g_autofree char *latin = tb_clean_author("J\xf6rg <j@x> 1 +0100", "latin1");
    ck_assert_str_eq(latin, plain);
    g_autofree char *evil = tb_clean_author("J\xc2\x9b\t <j\xe2\x80\xae> 1 +0100", NULL);
    ck_assert_str_eq(evil, "J\\u{009B}\\x09 <j\\u{202E}> 1 +0100");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("findings of commits");
    TCase *tests = tcase_create("findings");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, start, stop);
    tcase_add_test(tests, test_between);
    tcase_add_test(tests, test_no_matter);
    tcase_add_test(tests, test_kinds);
    tcase_add_test(tests, test_words);
    tcase_add_test(tests, test_flood);
    suite_add_tcase(suite, tests);
    TCase *words = tcase_create("words");
    tcase_add_loop_test(words, test_clean, 0, G_N_ELEMENTS(messages));
    tcase_add_test(words, test_clean_author);
    suite_add_tcase(suite, words);
    return suite_run(suite);
}
