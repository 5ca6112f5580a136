/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Real processes that want to boot, on one processor; the state directory is the test's own. */
#include "../task/fixture.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "run/boot-turn.h"
#include "util/interrupt.h"

#define PATIENT 30000 /* ms; for what must happen */
#define SHORT   300   /* ms; for what must not */

typedef struct {
    pid_t pid;
    int out;
} Child;

/* Says 't' when it has a turn, 'i' when interrupted, and keeps the turn till it is killed. */
static Child start(void)
{
    int out[2];
    ck_assert_int_eq(pipe(out), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        tb_interrupt_install();
        g_autoptr(GError) error = NULL;
        TbBootTurn *turn = tb_boot_turn_take(&error);
        char word = turn ? 't' : g_error_matches(error, TB_ERROR, TB_ERROR_INTERRUPTED) ? 'i' : 'e';
        (void)!write(out[1], &word, 1);
        for (;;)
            pause();
    }
    close(out[1]);
    return (Child){.pid = pid, .out = out[0]};
}

static char says(const Child *child, int ms)
{
    struct pollfd fd = {.fd = child->out, .events = POLLIN};
    char word = 0;
    return poll(&fd, 1, ms) == 1 && read(child->out, &word, 1) == 1 ? word : 0;
}

static void end(const Child *child)
{
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
    close(child->out);
}

static void use_processors(int count)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    cpu_set_t now;
    ck_assert_int_eq(sched_getaffinity(0, sizeof now, &now), 0);
    for (int cpu = 0; cpu < CPU_SETSIZE && count > 0; cpu++)
        if (CPU_ISSET(cpu, &now)) {
            CPU_SET(cpu, &set);
            count--;
        }
    ck_assert_int_eq(sched_setaffinity(0, sizeof set, &set), 0);
}

static Child start_with_turn(void)
{
    Child child = start();
    ck_assert_int_eq(says(&child, PATIENT), 't');
    return child;
}

START_TEST(one_at_a_time_on_one_processor)
{
    use_processors(1);
    Child first = start_with_turn(), second = start();
    ck_assert_int_eq(says(&second, SHORT), 0);
    end(&first); /* by SIGKILL */
    ck_assert_int_eq(says(&second, PATIENT), 't');
    end(&second);
    TbBootTurn *turn = tb_boot_turn_take(NULL);
    ck_assert_ptr_nonnull(turn);
    tb_boot_turn_free(turn);
    Child third = start_with_turn();
    end(&third);
}
END_TEST

START_TEST(an_interrupt_ends_the_wait)
{
    use_processors(1);
    Child first = start_with_turn(), second = start();
    ck_assert_int_eq(says(&second, SHORT), 0);
    kill(second.pid, SIGTERM);
    ck_assert_int_eq(says(&second, PATIENT), 'i');
    end(&second);
    end(&first);
}
END_TEST

START_TEST(two_at_once_on_two)
{
    cpu_set_t now;
    ck_assert_int_eq(sched_getaffinity(0, sizeof now, &now), 0);
    if (CPU_COUNT(&now) < 2)
        return; /* nothing to see on one */
    use_processors(2);
    Child first = start_with_turn(), second = start_with_turn();
    Child third = start();
    ck_assert_int_eq(says(&third, SHORT), 0);
    end(&second);
    ck_assert_int_eq(says(&third, PATIENT), 't');
    end(&first);
    end(&third);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("boot-turn");
    tcase_add_checked_fixture(tcase, set_up_state, tear_down);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, one_at_a_time_on_one_processor);
    tcase_add_test(tcase, an_interrupt_ends_the_wait);
    tcase_add_test(tcase, two_at_once_on_two);
    return suite_run_case("task boot-turn", tcase);
}
