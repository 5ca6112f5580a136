/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"
#include "util/interrupt.h"

static Harness *harness;
static TbSession *session;

static void set_up(void)
{
    harness = harness_start();
    session = harness_ready(harness);
}

static void tear_down(void)
{
    tb_session_free(session);
    harness_stop(harness);
}

typedef struct {
    GString *out, *err;
    size_t fail_after;
    int interrupts;
} Seen;

static bool on_output(int fd, const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Seen *seen = user_data;
    g_string_append_len(fd == 1 ? seen->out : seen->err, (const char *)data, (gssize)length);
    if (seen->fail_after > 0 && seen->out->len >= seen->fail_after)
        return tb_error_set(error, TB_ERROR_LIMIT, "enough");
    return true;
}

static int on_interrupt(void *user_data)
{
    Seen *seen = user_data;
    return ++seen->interrupts == 1 ? SIGTERM : -1;
}

static bool run(const TbExec *exec, Seen *seen, double seconds, TbExecResult *result,
                GError **error)
{
    const TbExecHandlers handlers = {.output = on_output, .interrupt = on_interrupt, .data = seen};
    seen->out = g_string_new(NULL);
    seen->err = g_string_new(NULL);
    return tb_session_exec(session, exec, &handlers, harness_deadline(seconds), result, error);
}

static void clear(Seen *seen)
{
    g_string_free(seen->out, TRUE);
    g_string_free(seen->err, TRUE);
}

START_TEST(streams_and_code)
{
    g_autoptr(HarnessRun) done = harness_shell(session, "echo out; echo err >&2; exit 3");
    ck_assert_str_eq(done->out->str, "out\n");
    ck_assert_str_eq(done->err->str, "err\n");
    ck_assert_int_eq(done->result.code, 3);
    ck_assert_int_eq(done->result.signal, 0);
}
END_TEST

START_TEST(own_signal)
{
    g_autoptr(HarnessRun) done = harness_shell(session, "kill -TERM $$; sleep 5");
    ck_assert_int_eq(done->result.code, 128 + SIGTERM);
    ck_assert_int_eq(done->result.signal, SIGTERM);
}
END_TEST

START_TEST(task_user_and_environment)
{
    const char *argv[] = {
        "sh", "-c", "id -u; id -g; id -G; echo $HOME $USER $LANG $MINE $TERM; pwd; umask", NULL};
    const char *env[] = {"MINE=a b", "TERM=vt100", NULL};
    const TbExec exec = {.argv = argv, .env = env, .cwd = "/usr", .stdin_fd = -1};
    Seen seen = {0};
    TbExecResult result;
    GError *error = NULL;
    bool ok = run(&exec, &seen, 10, &result, &error);
    harness_ok(ok, error);
    ck_assert_str_eq(seen.out->str, "54321\n54322\n54322 999\n"
                                    "/home/agent agent C.UTF-8 a b vt100\n/usr\n0022\n");
    clear(&seen);
}
END_TEST

static int exec_code(const char *program, const char *cwd, const char *says)
{
    const char *argv[] = {program, NULL};
    const TbExec exec = {.argv = argv, .cwd = cwd, .stdin_fd = -1};
    Seen seen = {0};
    TbExecResult result = {0};
    GError *error = NULL;
    bool ok = run(&exec, &seen, 10, &result, &error);
    harness_ok(ok, error);
    ck_assert_str_eq(seen.err->str, says);
    clear(&seen);
    return result.code;
}

START_TEST(programs_that_cannot_run)
{
    ck_assert_int_eq(exec_code("no-such-program", "/",
                               "taskbox: cannot run 'no-such-program': No such file or "
                               "directory\n"),
                     127);
    ck_assert_int_eq(
        exec_code("/etc/passwd", "/", "taskbox: cannot run '/etc/passwd': Permission denied\n"),
        126);
    ck_assert_int_eq(exec_code("true", "/no/where",
                               "taskbox: cannot enter '/no/where': No such file or directory\n"),
                     126);
}
END_TEST

