/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Running to the end: one loop moves stdin, stdout and stderr and watches the child, the deadline
 * and the interrupt. Whatever goes wrong leaves the loop with the error set; the child is then
 * killed with its group by tb_child_free.
 *
 * A grandchild that keeps our pipes open does not hold us: when the child itself has ended and
 * its pipes are quiet for a moment, or GRACE_MS later in any case, we are done.
 */
#include "util/command.h"
#include "util/command-private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/interrupt.h"
#include "util/units.h"

#define CHUNK                 65536
#define STDERR_KEPT           4096
#define STDERR_LINES          4
#define GRACE_MS              3000
#define QUIET_MS              200 /* after the child's end, how long its pipes may stay silent */
#define STEP_WITHOUT_PIDFD_MS 20

typedef struct {
    TbCommand *command;
    TbChild *child;
    char *label;
    int in, out, err; /* our ends; -1 when closed or not a pipe */
    uint8_t *input;   /* what goes to stdin next */
    size_t input_start, input_end;
    size_t bytes_given; /* of stdin_bytes */
    uint8_t *chunk;
    GByteArray *captured;
    GString *stderr_tail;
    gint64 ended_at; /* monotonic microseconds, 0: it runs */
    gint64 deadline; /* monotonic microseconds, 0: none */
} Run;

static void run_clear(Run *run)
{
    tb_child_free(run->child);
    tb_clear_fd(&run->in);
    tb_clear_fd(&run->out);
    tb_clear_fd(&run->err);
    g_free(run->label);
    g_free(run->input);
    g_free(run->chunk);
    g_clear_pointer(&run->captured, g_byte_array_unref);
    g_string_free(run->stderr_tail, TRUE);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Run, run_clear)

/* A pipe whose `ours` end (0 reads, 1 writes) does not block. */
static bool make_pipe(int ours, int *our_end, int *their_end, GError **error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return tb_error_set_errno(error, errno, "cannot make a pipe");
    *our_end = ends[ours];
    *their_end = ends[1 - ours];
    fcntl(*our_end, F_SETFL, O_NONBLOCK);
    return true;
}

static bool start(Run *run, GError **error)
{
    TbCommand *command = run->command;
    tb_autofd null = open("/dev/null", O_RDWR | O_CLOEXEC);
    tb_autofd their_in = -1;
    tb_autofd their_out = -1;
    tb_autofd their_err = -1;
    if (null < 0)
        return tb_error_set_errno(error, errno, "cannot open '/dev/null'");
    int standard[3] = {null, command->stdout_fd, command->stderr_fd};
    if (command->stdin_bytes || command->stdin_fn) {
        if (!make_pipe(1, &run->in, &their_in, error))
            return false;
        standard[0] = their_in;
    } else if (command->stdin_fd >= 0) {
        standard[0] = command->stdin_fd;
    }
    if (command->stdout_fd < 0) {
        if (!make_pipe(0, &run->out, &their_out, error))
            return false;
        standard[1] = their_out;
    }
    if (command->stderr_fd < 0) {
        if (!make_pipe(0, &run->err, &their_err, error))
            return false;
        standard[2] = their_err;
    }
    run->child = tb_child_spawn(command, standard, error);
    return run->child != NULL;
}

