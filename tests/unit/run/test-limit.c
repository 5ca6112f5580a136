/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../task/fixture.h"

#include <string.h>
#include <sys/statvfs.h>

#include "run/limit.h"

START_TEST(flags_before_settings_before_defaults)
{
    TbLimits flags = {.log = 5}, settings = {.log = 7, .files = 3};
    TbLimits limits = tb_limits_merge(&flags, &settings);
    ck_assert_uint_eq(limits.log, 5);
    ck_assert_uint_eq(limits.files, 3);
    ck_assert_uint_eq(limits.changes, tb_patch_limits_default.max_bytes);
    ck_assert_uint_eq(limits.processes, 0);
    ck_assert_uint_gt(limits.free_space, 0);
    g_autofree char *text = tb_limits_text(&limits, 2, UINT64_C(1) << 30, UINT64_C(1) << 34, 90);
    ck_assert_ptr_nonnull(strstr(text, "in 3 files"));
    ck_assert_ptr_null(strstr(text, "processes"));
}
END_TEST

START_TEST(projects_only_lower)
{
    TbLimits flags = {.log = 50}, none = {0}, settings = {.files = 30, .processes = 8};
    TbLimits asked = {.log = 5, .files = 40, .patch = 9, .free_space = 1, .processes = 4};
    TbLimits limits = tb_limits_merge(&flags, &settings), before = limits;
    tb_limits_lower(&limits, &flags, &asked);
    ck_assert_uint_eq(limits.log, 50);
    ck_assert_uint_eq(limits.files, 30);
    ck_assert_uint_eq(limits.patch, 9);
    ck_assert_uint_eq(limits.processes, 4);
    ck_assert_uint_eq(limits.changes, before.changes);
    ck_assert_uint_eq(limits.free_space, before.free_space);
    asked.free_space = before.free_space * 2;
    tb_limits_lower(&limits, &none, &asked);
    ck_assert_uint_eq(limits.free_space, asked.free_space);
    ck_assert_uint_eq(limits.log, 5);
}
END_TEST

START_TEST(names_and_values)
{
    TbLimits limits = {0};
    ck_assert(tb_limits_parse("free-space=2G", &limits, NULL));
    ck_assert(tb_limits_parse("files=10", &limits, NULL));
    ck_assert(tb_limits_parse("processes=70", &limits, NULL));
    ck_assert_uint_eq(limits.free_space, UINT64_C(2) << 30);
    ck_assert_uint_eq(limits.files, 10);
    ck_assert_uint_eq(limits.processes, 70);
    static const char *const wrong[] = {"",       "log", "log=",     "log=0", "files=-1",
                                        "file=1", "=1",  "files=1x", "logs=1"};
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        ck_assert_msg(!tb_limits_parse(wrong[i], &limits, &error), "%s", wrong[i]);
        ck_assert(g_error_matches(error, TB_ERROR, TB_ERROR_USAGE));
    }
}
END_TEST

START_TEST(floor_of_free_space)
{
    struct statvfs fs;
    g_autoptr(TbTask) task = new_task();
    g_autoptr(GError) error = NULL;
    ck_assert_int_eq(statvfs(root, &fs), 0);
    uint64_t left = (uint64_t)fs.f_bavail * fs.f_frsize;
    ck_assert(tb_limits_check_space(task, &(TbLimits){.free_space = 1}, NULL));
    ck_assert(!tb_limits_check_space(task, &(TbLimits){.free_space = left * 2}, &error));
    ck_assert(g_error_matches(error, TB_ERROR, TB_ERROR_NO_SPACE));
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("limit");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, flags_before_settings_before_defaults);
    tcase_add_test(cases, projects_only_lower);
    tcase_add_test(cases, names_and_values);
    tcase_add_test(cases, floor_of_free_space);
    return suite_run_case("task limits", cases);
}
