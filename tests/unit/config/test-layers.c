/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which layer's word holds: the user's file, a project's, variables. */
#include <check.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../suite.h"
#include "config/layers.h"
#include "util/error.h"
#include "util/units.h"

static char *dir, *user_file, *project_file;

static const char *const variables[] = {"TASKBOX_IMAGE",   "TASKBOX_CPUS",    "TASKBOX_MEMORY",
                                        "TASKBOX_TIMEOUT", "TASKBOX_HISTORY", "TASKBOX_NET",
                                        "TASKBOX_KEEP",    "TASKBOX_DISK",    "TASKBOX_AGENT"};

static void setup(void)
{
    dir = g_dir_make_tmp("tb-layers-XXXXXX", NULL);
    g_setenv("XDG_CONFIG_HOME", dir, TRUE);
    g_autofree char *own = g_build_filename(dir, "taskbox", NULL);
    ck_assert_int_eq(g_mkdir(own, 0700), 0);
    user_file = g_build_filename(own, "config.yaml", NULL);
    project_file = g_build_filename(dir, TB_PROJECT_SETTINGS, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(variables); i++)
        g_unsetenv(variables[i]);
}

static void teardown(void)
{
    g_autofree char *own = g_path_get_dirname(user_file);
    g_remove(user_file);
    g_remove(project_file);
    g_remove(own);
    ck_assert_int_eq(g_rmdir(dir), 0);
    g_free(user_file);
    g_free(project_file);
    g_free(dir);
}

static void put(const char *path, const char *text)
{
    ck_assert(g_file_set_contents(path, text, -1, NULL));
}

static TbSettings *load(GError **error)
{
    g_autoptr(TbSettings) settings = tb_settings_load(error);
    return settings && tb_settings_add_project(settings, dir, error) ? g_steal_pointer(&settings)
                                                                     : NULL;
}

START_TEST(image_by_rank)
{
    g_autoptr(TbSettings) none = load(NULL);
    ck_assert_ptr_null(none->image);
    put(user_file, "image: mine\n");
    g_autoptr(TbSettings) user = load(NULL);
    ck_assert_str_eq(user->image, "mine");
    put(project_file, "image: theirs\n");
    g_autoptr(TbSettings) project = load(NULL);
    ck_assert_str_eq(project->image, "theirs");
    g_setenv("TASKBOX_IMAGE", "now", TRUE);
    g_autoptr(TbSettings) variable = load(NULL);
    ck_assert_str_eq(variable->image, "now");
}
END_TEST

START_TEST(timeout_only_shrinks)
{
    put(project_file, "timeout: 10m\n");
    g_autoptr(TbSettings) first = load(NULL);
    ck_assert_uint_eq(first->timeout, 600);
    put(user_file, "timeout: 5m\n");
    g_autoptr(TbSettings) shorter = load(NULL);
    ck_assert_uint_eq(shorter->timeout, 300);
    put(user_file, "timeout: 1h\n");
    g_autoptr(TbSettings) longer = load(NULL);
    ck_assert_uint_eq(longer->timeout, 600);
    g_setenv("TASKBOX_TIMEOUT", "2h", TRUE);
    g_autoptr(TbSettings) variable = load(NULL);
    ck_assert_uint_eq(variable->timeout, 7200);
}
END_TEST

START_TEST(net_is_only_lowered)
{
    put(project_file, "net: open\n");
    g_autoptr(TbSettings) open = load(NULL);
    ck_assert_int_eq(open->net, TB_NET_UNSET);
    ck_assert_int_eq(tb_settings_net_cap(open), TB_NET_OPEN);
    put(project_file, "net: none\n");
    put(user_file, "net: open\n");
    g_setenv("TASKBOX_NET", "agent", TRUE);
    g_autoptr(TbSettings) none = load(NULL);
    ck_assert_int_eq(none->net, TB_NET_OPEN);
    ck_assert_int_eq(tb_settings_net_cap(none), TB_NET_NONE);
    g_remove(project_file);
    g_autoptr(TbSettings) variable = load(NULL);
    ck_assert_int_eq(tb_settings_net_cap(variable), TB_NET_AGENT);
}
END_TEST

START_TEST(hosts_are_only_fewer)
{
    put(project_file, "only_hosts: [apt, a.example]\n");
    g_autoptr(TbSettings) fewer = load(NULL);
    ck_assert_str_eq(fewer->project->only_hosts[0], "apt");
    ck_assert_ptr_null(fewer->only_hosts);
    put(project_file, "net: agent\n");
    put(user_file, "only_hosts: [apt]\n");
    ck_assert_ptr_null(load(NULL));
}
END_TEST