START_TEST(long_command_line)
{
    g_autofree char *long_text = g_strnfill(100000, 'x');
    const char *argv[] = {"sh", "-c", "echo ${#1} ${#2}", "sh", long_text, long_text, NULL};
    const TbExec exec = {.argv = argv, .cwd = "/", .stdin_fd = -1};
    Seen seen = {0};
    TbExecResult result;
    GError *error = NULL;
    bool ok = run(&exec, &seen, 10, &result, &error);
    harness_ok(ok, error);
    ck_assert_str_eq(seen.out->str, "100000 100000\n");
    clear(&seen);
    g_autofree char *too_long = g_strnfill(2 << 20, 'x');
    const char *argv2[] = {"true", too_long, NULL};
    const TbExec exec2 = {.argv = argv2, .cwd = "/", .stdin_fd = -1};
    ck_assert(!run(&exec2, &seen, 10, &result, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_LIMIT);
    g_clear_error(&error);
    clear(&seen);
}
END_TEST

static int memory_file(size_t size)
{
    int fd = memfd_create("input", MFD_CLOEXEC);
    g_autofree char *bytes = g_malloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 7 + i / 251);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static void run_with_input(const char *line, int fd, Seen *seen, TbExecResult *result)
{
    const char *argv[] = {"sh", "-c", line, NULL};
    const TbExec exec = {.argv = argv, .cwd = "/", .stdin_fd = fd};
    GError *error = NULL;
    bool ok = run(&exec, seen, 20, result, &error);
    harness_ok(ok, error);
}

START_TEST(input_comes_back)
{
    enum { SIZE = 3 * 1024 * 1024 + 17 };
    Seen seen = {0};
    TbExecResult result;
    int fd = memory_file(SIZE);
    run_with_input("cat", fd, &seen, &result);
    ck_assert_uint_eq(seen.out->len, SIZE);
    g_autofree char *bytes = g_malloc(SIZE);
    ck_assert_int_eq(pread(fd, bytes, SIZE, 0), SIZE);
    ck_assert(memcmp(bytes, seen.out->str, SIZE) == 0);
    clear(&seen);
    close(fd);
}
END_TEST

START_TEST(input_nobody_reads)
{
    Seen seen = {0};
    TbExecResult result;
    int fd = memory_file(1024 * 1024);
    run_with_input("exec 0<&-; echo x; exit 4", fd, &seen, &result);
    ck_assert_int_eq(result.code, 4);
    clear(&seen);
    lseek(fd, 0, SEEK_SET);
    run_with_input("head -c 100000 | wc -c", fd, &seen, &result);
    ck_assert_str_eq(seen.out->str, "100000\n");
    clear(&seen);
    close(fd);
}
END_TEST

START_TEST(no_input)
{
    g_autoptr(HarnessRun) done = harness_shell(session, "cat; echo end");
    ck_assert_str_eq(done->out->str, "end\n");
}
END_TEST

START_TEST(terminal)
{
    const char *argv[] = {"sh", "-c", "stty size; test -t 0 && test -t 1 && test -t 2 && tty",
                          NULL};
    const TbExec exec = {
        .argv = argv, .cwd = "/", .pty = true, .rows = 33, .columns = 77, .stdin_fd = -1};
    Seen seen = {0};
    TbExecResult result;
    GError *error = NULL;
    bool ok = run(&exec, &seen, 10, &result, &error);
    harness_ok(ok, error);
    ck_assert_int_eq(result.code, 0);
    ck_assert(g_str_has_prefix(seen.out->str, "33 77\r\n/dev/"));
    clear(&seen);
}
END_TEST

START_TEST(terminal_input)
{
    int fd = memfd_create("input", MFD_CLOEXEC);
    ck_assert_int_eq(write(fd, "hello\n", 6), 6);
    lseek(fd, 0, SEEK_SET);
    const char *argv[] = {"sh", "-c", "stty -echo; read a; echo got $a; cat; echo end", NULL};
    const TbExec exec = {.argv = argv, .cwd = "/", .pty = true, .stdin_fd = fd};
    Seen seen = {0};
    TbExecResult result;
    GError *error = NULL;
    bool ok = run(&exec, &seen, 10, &result, &error);
    harness_ok(ok, error);
    ck_assert_ptr_nonnull(strstr(seen.out->str, "got hello\r\nend\r\n"));
    clear(&seen);
    close(fd);
}
END_TEST

START_TEST(much_output)
{
    g_autoptr(HarnessRun) done =
        harness_shell(session, "head -c 20000000 /dev/zero; head -c 300000 /dev/zero >&2");
    ck_assert_uint_eq(done->out->len, 20000000);
    ck_assert_uint_eq(done->err->len, 300000);
    ck_assert_int_eq(done->result.code, 0);
}
END_TEST

START_TEST(background_process_holds_output)
{
    int64_t start = g_get_monotonic_time();
    g_autoptr(HarnessRun) done = harness_shell(session, "sleep 60 & echo hi");
    ck_assert_str_eq(done->out->str, "hi\n");
    ck_assert_int_lt(g_get_monotonic_time() - start, 5 * G_USEC_PER_SEC);
}
END_TEST

START_TEST(deadline_kills)
{
    const char *argv[] = {"sh", "-c", "trap '' TERM; echo a; sleep 60", NULL};
    const TbExec exec = {.argv = argv, .cwd = "/", .stdin_fd = -1};
    Seen seen = {0};
    TbExecResult result;
    g_autoptr(GError) error = NULL;
    ck_assert(!run(&exec, &seen, 0.5, &result, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_TIMEOUT);
    clear(&seen);
    g_autoptr(HarnessRun) done = harness_shell(session, "echo still here");
    ck_assert_str_eq(done->out->str, "still here\n");
}
END_TEST

START_TEST(full_input_does_not_block_signals)
{
    int fd = memory_file(1024 * 1024);
    const char *argv[] = {"sleep", "60", NULL};
    const TbExec exec = {.argv = argv, .cwd = "/", .stdin_fd = fd};
    Seen seen = {0};
    TbExecResult result;
    g_autoptr(GError) error = NULL;
    ck_assert(!run(&exec, &seen, 0.5, &result, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_TIMEOUT);
    clear(&seen);
    close(fd);
    g_autoptr(HarnessRun) done = harness_shell(session, "ps -e | grep -c ' sleep$'");
    ck_assert_str_eq(done->out->str, "0\n");
}
END_TEST

START_TEST(failing_handler_kills)
{
    const char *argv[] = {"sh", "-c", "while :; do echo yes; done", NULL};
    const TbExec exec = {.argv = argv, .cwd = "/", .stdin_fd = -1};
    Seen seen = {.fail_after = 100000};
    TbExecResult result;
    g_autoptr(GError) error = NULL;
    ck_assert(!run(&exec, &seen, 10, &result, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_LIMIT);
    clear(&seen);
    g_autoptr(HarnessRun) done = harness_shell(session, "echo fine");
    ck_assert_str_eq(done->out->str, "fine\n");
}
END_TEST

START_TEST(interrupt_becomes_signal)
{
    tb_interrupt_install();
    const char *argv[] = {"sh", "-c", "trap 'echo caught; exit 9' TERM; sleep 20 & wait", NULL};
    const TbExec exec = {.argv = argv, .cwd = "/", .stdin_fd = -1};
    Seen seen = {0};
    TbExecResult result;
    GError *error = NULL;
    pid_t self = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        g_usleep(400000);
        kill(self, SIGINT);
        _exit(0);
    }
    bool ok = run(&exec, &seen, 10, &result, &error);
    harness_ok(ok, error);
    ck_assert_str_eq(seen.out->str, "caught\n");
    ck_assert_int_eq(result.code, 9);
    ck_assert_int_eq(tb_interrupt_pending(), 0);
    clear(&seen);
    seen.interrupts = 1; /* the next one ends the call */
    raise(SIGINT);
    const char *argv2[] = {"sleep", "20", NULL};
    const TbExec exec2 = {.argv = argv2, .cwd = "/", .stdin_fd = -1};
    ck_assert(!run(&exec2, &seen, 10, &result, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_INTERRUPTED);
    g_clear_error(&error);
    clear(&seen);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {streams_and_code,
                                  own_signal,
                                  task_user_and_environment,
                                  programs_that_cannot_run,
                                  long_command_line,
                                  input_comes_back,
                                  input_nobody_reads,
                                  no_input,
                                  terminal,
                                  terminal_input,
                                  much_output,
                                  background_process_holds_output,
                                  deadline_kills,
                                  full_input_does_not_block_signals,
                                  failing_handler_kills,
                                  interrupt_becomes_signal};
    Suite *suite = suite_create("guest-exec");
    TCase *tcase = tcase_create("exec");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    return harness_main(suite);
}
