/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <signal.h>

#include <string.h>
#include <sys/wait.h>

#include "task/id.h"

START_TEST(test_create)
{
    g_autoptr(TbTask) task = new_task();
    ck_assert(tb_id_is_prefix(task->id));
    ck_assert_int_eq(task->state, TB_TASK_CREATED);
    struct stat st;
    ck_assert_int_eq(stat(task->dir, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0700);
    g_autofree char *record = tb_task_path(task, "record.json");
    ck_assert_int_eq(stat(record, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0600);
}
END_TEST

START_TEST(test_ids_are_unique_and_short)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (int i = 0; i < 200; i++) {
        TbTask *task = new_task();
        ck_assert_uint_le(strlen(task->id), 16);
        ck_assert(g_hash_table_add(seen, g_strdup(task->id)));
        tb_task_free(task);
    }
    g_autoptr(GPtrArray) tasks = tb_task_list(store, NULL);
    ck_assert_uint_eq(tasks->len, 200);
}
END_TEST

START_TEST(test_open_by_prefix)
{
    g_autoptr(TbTask) task = new_task();
    g_autoptr(GError) error = NULL;
    g_autofree char *prefix = g_strndup(task->id, 4);
    g_autoptr(TbTask) found = tb_task_open(store, prefix, &error);
    ck_assert_str_eq(found->id, task->id);
    g_autoptr(TbTask) exact = tb_task_open(store, task->id, &error);
    ck_assert_str_eq(exact->id, task->id);
}
END_TEST

static const char minimal[] = "{\"version\":1,\"state\":\"ready\",\"created\":5}";

START_TEST(test_ambiguous_prefix)
{
    plant("calm-fox-a2", minimal);
    plant("calm-fox-a23", minimal);
    plant("calm-owl-b3", minimal);
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_task_open(store, "calm-fox", &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_USAGE);
    ck_assert_ptr_nonnull(strstr(error->message, "calm-fox-a2, calm-fox-a23"));
    ck_assert_ptr_null(strstr(error->message, "owl"));
    /* a whole id wins although another begins with it */
    g_autoptr(TbTask) exact = tb_task_open(store, "calm-fox-a2", NULL);
    ck_assert_str_eq(exact->id, "calm-fox-a2");
}
END_TEST

static const char *const wrong_names[] = {"",  "nobody", "../tasks", ".lock",
                                          ".", "/etc",   "a/b",      "@first"};

START_TEST(test_not_found)
{
    g_autoptr(TbTask) task = new_task();
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_task_open(store, wrong_names[_i], &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_NOT_FOUND);
}
END_TEST

START_TEST(test_last)
{
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_task_open(store, "@last", &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_NOT_FOUND);
    plant("old-task", "{\"version\":1,\"state\":\"ready\",\"created\":5}");
    plant("new-task", "{\"version\":1,\"state\":\"ready\",\"created\":7}");
    plant("mid-task", "{\"version\":1,\"state\":\"ready\",\"created\":6}");
    g_autoptr(TbTask) last = tb_task_open(store, "@last", NULL);
    ck_assert_str_eq(last->id, "new-task");
    g_autoptr(GPtrArray) tasks = tb_task_list(store, NULL);
    ck_assert_str_eq(((TbTask *)tasks->pdata[2])->id, "old-task");
}
END_TEST

START_TEST(test_damaged_record)
{
    static const char *const damaged[] = {"",
                                          "{",
                                          "[]",
                                          "{\"version\":1}",
                                          "{\"state\":\"ready\"}",
                                          "{\"version\":1,\"state\":\"dreaming\"}",
                                          "{\"version\":{},\"state\":[]}",
                                          "null",
                                          "7"};
    for (size_t i = 0; i < G_N_ELEMENTS(damaged); i++) {
        g_autofree char *id = g_strdup_printf("broken-%zu", i);
        plant(id, damaged[i]);
        g_autoptr(GError) error = NULL;
        ck_assert_ptr_null(tb_task_open(store, id, &error));
        ck_assert_int_eq(tb_error_code(error), TB_ERROR_IO);
        ck_assert_ptr_nonnull(strstr(error->message, id));
    }
    plant("from-the-future", "{\"version\":99,\"state\":\"ready\"}");
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_task_open(store, "from-the-future", &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_UNSUPPORTED);
    /* they hide no others */
    g_autoptr(TbTask) good = new_task();
    g_autoptr(GPtrArray) tasks = tb_task_list(store, NULL);
    ck_assert_uint_eq(tasks->len, 1);
}
END_TEST

START_TEST(test_save_and_reload)
{
    g_autoptr(TbTask) task = new_task();
    g_autoptr(TbTask) other = tb_task_open(store, task->id, NULL);
    ck_assert(tb_task_save(task, TB_TASK_RUNNING, NULL));
    ck_assert_int_eq(task->ended, 0);
    ck_assert(tb_task_reload(other, NULL));
    ck_assert_int_eq(other->state, TB_TASK_RUNNING);
    ck_assert(tb_task_save(task, TB_TASK_READY, NULL));
    ck_assert_int_gt(task->ended, 0);
    int64_t ended = task->ended;
    ck_assert(tb_task_save(task, TB_TASK_APPLIED, NULL));
    ck_assert_int_eq(task->ended, ended);
    ck_assert(tb_task_reload(other, NULL));
    ck_assert_int_eq(other->state, TB_TASK_APPLIED);
}
END_TEST

/* A reader sees the old record or the new one, never half of one. */
START_TEST(test_save_is_atomic)
{
    g_autoptr(TbTask) task = new_task();
    g_autofree char *big = g_strnfill(200000, 'x');
    pid_t writer = fork();
    if (writer == 0) {
        for (;;) {
            g_free(task->prompt);
            task->prompt = g_strdup(big);
            (void)!tb_task_save(task, TB_TASK_RUNNING, NULL);
            g_clear_pointer(&task->prompt, g_free);
            (void)!tb_task_save(task, TB_TASK_RUNNING, NULL);
        }
    }
    for (int i = 0; i < 300; i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(TbTask) seen = tb_task_open(store, task->id, &error);
        ck_assert_msg(seen != NULL, "%s", error ? error->message : "");
        ck_assert(!seen->prompt || strlen(seen->prompt) == 200000);
    }
    kill(writer, SIGKILL);
}
END_TEST

START_TEST(test_lock)
{
    g_autoptr(TbTask) task = new_task();
    g_autoptr(TbTask) other = tb_task_open(store, task->id, NULL);
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_task_is_locked(task));
    ck_assert(tb_task_is_locked(other));
    ck_assert(!tb_task_lock(other, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_BUSY);
    ck_assert(tb_task_save(task, TB_TASK_READY, NULL));
    g_clear_pointer(&task, tb_task_free);
    ck_assert(!tb_task_is_locked(other));
    ck_assert(tb_task_lock(other, NULL));
    ck_assert(tb_task_lock(other, NULL));
    ck_assert_int_eq(other->state, TB_TASK_READY); /* read anew under the lock */
}
END_TEST

START_TEST(test_fail)
{
    g_autoptr(TbTask) task = new_task();
    g_autoptr(GError) reason = NULL;
    tb_error_set(&reason, TB_ERROR_VM, "cannot start box 'x'");
    tb_task_fail(task, reason);
    g_autoptr(TbTask) seen = tb_task_open(store, task->id, NULL);
    ck_assert_int_eq(seen->state, TB_TASK_FAILED);
    ck_assert_str_eq(seen->error_code, "vm");
    ck_assert_str_eq(seen->error_message, "cannot start box 'x'");
    ck_assert_int_gt(seen->ended, 0);
}
END_TEST

START_TEST(test_two_creators)
{
    pid_t children[4];
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            for (int n = 0; n < 20; n++)
                tb_task_free(tb_task_create(store, NULL));
            _exit(0);
        }
    }
    for (int i = 0; i < 4; i++) {
        int status = -1;
        waitpid(children[i], &status, 0);
        ck_assert_int_eq(status, 0);
    }
    g_autoptr(GPtrArray) tasks = tb_task_list(store, NULL);
    ck_assert_uint_eq(tasks->len, 80);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("store");
    tcase_set_timeout(cases, 30);
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, test_create);
    tcase_add_test(cases, test_ids_are_unique_and_short);
    tcase_add_test(cases, test_open_by_prefix);
    tcase_add_test(cases, test_ambiguous_prefix);
    tcase_add_loop_test(cases, test_not_found, 0, G_N_ELEMENTS(wrong_names));
    tcase_add_test(cases, test_last);
    tcase_add_test(cases, test_damaged_record);
    tcase_add_test(cases, test_save_and_reload);
    tcase_add_test(cases, test_save_is_atomic);
    tcase_add_test(cases, test_lock);
    tcase_add_test(cases, test_fail);
    tcase_add_test(cases, test_two_creators);
    return suite_run_case("task store", cases);
}
