/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The filter lives in memory that the keeper shares, so that it knows which modes are to be undone.
 * The keeper has a session of its own: neither a Ctrl-C nor the end of ours reaches it. It waits
 * for the end of a pipe that only we hold, and ends with it.
 */
#include "util/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/interrupt.h"
#include "util/term-filter.h"

enum { ANSWERS_MS = 60, ROWS = 24, COLUMNS = 80 };

struct TbTerminal {
    int fd, keeper; /* keeper: the end of the pipe it waits at */
    pid_t keeper_pid;
    bool gone; /* nobody sees it any more */
    struct termios before;
    TbTermFilter *filter; /* shared with the keeper */
};

/* What a signal handler may use. */
static int taken_fd = -1;
static struct termios raw_settings;
static int window_fd = -1;

static void on_window(int number)
{
    int saved = errno;
    uint64_t one = 1;
    ssize_t written = write(window_fd, &one, sizeof one);
    (void)written;
    errno = saved;
}

/* Somebody has stopped us and the shell has made its terminal its own again. */
static void on_continue(int number)
{
    int saved = errno;
    if (taken_fd >= 0)
        tcsetattr(taken_fd, TCSANOW, &raw_settings);
    on_window(number);
    errno = saved;
}

static void catch (int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

int tb_terminal_window_fd(void)
{
    if (window_fd < 0) {
        window_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (window_fd >= 0)
            catch (SIGWINCH, on_window);
    }
    return window_fd;
}

void tb_terminal_size(int fd, unsigned *rows, unsigned *columns)
{
    uint64_t count;
    struct winsize size = {0};
    if (window_fd >= 0 && read(window_fd, &count, sizeof count) < 0 && errno != EAGAIN)
        tb_clear_fd(&window_fd);
    bool told = ioctl(fd, TIOCGWINSZ, &size) == 0;
    *rows = told && size.ws_row ? size.ws_row : ROWS;
    *columns = told && size.ws_col ? size.ws_col : COLUMNS;
}

/* --- giving back -------------------------------------------------------------------------------
 */

static void write_out(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, text, length);
        if (n > 0) {
            text += n;
            length -= (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            return;
        }
    }
}

/* What the terminal was asked last it may answer a moment later, to whoever reads then. Where it
 * was asked nothing, what the user has typed ahead stays. */
static void settle(int fd, TbTermFilter *filter, const struct termios *before, int wait_ms)
{
    char text[TB_TERM_RESTORE];
    bool asked = filter->asked;
    write_out(fd, text, tb_term_filter_restore(filter, text));
    if (asked && wait_ms > 0)
        poll(NULL, 0, wait_ms);
    tcsetattr(fd, TCSANOW, before);
    if (asked)
        tcflush(fd, TCIFLUSH);
}

_Noreturn static void keep(int fd, int pipe_fd, TbTermFilter *filter, const struct termios *before)
{
    sigset_t all;
    char byte;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    setsid();
    int tty = fcntl(fd, F_DUPFD, 100), end = fcntl(pipe_fd, F_DUPFD, 101);
    syscall(SYS_close_range, 0, (unsigned)MIN(tty, end) - 1, 0);
    if (tty < 0 || end < 0)
        _exit(1);
    ssize_t n = read(end, &byte, 1);
    if (n == 0) /* killed */
        settle(tty, filter, before, 0);
    _exit(0);
}

static bool start_keeper(TbTerminal *terminal, GError **error)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return tb_error_set_errno(error, errno, "cannot make a pipe");
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[1]);
        keep(terminal->fd, fds[0], terminal->filter, &terminal->before);
    }
    close(fds[0]);
    terminal->keeper = fds[1];
    terminal->keeper_pid = pid;
    return pid > 0 || tb_error_set_errno(error, errno, "cannot start a process");
}