/* write(2) without SIGPIPE, also for library users who did not ignore it. */
static ssize_t write_quietly(int fd, const void *data, size_t length)
{
    sigset_t pipe_only, before, waiting;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigpending(&waiting);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    ssize_t written = write(fd, data, length);
    int err = errno;
    if (written < 0 && err == EPIPE && !sigismember(&waiting, SIGPIPE)) {
        struct timespec none = {0};
        sigtimedwait(&pipe_only, NULL, &none);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = err;
    return written;
}

/* The next bytes for stdin into run->input; none left when start == end. */
static bool refill(Run *run, GError **error)
{
    TbCommand *command = run->command;
    run->input_start = run->input_end = 0;
    if (command->stdin_fn)
        return command->stdin_fn(run->input, CHUNK, &run->input_end, command->stdin_data, error);
    size_t total;
    const uint8_t *bytes = g_bytes_get_data(command->stdin_bytes, &total);
    run->input_end = MIN(CHUNK, total - run->bytes_given);
    if (run->input_end > 0)
        memcpy(run->input, bytes + run->bytes_given, run->input_end);
    run->bytes_given += run->input_end;
    return true;
}

static bool feed(Run *run, GError **error)
{
    if (run->input_start == run->input_end) {
        if (!refill(run, error))
            return false;
        g_assert(run->input_end <= CHUNK);
        if (run->input_end == 0) {
            tb_clear_fd(&run->in);
            return true;
        }
    }
    ssize_t written =
        write_quietly(run->in, run->input + run->input_start, run->input_end - run->input_start);
    if (written >= 0)
        run->input_start += (size_t)written;
    else if (errno == EPIPE) /* it reads no more; its exit status says whether that is wrong */
        tb_clear_fd(&run->in);
    else if (errno != EAGAIN && errno != EINTR)
        return tb_error_set_errno(error, errno, "cannot write to '%s'", run->label);
    return true;
}

static bool keep_stdout(Run *run, size_t length, GError **error)
{
    TbCommand *command = run->command;
    if (command->stdout_fn)
        return command->stdout_fn(run->chunk, length, command->stdout_data, error);
    if (length > command->stdout_limit - run->captured->len) {
        g_autofree char *limit = tb_size_format(command->stdout_limit);
        return tb_error_set(error, TB_ERROR_LIMIT, "'%s' wrote more than %s", run->label, limit);
    }
    g_byte_array_append(run->captured, run->chunk, (guint)length);
    return true;
}

static bool keep_stderr(Run *run, size_t length, GError **error)
{
    TbCommand *command = run->command;
    if (command->stderr_fn)
        return command->stderr_fn(run->chunk, length, command->stderr_data, error);
    g_string_append_len(run->stderr_tail, (const char *)run->chunk, (gssize)length);
    if (run->stderr_tail->len > STDERR_KEPT)
        g_string_erase(run->stderr_tail, 0, (gssize)(run->stderr_tail->len - STDERR_KEPT));
    return true;
}

/* Reads one chunk of *fd; closes it at the end of file. */
static bool drain(Run *run, int *fd, GError **error)
{
    ssize_t got = read(*fd, run->chunk, CHUNK);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got < 0)
        return tb_error_set_errno(error, errno, "cannot read from '%s'", run->label);
    if (got == 0) {
        tb_clear_fd(fd);
        return true;
    }
    return fd == &run->out ? keep_stdout(run, (size_t)got, error)
                           : keep_stderr(run, (size_t)got, error);
}

/* How long to poll; an error when the deadline has passed. `quiet`: the child has ended. */
static bool poll_time(Run *run, bool quiet, int *milliseconds, GError **error)
{
    *milliseconds = quiet ? QUIET_MS : -1;
    if (tb_child_pidfd(run->child) < 0 && !quiet)
        *milliseconds = STEP_WITHOUT_PIDFD_MS;
    if (run->deadline == 0)
        return true;
    gint64 left = run->deadline - g_get_monotonic_time();
    if (left <= 0)
        return tb_error_set(error, TB_ERROR_TIMEOUT, "'%s' did not end within %u s", run->label,
                            run->command->timeout);
    gint64 left_ms = MIN((left + 999) / 1000, G_MAXINT);
    if (*milliseconds < 0 || left_ms < *milliseconds)
        *milliseconds = (int)left_ms;
    return true;
}

static bool check_interrupt(Run *run, GError **error)
{
    return run->command->ignore_interrupt || tb_interrupt_check(error);
}

static bool has_ended(Run *run)
{
    if (run->ended_at == 0 && tb_child_has_ended(run->child))
        run->ended_at = g_get_monotonic_time();
    return run->ended_at != 0;
}

static bool is_finished(const Run *run)
{
    return run->ended_at != 0 && ((run->out < 0 && run->err < 0) ||
                                  g_get_monotonic_time() - run->ended_at > GRACE_MS * 1000);
}

