/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Real processes that want boxes; the state directory is the test's own. */
#include "../task/fixture.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "run/admission.h"
#include "util/interrupt.h"

#define MIB     (UINT64_C(1) << 20)
#define PATIENT 30000 /* ms; for what must happen */
#define SOON    4000  /* ms; less than admission.c's LOOK_MS: an event told of it */
#define SHORT   200   /* ms; for what must not happen */

static const TbCapacity capacity = {.cpus = 4, .memory = 400 * MIB};

/* Says 'a' when admitted, 'i' when interrupted, 'e' on another error; gives back when told. */
typedef struct {
    pid_t pid;
    int say, hear; /* ours */
    int err;       /* what it writes to stderr */
} Child;

_Noreturn static void be_child(int in, int out, unsigned cpus, uint64_t memory)
{
    tb_interrupt_install();
    GError *error = NULL;
    TbAdmission *admission = tb_admission_take(&capacity, cpus, memory, &error);
    bool interrupted = g_error_matches(error, TB_ERROR, TB_ERROR_INTERRUPTED);
    char word = admission ? 'a' : interrupted ? 'i' : 'e';
    (void)!write(out, &word, 1);
    while (admission && read(in, &word, 1) < 0)
        continue;
    tb_admission_free(admission);
    _exit(0);
}

static Child start(unsigned cpus, uint64_t memory)
{
    int in[2], out[2], err[2];
    ck_assert(pipe(in) == 0 && pipe(out) == 0 && pipe(err) == 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        dup2(err[1], STDERR_FILENO);
        close(in[1]);
        be_child(in[0], out[1], cpus, memory);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    return (Child){.pid = pid, .say = in[1], .hear = out[0], .err = err[0]};
}

/* What the child says within that time; 0: nothing. */
static char says(const Child *child, int ms)
{
    struct pollfd fd = {.fd = child->hear, .events = POLLIN};
    char word = 0;
    return poll(&fd, 1, ms) == 1 && read(child->hear, &word, 1) == 1 ? word : 0;
}

static void end(Child *child)
{
    close(child->say);
    close(child->hear);
    close(child->err);
    waitpid(child->pid, NULL, 0);
}

static void give_back(Child *child)
{
    ck_assert_int_eq(write(child->say, "x", 1), 1);
    end(child);
}

static void kill_child(Child *child)
{
    kill(child->pid, SIGKILL);
    end(child);
}

static char *tickets_dir(void)
{
    return g_build_filename(root, "taskbox", "admission", NULL);
}

static unsigned tickets(void)
{
    g_autofree char *path = tickets_dir();
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    unsigned count = 0;
    while (dir && g_dir_read_name(dir))
        count++;
    return count;
}

static void wait_for_tickets(unsigned count)
{
    for (int i = 0; i < PATIENT / 5 && tickets() != count; i++)
        g_usleep(5000);
    ck_assert_uint_eq(tickets(), count);
}

static Child start_admitted(unsigned cpus, uint64_t memory)
{
    Child child = start(cpus, memory);
    ck_assert_int_eq(says(&child, PATIENT), 'a');
    return child;
}

/* `tickets` before it. */
static Child start_waiting(unsigned cpus, uint64_t memory, unsigned before)
{
    Child child = start(cpus, memory);
    wait_for_tickets(before + 1);
    ck_assert_int_eq(says(&child, SHORT), 0);
    return child;
}

START_TEST(test_first_in_first_out)
{
    Child a = start_admitted(2, MIB), b = start_admitted(2, MIB);
    Child large = start_waiting(4, MIB, 2);
    Child small = start_waiting(1, MIB, 3);
    give_back(&a); /* the small one would fit, but it is not its turn */
    ck_assert_int_eq(says(&small, SHORT), 0);
    ck_assert_int_eq(says(&large, 0), 0);
    give_back(&b);
    ck_assert_int_eq(says(&large, SOON), 'a');
    ck_assert_int_eq(says(&small, SHORT), 0);
    give_back(&large);
    ck_assert_int_eq(says(&small, SOON), 'a');
    give_back(&small);
    ck_assert_uint_eq(tickets(), 0);
}
END_TEST

START_TEST(test_memory_counts)
{
    Child a = start_admitted(1, 300 * MIB), b = start_admitted(1, 100 * MIB);
    Child c = start_waiting(1, MIB, 2);
    give_back(&b);
    ck_assert_int_eq(says(&c, SOON), 'a');
    give_back(&a);
    give_back(&c);
}
END_TEST

START_TEST(test_killed_holder)
{
    Child holder = start_admitted(4, MIB);
    Child waiter = start_waiting(1, MIB, 1);
    kill_child(&holder);
    ck_assert_int_eq(says(&waiter, SOON), 'a');
    ck_assert_uint_eq(tickets(), 1);
    give_back(&waiter);
}
END_TEST

START_TEST(test_killed_waiter)
{
    Child holder = start_admitted(2, MIB);
    Child first = start_waiting(4, MIB, 1);
    Child second = start_waiting(1, MIB, 2);
    Child third = start_waiting(1, MIB, 3);
    kill_child(&first); /* nobody else gives anything back, yet there is room now */
    ck_assert_int_eq(says(&second, SOON), 'a');
    ck_assert_int_eq(says(&third, SOON), 'a');
    ck_assert_uint_eq(tickets(), 3);
    give_back(&holder);
    give_back(&second);
    give_back(&third);
}
END_TEST

/* Ctrl-Z on one that waits: it gets its room and the next ones do, too. */
START_TEST(test_stopped_waiter)
{
    Child holder = start_admitted(4, MIB);
    Child stopped = start_waiting(2, MIB, 1);
    Child next = start_waiting(2, MIB, 2);
    kill(stopped.pid, SIGSTOP);
    give_back(&holder);
    ck_assert_int_eq(says(&next, SOON), 'a');
    give_back(&next);
    kill(stopped.pid, SIGCONT);
    ck_assert_int_eq(says(&stopped, SOON), 'a');
    give_back(&stopped);
}
END_TEST

START_TEST(test_interrupt)
{
    Child holder = start_admitted(4, MIB);
    Child waiter = start_waiting(1, MIB, 1);
    kill(waiter.pid, SIGINT);
    ck_assert_int_eq(says(&waiter, SOON), 'i');
    end(&waiter);
    ck_assert_uint_eq(tickets(), 1);
    give_back(&holder);
}
END_TEST

static char *all_of(int fd)
{
    GString *text = g_string_new(NULL);
    char buffer[512];
    for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) > 0;)
        g_string_append_len(text, buffer, got);
    return g_string_free(text, FALSE);
}

