/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A pseudo terminal in the place of the user's. */
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "../suite.h"
#include "util/terminal.h"

static int master, slave;

static void set_up(void)
{
    master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(master, 0);
    ck_assert_int_eq(grantpt(master), 0);
    ck_assert_int_eq(unlockpt(master), 0);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(slave, 0);
}

static void tear_down(void)
{
    close(master);
    close(slave);
}

static struct termios settings(void)
{
    struct termios now;
    ck_assert_int_eq(tcgetattr(slave, &now), 0);
    return now;
}

static bool is_cooked(void)
{
    struct termios now = settings();
    return now.c_lflag & ICANON && now.c_lflag & ECHO && now.c_lflag & ISIG;
}

static char *shown(void)
{
    static char text[4096];
    size_t n = 0;
    struct pollfd fd = {.fd = master, .events = POLLIN};
    while (poll(&fd, 1, 100) > 0) {
        ssize_t got = read(master, text + n, sizeof text - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    text[n] = '\0';
    return text;
}

/* With a question its answer is thrown away; without, what was typed ahead stays. */
START_TEST(taken_and_given_back)
{
    struct termios before = settings();
    bool asks = _i == 1;
    TbTerminal *terminal = tb_terminal_take(slave, NULL);
    ck_assert_ptr_nonnull(terminal);
    ck_assert(!is_cooked());
    ck_assert(tb_terminal_write(terminal, "\033[?25l\033]0;x\ahello\n", 18, NULL));
    ck_assert_str_eq(shown(), "\033[?25lhello\n");
    ck_assert(!asks || tb_terminal_write(terminal, "\033[6n", 4, NULL));
    ck_assert_str_eq(shown(), asks ? "\033[6n" : "");
    ck_assert_int_eq(write(master, "answer\n", 7), 7);
    /* The kernel takes it a moment later; in a terminal that is given back it would be echoed. */
    for (int typed = 0, tries = 0; typed < 7 && tries < 1000; tries++, g_usleep(1000))
        ck_assert_int_eq(ioctl(slave, FIONREAD, &typed), 0);
    tb_terminal_give_back(terminal);
    ck_assert_str_eq(shown(), "\033[?25h");
    struct termios after = settings();
    ck_assert_uint_eq(before.c_iflag, after.c_iflag);
    ck_assert_uint_eq(before.c_oflag, after.c_oflag);
    ck_assert_uint_eq(before.c_lflag, after.c_lflag);
    ck_assert_uint_eq(before.c_cflag, after.c_cflag);
    int waiting = -1;
    ck_assert_int_eq(ioctl(slave, FIONREAD, &waiting), 0);
    ck_assert_int_eq(waiting, asks ? 0 : 7);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no keeper is left */
}
END_TEST

START_TEST(given_back_by_the_keeper)
{
    const int numbers[] = {SIGKILL, SIGSEGV, SIGTERM};
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        signal(numbers[_i], SIG_DFL);
        TbTerminal *terminal = tb_terminal_take(slave, NULL);
        if (!terminal || !tb_terminal_write(terminal, "\033[?1049h", 8, NULL) ||
            write(fds[1], "r", 1) != 1)
            _exit(1);
        kill(getpid(), numbers[_i]);
        pause();
    }
    char byte;
    close(fds[1]);
    ck_assert_int_eq(read(fds[0], &byte, 1), 1);
    waitpid(pid, NULL, 0);
    for (int i = 0; i < 50 && !is_cooked(); i++)
        usleep(20000);
    ck_assert(is_cooked());
    ck_assert_str_eq(shown(), "\033[?1049h\033[?1049l");
    close(fds[0]);
}
END_TEST

START_TEST(window)
{
    unsigned rows, columns;
    struct winsize size = {.ws_row = 33, .ws_col = 111};
    tb_terminal_size(slave, &rows, &columns);
    ck_assert_uint_eq(rows, 24);
    ck_assert_uint_eq(columns, 80);
    ioctl(master, TIOCSWINSZ, &size);
    struct pollfd fd = {.fd = tb_terminal_window_fd(), .events = POLLIN};
    ck_assert_int_eq(poll(&fd, 1, 0), 0);
    raise(SIGWINCH);
    ck_assert_int_eq(poll(&fd, 1, 0), 1);
    tb_terminal_size(slave, &rows, &columns);
    ck_assert_uint_eq(rows, 33);
    ck_assert_uint_eq(columns, 111);
    ck_assert_int_eq(poll(&fd, 1, 0), 0);
}
END_TEST

START_TEST(names)
{
    setenv("TERM", "xterm-kitty", 1);
    ck_assert_str_eq(tb_terminal_name(), "xterm-kitty");
    const char *const bad[] = {"", "../x", "a/b", "a b", "x\033", "-x"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        setenv("TERM", bad[i], 1);
        ck_assert_ptr_null(tb_terminal_name());
    }
    unsetenv("LC_ALL");
    unsetenv("LC_CTYPE");
    setenv("LANG", "de_DE.ISO-8859-1", 1);
    ck_assert(!tb_terminal_is_utf8());
    setenv("LC_ALL", "C.UTF-8", 1);
    ck_assert(tb_terminal_is_utf8());
    setenv("LC_ALL", "C", 1);
    ck_assert(tb_terminal_is_utf8());
}
END_TEST

static const struct {
    const char *in, *out;
    bool leaves;
} typed[] = {
    {"ls\r", "ls\r", false}, {"~.", "", true},         {"ls\r~.more", "ls\r", true},
    {"a~.", "a~.", false},   {"~~.\r", "~.\r", false}, {"~/bin\r~~\r~.", "~/bin\r~\r", true},
    {"~\r~.", "~\r", true},
};

START_TEST(keys)
{
    for (size_t step = 1; step < 12; step++) {
        TbTerminalKeys state = {0};
        g_autoptr(GString) out = g_string_new(NULL);
        bool leaves = false;
        size_t length = strlen(typed[_i].in);
        for (size_t at = 0; at < length && !leaves; at += step) {
            unsigned char bytes[16];
            size_t n = MIN(step, length - at);
            memcpy(bytes, typed[_i].in + at, n);
            leaves = tb_terminal_keys(&state, bytes, &n);
            g_string_append_len(out, (char *)bytes, (gssize)n);
        }
        ck_assert_str_eq(out->str, typed[_i].out);
        ck_assert_int_eq(leaves, typed[_i].leaves);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("terminal");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, taken_and_given_back, 0, 2);
    tcase_add_loop_test(tcase, given_back_by_the_keeper, 0, 3);
    tcase_add_test(tcase, window);
    tcase_add_test(tcase, names);
    tcase_add_loop_test(tcase, keys, 0, (int)G_N_ELEMENTS(typed));
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
