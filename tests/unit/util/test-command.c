/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Real children: small shell scripts that do what a child can do to us. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../suite.h"
#include "util/auto.h"
#include "util/command.h"
#include "util/error.h"
#include "util/interrupt.h"

static TbCommand *shell(const char *script)
{
    TbCommand *command = tb_command_new("sh");
    tb_command_add(command, "-c", script, NULL);
    return command;
}

/* stdout of a command that must succeed. */
static char *output(TbCommand *command)
{
    g_autoptr(GBytes) out = NULL;
    GError *error = NULL;
    ck_assert_msg(tb_command_run(command, &out, &error), "%s", error ? error->message : "");
    gsize length;
    const char *text = g_bytes_get_data(out, &length);
    ck_assert_int_eq(text[length], '\0');
    return g_strndup(text, length);
}

static void fails(TbCommand *command, TbErrorCode code, const char *message)
{
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_command_run(command, NULL, &error));
    ck_assert_msg(error->code == (int)code, "%s", error->message);
    if (message)
        ck_assert_str_eq(error->message, message);
}

/* Gone, or a zombie that only waits for its new parent. */
static bool is_gone(pid_t pid)
{
    for (int tries = 0; tries < 100; tries++) {
        g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
        g_autofree char *stat = NULL;
        if (!g_file_get_contents(path, &stat, NULL, NULL))
            return true;
        const char *after_name = strrchr(stat, ')');
        if (after_name && after_name[2] == 'Z')
            return true;
        g_usleep(20000);
    }
    return false;
}

START_TEST(test_output_and_status)
{
    g_autoptr(TbCommand) hello = shell("printf 'a\\0b'; exit 0");
    g_autoptr(GBytes) out = NULL;
    ck_assert(tb_command_run(hello, &out, NULL));
    ck_assert_mem_eq(g_bytes_get_data(out, NULL), "a\0b", 4);
    ck_assert_uint_eq(g_bytes_get_size(out), 3);
    int status = -1;
    g_autoptr(TbCommand) three = shell("exit 3");
    ck_assert(tb_command_run_status(three, NULL, &status, NULL));
    ck_assert_int_eq(status, 3);
    g_autoptr(TbCommand) killed = shell("kill -TERM $$");
    ck_assert(tb_command_run_status(killed, NULL, &status, NULL));
    ck_assert_int_eq(status, 128 + SIGTERM);
    ck_assert(tb_command_run(hello, NULL, NULL)); /* a command can run again */
}
END_TEST

START_TEST(test_messages)
{
    g_autoptr(TbCommand) git = tb_command_new("git");
    tb_command_add(git, "-c", "core.bare=true", "--git-dir", "/nowhere", "write-tree", NULL);
    fails(git, TB_ERROR_IO,
          "'git write-tree' failed with exit status 128: fatal: not a git repository: '/nowhere'");
    g_autoptr(TbCommand) noisy = shell("printf 'one\\n\\n  two\\033[31m\\nthree\\n' >&2; exit 1");
    fails(noisy, TB_ERROR_IO, "'sh' failed with exit status 1: one; two\\x1B[31m; three");
    g_autoptr(TbCommand) silent = shell("kill -KILL $$");
    fails(silent, TB_ERROR_IO, "'sh' was killed by signal 9 (Killed)");
    g_autoptr(TbCommand) flood = shell("yes 0123456789abcdef | head -c 8500000 >&2; "
                                       "echo the end >&2; exit 2");
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_command_run(flood, NULL, &error));
    ck_assert(g_str_has_suffix(error->message, "; the end"));
    ck_assert_uint_lt(strlen(error->message), 5000);
}
END_TEST

