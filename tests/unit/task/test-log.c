/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <string.h>

static char *content(const TbTask *task, size_t *length)
{
    g_autofree char *path = tb_task_path(task, "log");
    char *text = NULL;
    ck_assert(g_file_get_contents(path, &text, length, NULL));
    return text;
}

START_TEST(test_append)
{
    g_autoptr(TbTask) task = new_task();
    g_autoptr(TbTaskLog) log = tb_task_log_open(task, TB_TASK_LOG, 0, NULL);
    ck_assert(tb_task_log_append(log, "a\0b", 3, NULL));
    ck_assert(tb_task_log_append(log, "\xff\n", 2, NULL));
    ck_assert(tb_task_log_finish(log, NULL));
    size_t length = 0;
    g_autofree char *text = content(task, &length);
    ck_assert_uint_eq(length, 5);
    ck_assert_mem_eq(text, "a\0b\xff\n", 5);
}
END_TEST

START_TEST(test_cap)
{
    g_autoptr(TbTask) task = new_task();
    g_autoptr(TbTaskLog) log = tb_task_log_open(task, TB_TASK_LOG, 10, NULL);
    ck_assert(tb_task_log_append(log, "0123456", 7, NULL));
    ck_assert(tb_task_log_append(log, "789abc", 6, NULL));
    for (int i = 0; i < 1000; i++)
        ck_assert(tb_task_log_append(log, "more", 4, NULL));
    size_t length = 0;
    g_autofree char *text = content(task, &length);
    ck_assert(g_str_has_prefix(text, "0123456789\n[taskbox: the log ends at 10 B"));
    ck_assert_ptr_eq(strstr(text, "[taskbox"), g_strrstr(text, "[taskbox")); /* once */
    ck_assert_ptr_null(strstr(text, "abc"));
    ck_assert_uint_lt(length, 100);
}
END_TEST

START_TEST(test_exactly_full)
{
    g_autoptr(TbTask) task = new_task();
    g_autoptr(TbTaskLog) log = tb_task_log_open(task, TB_TASK_LOG, 4, NULL);
    ck_assert(tb_task_log_append(log, "1234", 4, NULL));
    ck_assert(tb_task_log_append(log, "", 0, NULL));
    size_t length = 0;
    g_autofree char *full = content(task, &length);
    ck_assert_uint_eq(length, 4); /* nothing was dropped, so no marker */
    ck_assert(tb_task_log_append(log, "5", 1, NULL));
    g_autofree char *over = content(task, &length);
    ck_assert(g_str_has_prefix(over, "1234\n[taskbox"));
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("log");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, test_append);
    tcase_add_test(cases, test_cap);
    tcase_add_test(cases, test_exactly_full);
    return suite_run_case("task log", cases);
}