/* One round; *done when the child has ended and all it wrote was read. */
static bool step(Run *run, bool *done, GError **error)
{
    bool ended = has_ended(run);
    *done = is_finished(run);
    if (*done)
        return true;
    if (ended)
        tb_clear_fd(&run->in);
    int milliseconds;
    if (!check_interrupt(run, error) || !poll_time(run, ended, &milliseconds, error))
        return false;
    enum { IN, OUT, ERR, CHILD, INTERRUPT, COUNT };
    struct pollfd polled[COUNT] = {
        [IN] = {.fd = run->in, .events = POLLOUT},
        [OUT] = {.fd = run->out, .events = POLLIN},
        [ERR] = {.fd = run->err, .events = POLLIN},
        [CHILD] = {.fd = ended ? -1 : tb_child_pidfd(run->child), .events = POLLIN},
        [INTERRUPT] = {.fd = run->command->ignore_interrupt ? -1 : tb_interrupt_fd(),
                       .events = POLLIN},
    };
    int ready = poll(polled, COUNT, milliseconds);
    if (ready < 0 && errno != EINTR)
        return tb_error_set_errno(error, errno, "cannot wait for '%s'", run->label);
    if (ready <= 0) {
        *done = ready == 0 && ended;
        return true;
    }
    return (!polled[OUT].revents || drain(run, &run->out, error)) &&
           (!polled[ERR].revents || drain(run, &run->err, error)) &&
           (!polled[IN].revents || feed(run, error));
}

static bool run_to_the_end(Run *run, int *wait_status, GError **error)
{
    TbCommand *command = run->command;
    run->label = tb_command_label(command);
    run->input = g_malloc(CHUNK);
    run->chunk = g_malloc(CHUNK);
    run->captured = g_byte_array_new();
    if (!check_interrupt(run, error) || !start(run, error))
        return false;
    if (command->timeout > 0)
        run->deadline = g_get_monotonic_time() + (gint64)command->timeout * G_USEC_PER_SEC;
    for (bool done = false; !done;)
        if (!step(run, &done, error))
            return false;
    return tb_child_wait(run->child, -1, wait_status) &&
           tb_child_check_lost(run->child, run->label, error);
}

/* The last lines of stderr in one line, safe to show; NULL when there are none. */
static char *stderr_summary(const Run *run)
{
    g_auto(GStrv) lines = g_strsplit_set(run->stderr_tail->str, "\r\n", -1);
    g_autoptr(GPtrArray) kept = g_ptr_array_new_with_free_func(g_free);
    for (guint i = g_strv_length(lines); i > 0 && kept->len < STDERR_LINES; i--)
        if (*g_strstrip(lines[i - 1]) != '\0')
            g_ptr_array_insert(kept, 0, tb_escape_name(lines[i - 1]));
    if (kept->len == 0)
        return NULL;
    g_ptr_array_add(kept, NULL);
    return g_strjoinv("; ", (char **)kept->pdata);
}

static bool set_failed(const Run *run, int wait_status, GError **error)
{
    g_autofree char *tail = stderr_summary(run);
    const char *colon = tail ? ": " : "";
    const char *text = tail ? tail : "";
    if (WIFSIGNALED(wait_status))
        return tb_error_set(error, TB_ERROR_IO, "'%s' was killed by signal %d (%s)%s%s", run->label,
                            WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)), colon, text);
    return tb_error_set(error, TB_ERROR_IO, "'%s' failed with exit status %d%s%s", run->label,
                        WEXITSTATUS(wait_status), colon, text);
}

static GBytes *take_captured(Run *run)
{
    gsize length = run->captured->len;
    g_byte_array_append(run->captured, (const uint8_t *)"", 1);
    uint8_t *data = g_byte_array_free(g_steal_pointer(&run->captured), FALSE);
    return g_bytes_new_take(data, length);
}

#define RUN_INIT(c)                                                                                \
    {                                                                                              \
        .command = (c), .in = -1, .out = -1, .err = -1, .stderr_tail = g_string_new(NULL)          \
    }

bool tb_command_run(TbCommand *command, GBytes **out, GError **error)
{
    g_auto(Run) run = RUN_INIT(command);
    int wait_status = 0;
    if (!run_to_the_end(&run, &wait_status, error))
        return false;
    if (!WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0)
        return set_failed(&run, wait_status, error);
    if (out)
        *out = take_captured(&run);
    return true;
}

bool tb_command_run_status(TbCommand *command, GBytes **out, int *status, GError **error)
{
    g_auto(Run) run = RUN_INIT(command);
    int wait_status = 0;
    if (!run_to_the_end(&run, &wait_status, error))
        return false;
    *status = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
    if (out)
        *out = take_captured(&run);
    return true;
}
