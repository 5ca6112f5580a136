/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include "../suite.h"
#include "util/error.h"
#include "util/interrupt.h"

static bool is_readable(void)
{
    struct pollfd polled = {.fd = tb_interrupt_fd(), .events = POLLIN};
    return poll(&polled, 1, 0) == 1;
}

START_TEST(test_not_installed)
{
    ck_assert_int_eq(tb_interrupt_fd(), -1);
    ck_assert_int_eq(tb_interrupt_pending(), 0);
    ck_assert(tb_interrupt_check(NULL));
    tb_interrupt_acknowledge();
}
END_TEST

START_TEST(test_counts)
{
    signal(SIGHUP, SIG_DFL); /* whoever started us may have ignored it, as nohup does */
    tb_interrupt_install();
    ck_assert(!is_readable());
    raise(SIGTERM);
    raise(SIGINT);
    ck_assert_int_eq(tb_interrupt_pending(), 2);
    ck_assert_int_eq(tb_interrupt_signal(), SIGINT);
    ck_assert(is_readable());
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_interrupt_check(&error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_INTERRUPTED);
    ck_assert_str_eq(error->message, "interrupted by SIGINT");
    tb_interrupt_acknowledge();
    ck_assert_int_eq(tb_interrupt_pending(), 0);
    ck_assert_int_eq(tb_interrupt_signal(), SIGINT);
    ck_assert(!is_readable());
    ck_assert(tb_interrupt_check(NULL));
    raise(SIGHUP);
    ck_assert(!tb_interrupt_check(NULL));
    raise(SIGPIPE); /* ignored: we live */
}
END_TEST

START_TEST(test_nohup)
{
    signal(SIGHUP, SIG_IGN);
    tb_interrupt_install();
    raise(SIGHUP);
    ck_assert_int_eq(tb_interrupt_pending(), 0);
}
END_TEST

int main(void)
{
    TCase *interrupt = tcase_create("interrupt");
    tcase_add_test(interrupt, test_not_installed);
    tcase_add_test(interrupt, test_counts);
    tcase_add_test(interrupt, test_nohup);
    Suite *suite = suite_create("util-interrupt");
    suite_add_tcase(suite, interrupt);
    return suite_run(suite);
}
