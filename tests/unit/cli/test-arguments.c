/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <string.h>

#include "cli/arguments.h"
#include "util/error.h"

static const TbOption options[] = {
    {'C', "directory", "DIR", ""},
    {'\0', "json", NULL, ""},
    {'\0', NULL, NULL, NULL},
};
static const TbOption more[] = {
    {'v', "verbose", NULL, ""},
    {'q', "quiet", NULL, ""},
    {'\0', NULL, NULL, NULL},
};

static TbArguments *parse(bool keeps_rest, const char *line, GError **error)
{
    g_auto(GStrv) argv = g_strsplit(line, " ", -1);
    return tb_arguments_parse((const char *const *)argv, options, more, keeps_rest, error);
}

START_TEST(test_forms_of_values)
{
    static const char *const lines[] = {
        "--directory=x a", "--directory x a",    "-Cx a", "-C x a", "a -C x",
        "-vCx a",          "a -Cy --directory=x"};
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(TbArguments) arguments = parse(false, lines[i], NULL);
        ck_assert_ptr_nonnull(arguments);
        ck_assert_str_eq(tb_arguments_value(arguments, "directory"), "x");
        ck_assert_str_eq(tb_arguments_sole(arguments, "a word", NULL), "a");
    }
}
END_TEST

START_TEST(test_repeated)
{
    g_autoptr(TbArguments) arguments = parse(false, "-Cx a --directory=y", NULL);
    const char *const *all = tb_arguments_all(arguments, "directory");
    ck_assert_str_eq(all[0], "x");
    ck_assert_str_eq(all[1], "y");
    ck_assert_ptr_null(all[2]);
    ck_assert_str_eq(tb_arguments_value(arguments, "directory"), "y");
    ck_assert_ptr_null(tb_arguments_all(arguments, "json")[0]);
}
END_TEST

START_TEST(test_flags)
{
    g_autoptr(TbArguments) arguments = parse(false, "-vv --json --verbose", NULL);
    ck_assert_uint_eq(tb_arguments_count(arguments, "verbose"), 3);
    ck_assert(tb_arguments_flag(arguments, "json"));
    ck_assert(!tb_arguments_flag(arguments, "quiet"));
    ck_assert_ptr_null(tb_arguments_value(arguments, "directory"));
    ck_assert(tb_arguments_none(arguments, NULL));
}
END_TEST

/* What follows "--" is the user's: no option of ours is looked for there. */
START_TEST(test_options_again)
{
    static const char *const without[] = {"quiet", NULL};
    g_autoptr(TbArguments) arguments = parse(false, "-vqC x a --directory=--y b", NULL);
    g_auto(GStrv) options_again = tb_arguments_options(arguments, without);
    ck_assert_uint_eq(g_strv_length(options_again), 3);
    g_autoptr(TbArguments) again =
        tb_arguments_parse((const char *const *)options_again, options, more, false, NULL);
    ck_assert_ptr_nonnull(again);
    ck_assert_str_eq(tb_arguments_all(again, "directory")[0], "x");
    ck_assert_str_eq(tb_arguments_value(again, "directory"), "--y");
    ck_assert(tb_arguments_flag(again, "verbose"));
    ck_assert(!tb_arguments_flag(again, "quiet"));
    ck_assert(tb_arguments_none(again, NULL));
}
END_TEST

START_TEST(test_rest)
{
    g_autoptr(TbArguments) kept = parse(true, "--json -- ls --json -C -- x", NULL);
    const char *const *rest = tb_arguments_rest(kept);
    static const char *const expected[] = {"ls", "--json", "-C", "--", "x", NULL};
    ck_assert(g_strv_equal(rest, expected));
    ck_assert_uint_eq(tb_arguments_count(kept, "json"), 1);
    ck_assert(tb_arguments_none(kept, NULL));
    g_autoptr(TbArguments) words = parse(false, "-- --json", NULL);
    ck_assert_str_eq(tb_arguments_sole(words, "a word", NULL), "--json");
    ck_assert_ptr_null(tb_arguments_rest(words));
    g_autoptr(TbArguments) none = parse(true, "a", NULL);
    ck_assert_ptr_null(tb_arguments_rest(none));
    g_autoptr(TbArguments) empty = parse(true, "--", NULL);
    ck_assert_ptr_null(tb_arguments_rest(empty)[0]);
}
END_TEST

static const struct {
    const char *line, *message;
} wrong[] = {
    {"--jsn", "unknown option '--jsn' (did you mean '--json'?)"},
    {"--nothing-like-it", "unknown option '--nothing-like-it'"},
    {"-x", "unknown option '-x'"},
    {"-vx", "unknown option '-vx'"},
    {"--json=yes", "option '--json' takes no value"},
    {"--directory", "option '--directory' needs a value: DIR"},
    {"-C -- x", "option '--directory' needs a value: DIR"},
};

START_TEST(test_wrong)
{
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(parse(true, wrong[_i].line, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_USAGE);
    ck_assert_str_eq(error->message, wrong[_i].message);
}
END_TEST

START_TEST(test_how_many_words)
{
    g_autoptr(GError) missing = NULL;
    static const char *const nothing[] = {NULL};
    g_autoptr(TbArguments) none = tb_arguments_parse(nothing, options, more, false, NULL);
    ck_assert_ptr_null(tb_arguments_sole(none, "a task", &missing));
    ck_assert_str_eq(missing->message, "a task is missing");
    g_autoptr(GError) many = NULL;
    g_autoptr(TbArguments) two = parse(false, "a b", NULL);
    ck_assert_ptr_null(tb_arguments_sole(two, "a task", &many));
    ck_assert_int_eq(tb_error_code(many), TB_ERROR_USAGE);
    ck_assert(!tb_arguments_none(two, NULL));
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("arguments");
    tcase_add_test(cases, test_forms_of_values);
    tcase_add_test(cases, test_repeated);
    tcase_add_test(cases, test_flags);
    tcase_add_test(cases, test_options_again);
    tcase_add_test(cases, test_rest);
    tcase_add_loop_test(cases, test_wrong, 0, G_N_ELEMENTS(wrong));
    tcase_add_test(cases, test_how_many_words);
    return suite_run_case("cli arguments", cases);
}
