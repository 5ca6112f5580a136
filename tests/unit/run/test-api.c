/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program of somebody else's: public headers only, linked with libtaskbox only. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <taskbox/taskbox.h>

#include "../suite.h"

START_TEST(test_empty_store)
{
    g_autofree char *home = g_dir_make_tmp("taskbox-test-XXXXXX", NULL);
    g_setenv("XDG_STATE_HOME", home, TRUE);
    g_autoptr(GError) error = NULL;
    g_autoptr(TaskboxStore) store = taskbox_store_open(&error);
    ck_assert_msg(store != NULL, "%s", error ? error->message : "");
    g_autoptr(GPtrArray) tasks = taskbox_task_list(store, &error);
    ck_assert_uint_eq(tasks->len, 0);
    ck_assert_ptr_null(taskbox_task_open(store, "@last", &error));
    ck_assert(g_error_matches(error, TASKBOX_ERROR, TASKBOX_ERROR_NOT_FOUND));
    ck_assert_str_eq(taskbox_error_name(TASKBOX_ERROR_NOT_FOUND), "not-found");
    g_autofree char *place = g_build_filename(home, "taskbox", "tasks", NULL);
    ck_assert(g_file_test(place, G_FILE_TEST_IS_DIR));
    g_autofree char *remove = g_strdup_printf("rm -r '%s'", home);
    ck_assert_int_eq(system(remove), 0);
}
END_TEST

START_TEST(test_run_needs_one_kind_of_work)
{
    g_autofree char *home = g_dir_make_tmp("taskbox-test-XXXXXX", NULL);
    g_setenv("XDG_STATE_HOME", home, TRUE);
    g_autoptr(TaskboxStore) store = taskbox_store_open(NULL);
    const char *command[] = {"true", NULL};
    TaskboxRunOptions options[] = {{.directory = "/"}, {.command = command, .prompt = "both"}};
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(TaskboxTask) task = NULL;
        ck_assert(!taskbox_run(store, &options[i], &task, &error));
        ck_assert(g_error_matches(error, TASKBOX_ERROR, TASKBOX_ERROR_USAGE));
        ck_assert_ptr_null(task);
    }
    g_autofree char *remove = g_strdup_printf("rm -r '%s'", home);
    ck_assert_int_eq(system(remove), 0);
}
END_TEST

START_TEST(test_apply_with)
{
    g_autofree char *home = g_dir_make_tmp("taskbox-test-XXXXXX", NULL);
    g_setenv("XDG_STATE_HOME", home, TRUE);
    g_autoptr(TaskboxStore) store = taskbox_store_open(NULL);
    g_autofree char *dir = g_build_filename(home, "taskbox", "tasks", "calm-crane-a1", NULL);
    ck_assert_int_eq(g_mkdir_with_parents(dir, 0700), 0);
    g_autofree char *record = g_build_filename(dir, "record.json", NULL);
    ck_assert(g_file_set_contents(record, "{\"version\": 1, \"state\": \"failed\"}", -1, NULL));
    g_autoptr(TaskboxTask) task = taskbox_task_open(store, "calm", NULL);
    ck_assert_ptr_nonnull(task);
    TaskboxApplyOptions options = {.to = TASKBOX_APPLY_TO_BRANCH};
    g_autoptr(GError) error = NULL;
    ck_assert(!taskbox_task_apply_with(store, task, &options, NULL, NULL, &error));
    ck_assert(g_error_matches(error, TASKBOX_ERROR, TASKBOX_ERROR_USAGE));
    g_clear_error(&error);
    options.branch = "name";
    ck_assert(!taskbox_task_apply_with(store, task, &options, NULL, NULL, &error));
    ck_assert(g_error_matches(error, TASKBOX_ERROR, TASKBOX_ERROR_NOT_FOUND));
    g_autofree char *remove = g_strdup_printf("rm -r '%s'", home);
    ck_assert_int_eq(system(remove), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("libtaskbox");
    TCase *cases = tcase_create("api");
    tcase_add_test(cases, test_empty_store);
    tcase_add_test(cases, test_run_needs_one_kind_of_work);
    tcase_add_test(cases, test_apply_with);
    suite_add_tcase(suite, cases);
    return suite_run(suite);
}
