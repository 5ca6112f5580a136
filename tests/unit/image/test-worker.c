/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "image/worker.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/interrupt.h"

static bool say_pid(void *data, GString *out, GError **error)
{
    g_string_printf(out, "%d %s", (int)getpid(), (const char *)data);
    return true;
}

START_TEST(the_answer_comes_back_from_another_process)
{
    g_autoptr(GString) out = g_string_new(NULL);
    ck_assert(tb_worker_run(say_pid, (char *)"a b\n", out, NULL));
    ck_assert_int_ne(atoi(out->str), (int)getpid());
    ck_assert(g_str_has_suffix(out->str, " a b\n"));
}
END_TEST

static bool refuse(void *data, GString *out, GError **error)
{
    return tb_error_set(error, TB_ERROR_NO_SPACE, "cannot do it: %s", (const char *)data);
}

START_TEST(so_does_the_error)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_worker_run(refuse, (char *)"full", out, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_NO_SPACE);
    ck_assert_str_eq(error->message, "cannot do it: full");
}
END_TEST

static bool die(void *data, GString *out, GError **error)
{
    raise(SIGKILL);
    return true;
}

START_TEST(a_death_is_an_error)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_worker_run(die, NULL, out, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_IMAGE);
}
END_TEST

/* Locks a file in a grandchild, then interrupts the test and never ends. */
static bool hang(void *data, GString *out, GError **error)
{
    tb_autofd fd = open(data, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (flock(fd, LOCK_EX) == 0 && fork() != 0)
        kill(getppid(), SIGTERM);
    while (pause() < 0)
        continue;
    return true;
}

START_TEST(an_interrupt_ends_it_with_all_it_started)
{
    char path[] = "/tmp/tb-worker-XXXXXX";
    tb_autofd fd = mkstemp(path);
    tb_interrupt_install();
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_worker_run(hang, path, out, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_INTERRUPTED);
    /* Free once child and grandchild are gone: at once, or the test's deadline passes. */
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    unlink(path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("image-worker");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, the_answer_comes_back_from_another_process);
    tcase_add_test(tcase, so_does_the_error);
    tcase_add_test(tcase, a_death_is_an_error);
    tcase_add_test(tcase, an_interrupt_ends_it_with_all_it_started);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
