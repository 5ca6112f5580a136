/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "util/error.h"

static TbSettings *settings_of(const char *text)
{
    GError *error = NULL;
    TbSettings *settings = tb_settings_parse("config.yaml", text, strlen(text), &error);
    ck_assert_msg(settings != NULL, "%s", error ? error->message : "");
    return settings;
}

static const char hostile[] = "'; rm -rf / #\n$(id) `id` {prompt} \"";

START_TEST(test_prompt_is_one_argument)
{
    g_autoptr(TbSettings) settings =
        settings_of("agents:\n  mine:\n    command: [my-agent, --message, \"{prompt}\"]\n");
    g_autoptr(TbAgentCall) call = tb_agent_call_new(settings, NULL, hostile, NULL);
    ck_assert_str_eq(call->name, "mine");
    ck_assert_uint_eq(g_strv_length(call->argv), 3);
    ck_assert_str_eq(call->argv[2], hostile);
    ck_assert_ptr_null(call->stdin_text);
}
END_TEST

START_TEST(test_prompt_on_stdin)
{
    g_autoptr(TbSettings) settings = settings_of("agents:\n  a:\n    command: [x, \"{prompt}\"]\n  "
                                                 "b:\n    command: [y]\n    stdin: prompt\n");
    g_autoptr(TbAgentCall) call = tb_agent_call_new(settings, "b", hostile, NULL);
    ck_assert_uint_eq(g_strv_length(call->argv), 1);
    ck_assert_str_eq(call->argv[0], "y");
    ck_assert_str_eq(call->stdin_text, hostile);
}
END_TEST

START_TEST(test_none_configured)
{
    g_autoptr(TbSettings) settings = settings_of("");
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_agent_call_new(settings, NULL, "fix it", &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFIG);
    ck_assert_ptr_nonnull(strstr(error->message, "agents:"));
    ck_assert_ptr_nonnull(strstr(error->message, "'--'"));
}
END_TEST

START_TEST(test_empty_prompt)
{
    g_autoptr(TbSettings) settings = settings_of("agents:\n  a:\n    command: [x, \"{prompt}\"]\n");
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_agent_call_new(settings, NULL, " \n", &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_USAGE);
}
END_TEST

START_TEST(test_plain_command)
{
    static const char *const argv[] = {"echo", "a b", "", NULL};
    g_autoptr(TbAgentCall) call = tb_agent_call_command(argv);
    ck_assert_ptr_null(call->name);
    ck_assert(g_strv_equal((const char *const *)call->argv, argv));
    ck_assert_ptr_null(call->env[0]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("agent");
    TCase *cases = tcase_create("agent");
    tcase_add_test(cases, test_prompt_is_one_argument);
    tcase_add_test(cases, test_prompt_on_stdin);
    tcase_add_test(cases, test_none_configured);
    tcase_add_test(cases, test_empty_prompt);
    tcase_add_test(cases, test_plain_command);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
