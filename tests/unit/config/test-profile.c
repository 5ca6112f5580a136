/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Agents from files of their own: which holds, and that the shipped ones are what they should be.
 */
#include <check.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>

#include "../suite.h"
#include "config/layers.h"
#include "config/profile.h"
#include "util/error.h"

static char *dir, *agents, *config;

static void setup(void)
{
    dir = g_dir_make_tmp("tb-profile-XXXXXX", NULL);
    g_setenv("XDG_CONFIG_HOME", dir, TRUE);
    agents = g_build_filename(dir, "taskbox", "agents", NULL);
    config = g_build_filename(dir, "taskbox", "config.yaml", NULL);
    ck_assert_int_eq(g_mkdir_with_parents(agents, 0700), 0);
}

static void teardown(void)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", dir);
    ck_assert_int_eq(system(command), 0);
    g_free(dir);
    g_free(agents);
    g_free(config);
}

static void put(const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(agents, name, NULL);
    ck_assert(g_file_set_contents(path, text, -1, NULL));
}

START_TEST(shipped_ones_are_there)
{
    static const char *const names[] = {"claude", "codex", "gemini", "opencode"};
    g_autoptr(GError) error = NULL;
    g_autoptr(TbSettings) settings = tb_settings_load(&error);
    ck_assert_msg(settings != NULL, "%s", error ? error->message : "");
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const TbAgent *agent = tb_settings_agent(settings, names[i], NULL);
        ck_assert_ptr_nonnull(agent);
        ck_assert(agent->shipped);
        ck_assert_str_eq(agent->image, "agents");
        ck_assert_ptr_nonnull(agent->install);
        ck_assert_uint_eq(agent->secrets->len, 1);
        g_auto(GStrv) argv = tb_agent_argv(agent, "'; rm -rf / #\n{prompt}");
        ck_assert_str_eq(argv[g_strv_length(argv) - 1], "'; rm -rf / #\n{prompt}");
    }
    /* None of them is the default by itself. */
    ck_assert_ptr_null(tb_settings_agent(settings, NULL, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFIG);
    ck_assert_ptr_nonnull(strstr(error->message, "claude, codex"));
}
END_TEST

START_TEST(own_ones_come_first)
{
    put("codex.yaml", "command: [mine, '{prompt}']\n");
    put("other.yaml", "command: [other]\nstdin: prompt\nimage: big\n");
    put("notes.txt", "not: a profile\n");
    put(".hidden.yaml", "nor: this\n");
    g_autoptr(TbSettings) files = tb_settings_load(NULL);
    ck_assert_str_eq(tb_settings_agent(files, "codex", NULL)->command[0], "mine");
    ck_assert_str_eq(tb_settings_agent(files, "other", NULL)->image, "big");
    ck_assert_ptr_null(tb_settings_agent(files, NULL, NULL));
    ck_assert(g_file_set_contents(
        config, "agents: {codex: {command: [first, '{prompt}']}}\nagent: other\n", -1, NULL));
    g_autoptr(TbSettings) both = tb_settings_load(NULL);
    ck_assert_str_eq(tb_settings_agent(both, "codex", NULL)->command[0], "first");
    ck_assert_str_eq(tb_settings_agent(both, NULL, NULL)->name, "other");
}
END_TEST

START_TEST(the_only_own_one_is_the_default)
{
    put("mine.yaml", "command: [mine, '{prompt}']\n");
    g_autoptr(TbSettings) settings = tb_settings_load(NULL);
    ck_assert_str_eq(tb_settings_agent(settings, NULL, NULL)->name, "mine");
}
END_TEST

START_TEST(mistakes_name_their_place)
{
    static const char *const wrong[] = {"command: [x]\n", "comand: [x]\n", "[x]\n", "",
                                        "command: [x, '{prompt}']\nhosts: x\n"};
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        put("bad.yaml", wrong[i]);
        ck_assert_ptr_null(tb_settings_load(&error));
        ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFIG);
        ck_assert_msg(strstr(error->message, "agents/bad.yaml:") != NULL, "%s", error->message);
    }
    put("bad.yaml", "command: [x, '{prompt}']\n");
    g_autoptr(GError) error = NULL;
    ck_assert(g_file_set_contents(config, "agent: nobody\n", -1, NULL));
    ck_assert_ptr_null(tb_settings_load(&error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFIG);
    g_clear_error(&error);
    ck_assert_ptr_null(tb_profile_find("nobody", &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_NOT_FOUND);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("profile");
    TCase *tests = tcase_create("profile");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, shipped_ones_are_there);
    tcase_add_test(tests, own_ones_come_first);
    tcase_add_test(tests, the_only_own_one_is_the_default);
    tcase_add_test(tests, mistakes_name_their_place);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