static void end_keeper(TbTerminal *terminal)
{
    if (terminal->keeper_pid > 0) {
        ssize_t n = write(terminal->keeper, "k", 1);
        (void)n;
        while (waitpid(terminal->keeper_pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    tb_clear_fd(&terminal->keeper);
}

/* --- taking ------------------------------------------------------------------------------------
 */

static void free_terminal(TbTerminal *terminal)
{
    end_keeper(terminal);
    munmap(terminal->filter, sizeof *terminal->filter);
    g_free(terminal);
}

TbTerminal *tb_terminal_take(int fd, GError **error)
{
    struct termios before;
    if (tcgetattr(fd, &before) < 0) {
        tb_error_set_errno(error, errno, "cannot read the terminal's settings");
        return NULL;
    }
    void *shared =
        mmap(NULL, sizeof(TbTermFilter), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        tb_error_set_errno(error, errno, "cannot get memory");
        return NULL;
    }
    TbTerminal *terminal = g_new0(TbTerminal, 1);
    *terminal = (TbTerminal){.fd = fd, .keeper = -1, .before = before, .filter = shared};
    tb_term_filter_init(terminal->filter, tb_terminal_is_utf8());
    raw_settings = before;
    cfmakeraw(&raw_settings);
    if (!start_keeper(terminal, error) || tcsetattr(fd, TCSADRAIN, &raw_settings) < 0) {
        if (error && !*error)
            tb_error_set_errno(error, errno, "cannot change the terminal's settings");
        free_terminal(terminal);
        return NULL;
    }
    taken_fd = fd;
    tb_terminal_window_fd();
    catch (SIGCONT, on_continue);
    return terminal;
}

bool tb_terminal_write(TbTerminal *terminal, const void *data, size_t length, GError **error)
{
    g_autofree char *text = g_malloc(tb_term_filter_room(length));
    size_t left = tb_term_filter_push(terminal->filter, data, length, text);
    for (const char *at = text; left > 0 && !terminal->gone;) {
        ssize_t n = write(terminal->fd, at, left);
        struct pollfd room = {.fd = terminal->fd, .events = POLLOUT};
        if (n < 0 && errno == EINTR && tb_interrupt_pending() > 0)
            break; /* it may not be read any more, and somebody waits for us to end */
        if (n < 0 && errno == EAGAIN)
            poll(&room, 1, -1);
        else if (n < 0 && (errno == EIO || errno == EPIPE))
            terminal->gone = true;
        else if (n < 0 && errno != EINTR)
            return tb_error_set_errno(error, errno, "cannot write to the terminal");
        at += MAX(n, 0);
        left -= (size_t)MAX(n, 0);
    }
    return true;
}

void tb_terminal_give_back(TbTerminal *terminal)
{
    if (!terminal)
        return;
    signal(SIGCONT, SIG_DFL);
    taken_fd = -1;
    settle(terminal->fd, terminal->filter, &terminal->before, ANSWERS_MS);
    free_terminal(terminal);
}

/* --- what it is --------------------------------------------------------------------------------
 */

const char *tb_terminal_name(void)
{
    const char *name = g_getenv("TERM");
    size_t length = name ? strlen(name) : 0;
    if (length == 0 || length > 64 || !g_ascii_isalnum(*name))
        return NULL;
    for (const char *at = name; *at; at++)
        if (!g_ascii_isalnum(*at) && !strchr("-+._", *at))
            return NULL;
    return name;
}

bool tb_terminal_is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *value = g_getenv(names[i]);
        if (!value || !*value)
            continue;
        const char *charset = strchr(value, '.');
        return !charset || g_ascii_strncasecmp(charset, ".utf-8", 6) == 0 ||
               g_ascii_strncasecmp(charset, ".utf8", 5) == 0;
    }
    return true;
}

bool tb_terminal_keys(TbTerminalKeys *keys, unsigned char *bytes, size_t *length)
{
    size_t n = 0;
    g_autofree unsigned char *in = g_memdup2(bytes, *length);
    for (size_t i = 0; i < *length; i++) {
        bool was_held = keys->tilde;
        keys->tilde = false;
        if (was_held && in[i] == '.') {
            *length = n;
            return true;
        }
        if (was_held && in[i] != '~')
            bytes[n++] = '~';
        if (in[i] == '~' && !keys->inside && !was_held) {
            keys->tilde = true;
            continue;
        }
        bytes[n++] = in[i];
        keys->inside = in[i] != '\r' && in[i] != '\n';
    }
    *length = n;
    return false;
}