START_TEST(test_says_it_once)
{
    Child a = start_admitted(3, 100 * MIB), b = start_admitted(1, 200 * MIB);
    Child first = start_waiting(4, 10 * MIB, 2), second = start_waiting(4, 10 * MIB, 3);
    give_back(&a); /* news, but not for them */
    ck_assert_int_eq(says(&first, SHORT), 0);
    give_back(&b);
    ck_assert_int_eq(says(&first, SOON), 'a');
    ck_assert_int_eq(write(first.say, "x", 1), 1);
    ck_assert_int_eq(says(&second, SOON), 'a');
    ck_assert_int_eq(write(second.say, "x", 1), 1);
    g_autofree char *of_first = all_of(first.err), *of_second = all_of(second.err);
    ck_assert_str_eq(of_first, "taskbox: waiting for room: 2 boxes use 4 of 4 cpus and 300.0 MiB "
                               "of 400.0 MiB of memory\n");
    ck_assert_str_eq(of_second, "taskbox: waiting for room: 2 boxes use 4 of 4 cpus and 300.0 MiB "
                                "of 400.0 MiB of memory; 1 waiting before this one\n");
    end(&first);
    end(&second);
}
END_TEST

static const struct {
    unsigned cpus;
    uint64_t memory;
    const char *option;
} too_large[] = {{5, MIB, "--cpus"}, {1, 401 * MIB, "--memory"}};