START_TEST(test_not_there)
{
    g_autoptr(TbCommand) none = tb_command_new("no-such-program");
    fails(none, TB_ERROR_DEPENDENCY, "cannot run 'no-such-program': not installed or not in PATH");
    g_autoptr(TbCommand) path = tb_command_new("/nowhere/program");
    fails(path, TB_ERROR_DEPENDENCY, "cannot run '/nowhere/program': not installed");
    g_autoptr(TbCommand) no_program = tb_command_new("/etc/passwd");
    fails(no_program, TB_ERROR_DENIED, NULL);
    g_autoptr(TbCommand) no_folder = shell("true");
    tb_command_set_cwd(no_folder, "/nowhere");
    fails(no_folder, TB_ERROR_NOT_FOUND,
          "cannot run 'sh' in '/nowhere': No such file or directory");
}
END_TEST

/* A hostile working directory must not supply programs. */
START_TEST(test_relative_path_entries)
{
    g_autofree char *folder = g_dir_make_tmp("taskbox-command-XXXXXX", NULL);
    g_autofree char *trap = g_build_filename(folder, "trap", NULL);
    ck_assert(g_file_set_contents(trap, "#!/bin/sh\n", -1, NULL));
    ck_assert_int_eq(chmod(trap, 0755), 0);
    ck_assert_int_eq(chdir(folder), 0);
    g_setenv("PATH", ":.:/usr/bin:/bin", TRUE);
    g_autoptr(TbCommand) command = tb_command_new("trap");
    fails(command, TB_ERROR_DEPENDENCY, NULL);
    ck_assert_int_eq(unlink(trap), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(test_environment)
{
    g_setenv("TB_INHERITED", "yes", TRUE);
    g_autoptr(TbCommand) clear = tb_command_new("/usr/bin/env");
    tb_command_env_clear(clear);
    tb_command_setenv(clear, "A", "1");
    tb_command_setenv(clear, "A", "2");
    tb_command_setenv(clear, "B", "3");
    tb_command_unsetenv(clear, "B");
    g_autofree char *only = output(clear);
    ck_assert_str_eq(only, "A=2\n");
    g_autoptr(TbCommand) inherit = shell("cd .. && echo $TB_INHERITED; pwd");
    tb_command_set_cwd(inherit, "/usr/bin");
    g_autofree char *text = output(inherit);
    ck_assert_str_eq(text, "yes\n/usr\n");
}
END_TEST

START_TEST(test_stdin_bytes)
{
    gsize size = (8 << 20) + 13; /* more than the pipes hold: both ways at once */
    g_autofree char *data = g_malloc(size);
    for (gsize i = 0; i < size; i++)
        data[i] = (char)(i * 7 >> 3);
    g_autoptr(TbCommand) cat = tb_command_new("cat");
    tb_command_set_stdin_bytes(cat, data, size);
    g_autoptr(GBytes) out = NULL;
    ck_assert(tb_command_run(cat, &out, NULL));
    ck_assert_uint_eq(g_bytes_get_size(out), size);
    ck_assert_mem_eq(g_bytes_get_data(out, NULL), data, size);
    g_autoptr(TbCommand) deaf = tb_command_new("true"); /* reads nothing: no SIGPIPE, no error */
    tb_command_set_stdin_bytes(deaf, data, size);
    ck_assert(tb_command_run(deaf, NULL, NULL));
    g_autoptr(TbCommand) null = tb_command_new("cat");
    g_autofree char *nothing = output(null);
    ck_assert_str_eq(nothing, "");
}
END_TEST

typedef struct {
    int rounds;
    size_t seen;
} Counter;

static bool give_lines(uint8_t *buffer, size_t size, size_t *length, void *data, GError **error)
{
    Counter *counter = data;
    if (counter->rounds == 0)
        return tb_error_set(error, TB_ERROR_LIMIT, "out of lines");
    *length = --counter->rounds == 1000 ? 0 : (size_t)g_snprintf((char *)buffer, size, "line\n");
    return true;
}

static bool count(const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Counter *counter = user_data;
    counter->seen += length;
    return counter->seen < 1000000 || tb_error_set(error, TB_ERROR_GUEST, "too much");
}

START_TEST(test_callbacks)
{
    Counter counter = {.rounds = 2001};
    g_autoptr(TbCommand) cat = tb_command_new("cat");
    tb_command_set_stdin_fn(cat, give_lines, &counter);
    tb_command_set_stdout_fn(cat, count, &counter);
    ck_assert(tb_command_run(cat, NULL, NULL));
    ck_assert_uint_eq(counter.seen, 5000);
    counter.rounds = 10;
    fails(cat, TB_ERROR_LIMIT, "out of lines");
    g_autoptr(TbCommand) yes = tb_command_new("yes");
    tb_command_set_stdout_fn(yes, count, &counter);
    fails(yes, TB_ERROR_GUEST, "too much");
    counter.seen = 0;
    g_autoptr(TbCommand) to_stderr = shell("printf 12345 >&2; exit 4");
    tb_command_set_stderr_fn(to_stderr, count, &counter);
    fails(to_stderr, TB_ERROR_IO, "'sh' failed with exit status 4");
    ck_assert_uint_eq(counter.seen, 5);
}
END_TEST

START_TEST(test_output_limit)
{
    g_autoptr(TbCommand) command = tb_command_new("yes");
    tb_command_set_stdout_limit(command, 1 << 20);
    fails(command, TB_ERROR_LIMIT, "'yes' wrote more than 1.0 MiB");
    g_autoptr(TbCommand) exact = tb_command_new("printf");
    tb_command_add(exact, "1234", NULL);
    tb_command_set_stdout_limit(exact, 4);
    g_autofree char *text = output(exact);
    ck_assert_str_eq(text, "1234");
}
END_TEST

START_TEST(test_timeout)
{
    g_autofree char *note = g_strdup_printf("/tmp/taskbox-command-%d", (int)getpid());
    g_autoptr(TbCommand) command = shell("trap '' TERM; sleep 1000 & echo $! >$0; wait");
    tb_command_add(command, note, NULL);
    tb_command_set_timeout(command, 1);
    gint64 start = g_get_monotonic_time();
    fails(command, TB_ERROR_TIMEOUT, "'sh' did not end within 1 s");
    ck_assert_int_lt(g_get_monotonic_time() - start, 3 * G_USEC_PER_SEC);
    g_autofree char *pid = NULL;
    ck_assert(g_file_get_contents(note, &pid, NULL, NULL));
    ck_assert(is_gone(atoi(pid)));
    unlink(note);
}
END_TEST

/* A grandchild that keeps stdout open neither holds us nor survives. */
START_TEST(test_grandchild)
{
    g_autoptr(TbCommand) command = shell("sleep 1000 & echo $!");
    gint64 start = g_get_monotonic_time();
    g_autofree char *pid = output(command);
    ck_assert_int_lt(g_get_monotonic_time() - start, 3 * G_USEC_PER_SEC);
    ck_assert_int_gt(atoi(pid), 0);
    ck_assert(is_gone(atoi(pid)));
    g_autoptr(TbCommand) chatty = shell("yes >&2 & exit 0"); /* never quiet, no limit to reach */
    ck_assert(tb_command_run(chatty, NULL, NULL));
}
END_TEST

START_TEST(test_interrupt)
{
    tb_interrupt_install();
    g_autoptr(TbCommand) command = shell("kill -INT $PPID; sleep 1000");
    fails(command, TB_ERROR_INTERRUPTED, "interrupted by SIGINT");
    g_autoptr(TbCommand) next = tb_command_new("true");
    fails(next, TB_ERROR_INTERRUPTED, NULL);
    tb_command_ignore_interrupt(next);
    ck_assert(tb_command_run(next, NULL, NULL));
    tb_interrupt_acknowledge();
    g_autoptr(TbCommand) after = tb_command_new("true");
    ck_assert(tb_command_run(after, NULL, NULL));
}
END_TEST

START_TEST(test_descriptors)
{
    char path[] = "/tmp/taskbox-command-XXXXXX";
    tb_autofd a = mkstemp(path);
    unlink(path);
    ck_assert_int_eq(write(a, "file a", 6), 6);
    char other[] = "/tmp/taskbox-command-XXXXXX";
    tb_autofd b = mkstemp(other);
    unlink(other);
    ck_assert_int_eq(write(b, "file b", 6), 6);
    ck_assert_int_eq(dup2(a, 50), 50); /* not close-on-exec: must not leak all the same */
    lseek(a, 0, SEEK_SET);
    lseek(b, 0, SEEK_SET);
    /* Counted by the shell itself, without a pipe of its own: 0, 1, 2, a, b and the one the
     * pattern is read by. */
    g_autofree char *script =
        g_strdup_printf("cat <&%d; echo; cat <&%d; echo; set -- /proc/$$/fd/*; echo $#", a, b);
    g_autoptr(TbCommand) swap = shell(script);
    tb_command_pass_fd(swap, a, b);
    tb_command_pass_fd(swap, b, a);
    g_autofree char *text = output(swap);
    ck_assert_str_eq(text, "file b\nfile a\n6\n");
    g_autoptr(TbCommand) closed = shell("true");
    tb_command_pass_fd(closed, 999, 5);
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_command_run(closed, NULL, &error));
    ck_assert(g_str_has_prefix(error->message, "cannot hand descriptors to 'sh'"));
    close(50);
}
END_TEST

static int file_with(char letter)
{
    char path[] = "/tmp/taskbox-command-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    unlink(path);
    ck_assert_int_eq(pwrite(fd, &letter, 1, 0), 1);
    return fd;
}

/* Targets that may be the very numbers our own copies get on the way. */
START_TEST(test_targets_in_the_way)
{
    tb_autofd a = file_with('a');
    tb_autofd b = file_with('b');
    int free_one = dup(a);
    close(free_one);
    for (int first = free_one; first < free_one + 24; first++) {
        lseek(a, 0, SEEK_SET);
        lseek(b, 0, SEEK_SET);
        g_autofree char *script = g_strdup_printf("cat /dev/fd/%d /dev/fd/%d", first, first + 1);
        g_autoptr(TbCommand) command = shell(script);
        tb_command_pass_fd(command, a, first);
        tb_command_pass_fd(command, b, first + 1);
        g_autofree char *text = output(command);
        ck_assert_str_eq(text, "ab");
    }
}
END_TEST

START_TEST(test_standard_descriptors)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    tb_autofd in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    g_autoptr(TbCommand) command = shell("cat; echo out; echo err >&2");
    tb_command_set_stdin_fd(command, in);
    tb_command_set_stdout_fd(command, ends[1]);
    tb_command_set_stderr_fd(command, ends[1]);
    g_autoptr(GBytes) out = NULL;
    ck_assert(tb_command_run(command, &out, NULL));
    ck_assert_uint_eq(g_bytes_get_size(out), 0);
    close(ends[1]);
    char text[16] = "";
    ck_assert_int_eq(read(ends[0], text, sizeof text), 8);
    ck_assert_str_eq(text, "out\nerr\n");
    close(ends[0]);
}
END_TEST

