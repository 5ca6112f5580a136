/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stderr is a file or a terminal of ours; each test runs in a process of its own. */
#include <check.h>
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../suite.h"
#include "util/log.h"

static int saved_stderr = -1;

static void send_stderr_to(int fd)
{
    saved_stderr = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
}

static void take_stderr_back(void)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
}

/* A terminal hands on what was written in pieces, and fails when nobody can write any more. */
static void read_all(int fd, char *text, size_t size)
{
    size_t length = 0;
    ssize_t got;
    while ((got = read(fd, text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
}

static int temporary_file(void)
{
    char path[] = "/tmp/taskbox-log-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    unlink(path);
    return fd;
}

static void say_all(void)
{
    tb_warn("disk %d%% full\x1b[2J", 93);
    tb_info("info");
    tb_verbose("verbose");
    tb_debug("debug");
    tb_status("step 1");
    tb_status("step 1");
    tb_status("step 2");
    tb_status_done();
}

static const struct {
    TbLogLevel level;
    const char *debug, *text;
} levels[] = {
    {TB_LOG_QUIET, NULL, "taskbox: warning: disk 93% full\\x1B[2J\n"},
    {TB_LOG_NORMAL, "0",
     "taskbox: warning: disk 93% full\\x1B[2J\ntaskbox: info\ntaskbox: step 1\ntaskbox: step 2\n"},
    {TB_LOG_VERBOSE, NULL,
     "taskbox: warning: disk 93% full\\x1B[2J\ntaskbox: info\ntaskbox: verbose\n"
     "taskbox: step 1\ntaskbox: step 2\n"},
    {TB_LOG_NORMAL, "1",
     "taskbox: warning: disk 93% full\\x1B[2J\ntaskbox: info\ntaskbox: verbose\n"
     "taskbox: debug: debug\ntaskbox: step 1\ntaskbox: step 2\n"},
};

START_TEST(test_levels)
{
    g_unsetenv("TASKBOX_DEBUG");
    if (levels[_i].debug)
        g_setenv("TASKBOX_DEBUG", levels[_i].debug, TRUE);
    int fd = temporary_file();
    tb_log_set_level(levels[_i].level);
    send_stderr_to(fd);
    say_all();
    take_stderr_back();
    char text[1024];
    lseek(fd, 0, SEEK_SET);
    read_all(fd, text, sizeof text);
    ck_assert_str_eq(text, levels[_i].text);
    close(fd);
}
END_TEST

START_TEST(test_terminal)
{
    g_unsetenv("TASKBOX_DEBUG");
    g_setenv("TERM", "xterm", TRUE);
    struct winsize size = {.ws_row = 24, .ws_col = 20};
    int master, slave;
    ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, &size), 0);
    send_stderr_to(slave);
    tb_status("a long status is cut");
    tb_status("two");
    tb_info("done");
    tb_status("three");
    tb_status_done();
    tb_status_done();
    take_stderr_back();
    close(slave);
    char text[1024];
    read_all(master, text, sizeof text);
    ck_assert_str_eq(text, "taskbox: a long sta\r\033[Ktaskbox: two\r\033[Ktaskbox: done\r\n"
                           "taskbox: three\r\033[K");
    close(master);
}
END_TEST

int main(void)
{
    TCase *logs = tcase_create("log");
    tcase_add_loop_test(logs, test_levels, 0, G_N_ELEMENTS(levels));
    tcase_add_test(logs, test_terminal);
    Suite *suite = suite_create("util-log");
    suite_add_tcase(suite, logs);
    return suite_run(suite);
}
