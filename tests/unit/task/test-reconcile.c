/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

/* A taskbox that is killed in `state`, after it wrote a log and made a box. */
static char *die_in(TbTaskState state)
{
    int channel[2];
    ck_assert_int_eq(pipe(channel), 0);
    pid_t child = fork();
    if (child == 0) {
        TbTask *task = tb_task_create(store, NULL);
        g_autofree char *box = tb_task_path(task, "box");
        if (!task || mkdir(box, 0700) < 0 || !tb_task_save(task, state, NULL))
            _exit(1);
        TbTaskLog *log = tb_task_log_open(task, TB_TASK_LOG, 0, NULL);
        (void)!tb_task_log_append(log, "so far\n", 7, NULL);
        (void)!write(channel[1], task->id, strlen(task->id));
        raise(SIGKILL);
    }
    close(channel[1]);
    char id[64] = "";
    ck_assert_int_gt(read(channel[0], id, sizeof id - 1), 0);
    close(channel[0]);
    waitpid(child, NULL, 0);
    return g_strdup(id);
}

static const TbTaskState unfinished[] = {TB_TASK_CREATED, TB_TASK_STARTING, TB_TASK_RUNNING,
                                         TB_TASK_EXPORTING};

START_TEST(test_dead_owner)
{
    g_autofree char *id = die_in(unfinished[_i]);
    g_autoptr(GError) error = NULL;
    ck_assert(tb_store_reconcile(store, &error));
    g_autoptr(TbTask) task = tb_task_open(store, id, NULL);
    ck_assert_int_eq(task->state, TB_TASK_FAILED);
    g_autofree char *expected =
        g_strdup_printf("taskbox was killed while %s", tb_task_state_name(unfinished[_i]));
    ck_assert_str_eq(task->error_message, expected);
    ck_assert_str_eq(task->error_code, "interrupted");
    g_autofree char *box = tb_task_path(task, "box");
    ck_assert(!g_file_test(box, G_FILE_TEST_EXISTS));
    g_autofree char *log = tb_task_path(task, "log");
    g_autofree char *text = NULL;
    ck_assert(g_file_get_contents(log, &text, NULL, NULL));
    ck_assert_str_eq(text, "so far\n");
}
END_TEST

START_TEST(test_living_owner)
{
    g_autoptr(TbTask) task = new_task();
    ck_assert(tb_task_save(task, TB_TASK_RUNNING, NULL));
    g_autofree char *box = tb_task_path(task, "box");
    ck_assert_int_eq(mkdir(box, 0700), 0);
    ck_assert(tb_store_reconcile(store, NULL));
    ck_assert(tb_task_reload(task, NULL));
    ck_assert_int_eq(task->state, TB_TASK_RUNNING);
    ck_assert(g_file_test(box, G_FILE_TEST_EXISTS));
}
END_TEST

/* Killed between the last record and the end of the box: the patch stays, the box goes. */
START_TEST(test_finished_with_box)
{
    g_autofree char *id = die_in(TB_TASK_READY);
    ck_assert(tb_store_reconcile(store, NULL));
    g_autoptr(TbTask) task = tb_task_open(store, id, NULL);
    ck_assert_int_eq(task->state, TB_TASK_READY);
    g_autofree char *box = tb_task_path(task, "box");
    ck_assert(!g_file_test(box, G_FILE_TEST_EXISTS));
}
END_TEST

START_TEST(test_kept_box_stays)
{
    g_autoptr(TbTask) task = new_task();
    g_autofree char *box = tb_task_path(task, "box");
    ck_assert_int_eq(mkdir(box, 0700), 0);
    task->keep = true;
    ck_assert(tb_task_save(task, TB_TASK_READY, NULL));
    g_clear_pointer(&task, tb_task_free);
    ck_assert(tb_store_reconcile(store, NULL));
    ck_assert(g_file_test(box, G_FILE_TEST_EXISTS));
}
END_TEST

START_TEST(test_remains)
{
    static const char *const remains[] = {".new-calm-fox-a2", ".gone-calm-fox-a3"};
    for (size_t i = 0; i < G_N_ELEMENTS(remains); i++) {
        g_autofree char *dir = g_build_filename(tb_store_path(store), remains[i], "git", NULL);
        ck_assert_int_eq(g_mkdir_with_parents(dir, 0700), 0);
    }
    ck_assert(tb_store_reconcile(store, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(remains); i++) {
        g_autofree char *dir = g_build_filename(tb_store_path(store), remains[i], NULL);
        ck_assert(!g_file_test(dir, G_FILE_TEST_EXISTS));
    }
}
END_TEST

START_TEST(test_remove)
{
    g_autoptr(TbTask) task = new_task();
    g_autofree char *dir = g_strdup(task->dir);
    ck_assert(tb_task_remove(store, task, NULL));
    ck_assert(!g_file_test(dir, G_FILE_TEST_EXISTS));
    g_autoptr(GPtrArray) tasks = tb_task_list(store, NULL);
    ck_assert_uint_eq(tasks->len, 0);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("reconcile");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_loop_test(cases, test_dead_owner, 0, G_N_ELEMENTS(unfinished));
    tcase_add_test(cases, test_living_owner);
    tcase_add_test(cases, test_finished_with_box);
    tcase_add_test(cases, test_kept_box_stays);
    tcase_add_test(cases, test_remains);
    tcase_add_test(cases, test_remove);
    return suite_run_case("task reconcile", cases);
}