static int set_up(void *data)
{
    if (data) {
        errno = EPERM;
        return 1;
    }
    return chdir("/usr");
}

START_TEST(test_child_state)
{
    /* A shell starts what it puts in the background with the first two ignored, nohup the third. */
    signal(SIGINT, SIG_DFL);
    signal(SIGQUIT, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    g_autoptr(TbCommand) command =
        shell("ulimit -n; ulimit -c; pwd; "
              "read -r a b c d group e </proc/$$/stat; [ $group = $$ ] "
              "&& echo leader;"
              "while read key value; do case $key in SigBlk:|SigIgn:) echo $value;; esac; "
              "done </proc/self/status");
    tb_command_set_rlimit(command, RLIMIT_NOFILE, 33);
    tb_command_set_rlimit(command, RLIMIT_CORE, 0);
    tb_command_set_child_setup(command, set_up, NULL);
    g_autofree char *text = output(command);
    ck_assert_str_eq(text, "33\n0\n/usr\nleader\n0000000000000000\n0000000000000000\n");
    tb_command_set_child_setup(command, set_up, command);
    fails(command, TB_ERROR_DENIED, "cannot prepare 'sh': Operation not permitted");
}
END_TEST

START_TEST(test_to_string)
{
    g_autoptr(TbCommand) command = tb_command_new("git");
    tb_command_add(command, "commit", "-m", "it's", NULL);
    tb_command_add_format(command, "--date=%d", 7);
    tb_command_add_strv(command, (const char *const[]){"", "a\nb", NULL});
    g_autofree char *text = tb_command_to_string(command);
    ck_assert_str_eq(text, "git commit -m 'it'\\''s' --date=7 '' 'a\\x0Ab'");
}
END_TEST

START_TEST(test_start)
{
    g_autoptr(TbCommand) command = shell("exit 5");
    g_autoptr(TbChild) child = tb_command_start(command, NULL);
    ck_assert_ptr_nonnull(child);
    int status = -1;
    ck_assert(tb_child_wait(child, -1, &status));
    ck_assert_int_eq(WEXITSTATUS(status), 5);
    ck_assert(tb_child_poll(child, &status));
    tb_child_kill(child, SIGKILL); /* it has ended: nothing happens */

    g_autoptr(TbCommand) sleeper = tb_command_new("sleep");
    tb_command_add(sleeper, "1000", NULL);
    TbChild *long_one = tb_command_start(sleeper, NULL);
    pid_t pid = tb_child_pid(long_one);
    ck_assert(!tb_child_poll(long_one, NULL));
    ck_assert(!tb_child_wait(long_one, 50, NULL));
    tb_child_kill(long_one, SIGTERM);
    ck_assert(tb_child_wait(long_one, 2000, &status));
    ck_assert_int_eq(WTERMSIG(status), SIGTERM);
    tb_child_free(long_one);

    TbChild *freed = tb_command_start(sleeper, NULL);
    pid = tb_child_pid(freed);
    tb_child_free(freed);
    ck_assert_int_eq(kill(pid, 0), -1); /* dead and reaped */

    g_autoptr(TbCommand) none = tb_command_new("no-such-program");
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_command_start(none, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_DEPENDENCY);
}
END_TEST

/* SIGKILL of taskbox takes its children along. */
START_TEST(test_dies_with_parent)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    pid_t parent = fork();
    if (parent == 0) {
        TbCommand *sleeper = tb_command_new("sleep");
        tb_command_add(sleeper, "1000", NULL);
        TbChild *child = tb_command_start(sleeper, NULL);
        pid_t pid = child ? tb_child_pid(child) : 0;
        if (write(ends[1], &pid, sizeof pid) < 0)
            _exit(1);
        pause();
    }
    pid_t grandchild = 0;
    ck_assert_int_eq(read(ends[0], &grandchild, sizeof grandchild), sizeof grandchild);
    ck_assert_int_gt(grandchild, 0);
    ck_assert_int_eq(kill(grandchild, 0), 0);
    kill(parent, SIGKILL);
    ck_assert_int_eq(waitpid(parent, NULL, 0), parent);
    ck_assert(is_gone(grandchild));
}
END_TEST

int main(void)
{
    TCase *command = tcase_create("command");
    tcase_set_timeout(command, 60);
    tcase_add_test(command, test_output_and_status);
    tcase_add_test(command, test_messages);
    tcase_add_test(command, test_not_there);
    tcase_add_test(command, test_relative_path_entries);
    tcase_add_test(command, test_environment);
    tcase_add_test(command, test_stdin_bytes);
    tcase_add_test(command, test_callbacks);
    tcase_add_test(command, test_output_limit);
    tcase_add_test(command, test_timeout);
    tcase_add_test(command, test_grandchild);
    tcase_add_test(command, test_interrupt);
    tcase_add_test(command, test_descriptors);
    tcase_add_test(command, test_targets_in_the_way);
    tcase_add_test(command, test_standard_descriptors);
    tcase_add_test(command, test_child_state);
    tcase_add_test(command, test_to_string);
    tcase_add_test(command, test_start);
    tcase_add_test(command, test_dies_with_parent);
    Suite *suite = suite_create("util-command");
    suite_add_tcase(suite, command);
    return suite_run(suite);
}
