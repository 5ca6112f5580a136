/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Old tasks cost nothing; none that needs work is missed. */
#include "fixture.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "task/store-private.h"

static const char ready[] = "{\"version\":1,\"state\":\"ready\",\"created\":5}";

static unsigned marks(void)
{
    g_autoptr(GPtrArray) marked = tb_store_marked(store, NULL);
    ck_assert_ptr_nonnull(marked);
    return marked->len;
}

static void reconcile(void)
{
    g_autoptr(GError) error = NULL;
    ck_assert_msg(tb_store_reconcile(store, &error), "%s", error ? error->message : "");
}

/* After the first look the records of finished tasks are not read again: damaged, they are not
 * noticed. */
START_TEST(test_old_tasks_are_not_read)
{
    for (int i = 0; i < 2000; i++) {
        g_autofree char *id = g_strdup_printf("calm-fox-%d", i);
        plant(id, ready);
    }
    reconcile();
    ck_assert_uint_eq(marks(), 0);
    g_autofree char *said = g_build_filename(root, "said", NULL);
    ck_assert_ptr_nonnull(freopen(said, "w", stderr));
    for (int i = 0; i < 2000; i++) {
        g_autofree char *id = g_strdup_printf("calm-fox-%d/record.json", i);
        g_autofree char *record = g_build_filename(tb_store_path(store), id, NULL);
        ck_assert_int_eq(truncate(record, 1), 0);
    }
    reconcile();
    TbTask *task = new_task();
    reconcile();
    ck_assert_uint_eq(marks(), 1);
    ck_assert(tb_task_save(task, TB_TASK_READY, NULL));
    tb_task_free(task);
    reconcile();
    ck_assert_uint_eq(marks(), 0);
    fflush(stderr);
    g_autofree char *text = NULL;
    ck_assert(g_file_get_contents(said, &text, NULL, NULL));
    ck_assert_str_eq(text, "");
}
END_TEST

/* A crash of the machine: marks may be lost, and its boot id is another one. */
START_TEST(test_another_boot)
{
    reconcile();
    plant("lost-task", "{\"version\":1,\"state\":\"running\",\"created\":5}");
    reconcile();
    g_autoptr(GPtrArray) names = tb_dir_names(store->dirfd, "store", NULL);
    const char *made = NULL;
    for (guint i = 0; i < names->len; i++)
        if (g_str_has_prefix(names->pdata[i], ".marks-"))
            made = names->pdata[i];
    ck_assert_ptr_nonnull(made);
    ck_assert_int_eq(renameat(store->dirfd, made, store->dirfd, ".marks-old"), 0);
    g_autofree char *half = g_strconcat(made, ".new", NULL);
    ck_assert_int_eq(mkdirat(store->dirfd, half, 0700), 0);
    reconcile();
    g_autoptr(TbTask) task = tb_task_open(store, "lost-task", NULL);
    ck_assert_int_eq(task->state, TB_TASK_FAILED);
    struct stat st;
    ck_assert_int_lt(fstatat(store->dirfd, ".marks-old", &st, 0), 0);
    ck_assert_int_lt(fstatat(store->dirfd, half, &st, 0), 0);
}
END_TEST

/* Killed at any moment while it creates, finishes and removes tasks. */
START_TEST(test_killed_any_time)
{
    for (int round = 0; round < 25; round++) {
        pid_t child = fork();
        if (child == 0) {
            for (;;) {
                TbTask *one = tb_task_create(store, NULL), *two = tb_task_create(store, NULL);
                if (!one || !two || !tb_task_save(one, TB_TASK_READY, NULL) ||
                    !tb_store_reconcile(store, NULL) || !tb_task_remove(store, one, NULL))
                    _exit(1);
                tb_task_free(one);
                tb_task_free(two);
            }
        }
        g_usleep(3000 + (gulong)round * 1700);
        kill(child, SIGKILL);
        int status = 0;
        waitpid(child, &status, 0);
        ck_assert(WIFSIGNALED(status));
        reconcile();
        ck_assert_uint_eq(marks(), 0);
        g_autoptr(GPtrArray) names = tb_dir_names(store->dirfd, "store", NULL);
        for (guint i = 0; i < names->len; i++) {
            const char *name = names->pdata[i];
            ck_assert_msg(*name != '.' || g_str_has_prefix(name, ".marks-") ||
                              strcmp(name, ".lock") == 0,
                          "left: %s", name);
        }
        g_autoptr(GPtrArray) tasks = tb_task_list(store, NULL);
        for (guint i = 0; i < tasks->len; i++)
            ck_assert(!tb_task_state_unfinished(((TbTask *)tasks->pdata[i])->state));
    }
}
END_TEST

/* What a killed remove left is found although the task had been looked at before. */
START_TEST(test_removal_is_marked)
{
    g_autoptr(TbTask) task = new_task();
    ck_assert(tb_task_save(task, TB_TASK_READY, NULL));
    reconcile();
    ck_assert_uint_eq(marks(), 0);
    g_autofree char *gone = g_strconcat(TB_STORE_GONE, task->id, NULL);
    g_autofree char *dir = g_build_filename(tb_store_path(store), gone, "git", NULL);
    ck_assert_int_eq(g_mkdir_with_parents(dir, 0700), 0);
    ck_assert(!tb_task_remove(store, task, NULL)); /* there is a tree of that name */
    reconcile();
    ck_assert(!g_file_test(dir, G_FILE_TEST_EXISTS));
    ck_assert(tb_task_remove(store, task, NULL));
    ck_assert_uint_eq(marks(), 0);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("marks");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, test_old_tasks_are_not_read);
    tcase_add_test(cases, test_another_boot);
    tcase_add_test(cases, test_killed_any_time);
    tcase_add_test(cases, test_removal_is_marked);
    return suite_run_case("task marks", cases);
}