START_TEST(test_too_large)
{
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(
        tb_admission_take(&capacity, too_large[_i].cpus, too_large[_i].memory, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_LIMIT);
    ck_assert_ptr_nonnull(strstr(error->message, "4 cpus and 400.0 MiB"));
    ck_assert_ptr_nonnull(strstr(error->message, too_large[_i].option));
    g_autoptr(TbAdmission) all =
        tb_admission_take(&capacity, capacity.cpus, capacity.memory, &error);
    ck_assert_ptr_nonnull(all);
}
END_TEST

/* Tickets of the dead, and files that are no tickets. */
START_TEST(test_leftovers)
{
    static const char *const dead[] = {"00000000000000000007-r-4-1", "00000000000000000009-w-4-1"};
    static const char *const strange[] = {"",        "x",         "7-r-4",
                                          "7-q-4-1", "7-r-4-1-1", "99999999999999999999-r-4-1"};
    g_autofree char *dir = tickets_dir();
    ck_assert_int_eq(g_mkdir_with_parents(dir, 0700), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(dead); i++) {
        g_autofree char *path = g_build_filename(dir, dead[i], NULL);
        ck_assert(g_file_set_contents(path, "", 0, NULL));
    }
    for (size_t i = 1; i < G_N_ELEMENTS(strange); i++) {
        g_autofree char *path = g_build_filename(dir, strange[i], NULL);
        ck_assert(g_file_set_contents(path, "", 0, NULL));
    }
    Child child = start_admitted(4, MIB);
    ck_assert_uint_eq(tickets(), G_N_ELEMENTS(strange)); /* ours in the place of "" */
    give_back(&child);
}
END_TEST

/* The ticket of one that waits is gone: it must not wait for ever. */
START_TEST(test_removed_ticket)
{
    Child holder = start_admitted(4, MIB);
    Child waiter = start_waiting(1, MIB, 1);
    g_autofree char *dir = tickets_dir();
    ck_assert(tb_remove_tree(AT_FDCWD, dir, NULL));
    ck_assert_int_eq(says(&waiter, SOON), 'e');
    end(&waiter);
    give_back(&holder);
}
END_TEST

#define CROWD 24

/* All at once, some die with a box: never more than fit, and everybody gets a turn. */
START_TEST(test_crowd)
{
    atomic_int *now = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(now, MAP_FAILED);
    atomic_int *most = now + 1, *turns = now + 2;
    for (int i = 0; i < CROWD; i++) {
        if (fork() != 0)
            continue;
        close(STDERR_FILENO);
        TbAdmission *admission = tb_admission_take(&capacity, 1, MIB, NULL);
        if (!admission)
            _exit(1);
        int count = atomic_fetch_add(now, 1) + 1;
        for (int seen = *most; seen < count && !atomic_compare_exchange_weak(most, &seen, count);)
            continue;
        atomic_fetch_add(turns, 1);
        g_usleep(20000);
        atomic_fetch_sub(now, 1);
        if (i % 3 == 0)
            raise(SIGKILL);
        tb_admission_free(admission);
        _exit(0);
    }
    for (int i = 0; i < CROWD; i++)
        ck_assert_int_gt(wait(NULL), 0);
    ck_assert_int_eq(*turns, CROWD);
    ck_assert_int_le(*most, (int)capacity.cpus);
    ck_assert_int_ge(*most, 2);
    munmap(now, 4096);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("admission");
    tcase_add_checked_fixture(cases, set_up_state, tear_down);
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, test_first_in_first_out);
    tcase_add_test(cases, test_memory_counts);
    tcase_add_test(cases, test_killed_holder);
    tcase_add_test(cases, test_killed_waiter);
    tcase_add_test(cases, test_stopped_waiter);
    tcase_add_test(cases, test_interrupt);
    tcase_add_test(cases, test_says_it_once);
    tcase_add_loop_test(cases, test_too_large, 0, G_N_ELEMENTS(too_large));
    tcase_add_test(cases, test_leftovers);
    tcase_add_test(cases, test_removed_ticket);
    tcase_add_test(cases, test_crowd);
    return suite_run_case("task admission", cases);
}