START_TEST(kvm_can_be_required)
{
    put(project_file, "require_kvm: true\n");
    g_autoptr(TbSettings) asked = load(NULL);
    ck_assert(asked->require_kvm);
    put(user_file, "require_kvm: true\n");
    put(project_file, "require_kvm: false\n");
    g_autoptr(TbSettings) kept = load(NULL);
    ck_assert(kept->require_kvm);
}
END_TEST

START_TEST(numbers_are_lowered)
{
    ck_assert_uint_eq(tb_settings_lower(4, 2, "cpus", tb_size_format), 2);
    ck_assert_uint_eq(tb_settings_lower(4, 8, "cpus", tb_size_format), 4);
    ck_assert_uint_eq(tb_settings_lower(4, 0, "cpus", tb_size_format), 4);
    ck_assert_uint_eq(tb_settings_lower(0, 8, "cpus", tb_size_format), 8);
    ck_assert_uint_eq(tb_settings_lower(0, 0, "cpus", tb_size_format), 0);
}
END_TEST

static const char *const widening[] = {"allow_hosts: [a.test]\n",
                                       "include: ['*']\n",
                                       "mount: 9p\n",
                                       "agents: {a: {command: [x]}}\n",
                                       "agent: mine\n",
                                       "capacity: {cpus: 100}\n",
                                       "keep: always\n",
                                       "exclude: ['!.env']\n",
                                       "unknown: 1\n",
                                       "net: all\n",
                                       "image: [a]\n",
                                       "exclude: [a, '!secret']\n"};

START_TEST(projects_may_not_widen)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strconcat("cpus: 1\n", widening[_i], NULL);
    put(project_file, text);
    ck_assert_ptr_null(load(&error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFIG);
    ck_assert_msg(g_str_has_prefix(error->message, ".taskbox.yaml:2:"), "%s", error->message);
}
END_TEST

/* No link is followed, no device read, nothing large taken. */
START_TEST(only_a_plain_small_file)
{
    g_autoptr(GError) error = NULL;
    put(user_file, "cpus: 1\n");
    ck_assert_int_eq(symlink(user_file, project_file), 0);
    ck_assert_ptr_null(load(&error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFIG);
    g_clear_error(&error);
    g_remove(project_file);
    ck_assert_int_eq(symlink("/dev/zero", project_file), 0);
    ck_assert_ptr_null(load(&error));
    g_clear_error(&error);
    g_remove(project_file);
    g_autofree char *large = g_strnfill(100000, '#');
    put(project_file, large);
    ck_assert_ptr_null(load(&error));
    g_clear_error(&error);
    g_remove(project_file);
    ck_assert_int_eq(g_mkdir(project_file, 0700), 0);
    ck_assert_ptr_null(load(&error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFIG);
}
END_TEST

START_TEST(variables_are_taken_in)
{
    g_setenv("TASKBOX_CPUS", "3", TRUE);
    g_setenv("TASKBOX_MEMORY", "1G", TRUE);
    g_setenv("TASKBOX_DISK", "", TRUE);
    g_setenv("TASKBOX_KEEP", "failed", TRUE);
    g_setenv("TASKBOX_HISTORY", "none", TRUE);
    put(user_file, "cpus: 1\ndisk: 9G\nhistory: full\n");
    g_autoptr(TbSettings) s = load(NULL);
    ck_assert_uint_eq(s->cpus, 3);
    ck_assert_uint_eq(s->memory, 1 << 30);
    ck_assert_uint_eq(s->disk, 9ULL << 30);
    ck_assert_int_eq(s->keep, TB_KEEP_FAILED);
    ck_assert(s->has_history && s->history == 0);
    static const char *const bad[][2] = {{"TASKBOX_CPUS", "0"},     {"TASKBOX_MEMORY", "much"},
                                         {"TASKBOX_NET", "all"},    {"TASKBOX_TIMEOUT", "-1"},
                                         {"TASKBOX_KEEP", "maybe"}, {"TASKBOX_HISTORY", "-2"}};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_setenv(bad[i][0], bad[i][1], TRUE);
        ck_assert_ptr_null(load(&error));
        ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFIG);
        ck_assert(g_str_has_prefix(error->message, bad[i][0]));
        g_unsetenv(bad[i][0]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("layers");
    TCase *tests = tcase_create("layers");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, image_by_rank);
    tcase_add_test(tests, timeout_only_shrinks);
    tcase_add_test(tests, net_is_only_lowered);
    tcase_add_test(tests, hosts_are_only_fewer);
    tcase_add_test(tests, kvm_can_be_required);
    tcase_add_test(tests, numbers_are_lowered);
    tcase_add_loop_test(tests, projects_may_not_widen, 0, G_N_ELEMENTS(widening));
    tcase_add_test(tests, only_a_plain_small_file);
    tcase_add_test(tests, variables_are_taken_in);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
