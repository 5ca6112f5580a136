/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fork and exec, and the child's life.
 *
 * - Everything that allocates is done before the fork; after it only async-signal-safe calls.
 * - Signals are blocked across the fork, so that no handler of ours runs in the child (it would
 *   write into our interrupt descriptor, which the two still share).
 * - Descriptors: all that go to the child are first copied above every target, so that no copy
 *   can overwrite a source; then everything is close-on-exec but the targets.
 * - A pipe that exec closes tells the parent whether exec came to pass, and if not why.
 * - The child leads a process group. The group is killed before the leader is reaped: as long as
 *   the leader is a zombie its number cannot belong to somebody else.
 *
 * A child that somebody else started (command-far.c) has no number.
 */
#include "util/command.h"
#include "util/command-private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/hole.h"
#include "util/log.h"

#define EXIT_NOT_STARTED 127
#define WAIT_STEP_MS     10
#define FAR_KILL_MS      2000 /* to wait for word that a far child was killed */

typedef enum { STAGE_FDS, STAGE_CWD, STAGE_LIMITS, STAGE_SETUP, STAGE_EXEC } Stage;

typedef struct {
    int stage, err;
} Failure;

/* All the child needs, made before the fork. */
typedef struct {
    const TbCommand *command;
    const char *path;
    char **argv;
    FdMapping *fds;
    unsigned n_fds;
    int first_free; /* above every target */
    int report;     /* write end of the pipe */
    pid_t parent;
} Plan;

static _Noreturn void give_up(int report, Stage stage)
{
    Failure failure = {.stage = (int)stage, .err = errno};
    ssize_t written = write(report, &failure, sizeof failure);
    (void)written; /* the parent is gone, then: nobody left to tell */
    _exit(EXIT_NOT_STARTED);
}

/* Ignored signals stay ignored (nohup) but SIGPIPE, which only we ignore. */
static void reset_signals(void)
{
    for (int signal_number = 1; signal_number < NSIG; signal_number++) {
        struct sigaction action;
        if (sigaction(signal_number, NULL, &action) < 0)
            continue;
        if (action.sa_handler == SIG_IGN && signal_number != SIGPIPE)
            continue;
        memset(&action, 0, sizeof action);
        action.sa_handler = SIG_DFL;
        sigaction(signal_number, &action, NULL);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void close_all_on_exec(void)
{
    if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    struct rlimit limit = {.rlim_cur = 0};
    getrlimit(RLIMIT_NOFILE, &limit);
    int last = limit.rlim_cur < 65536 ? (int)limit.rlim_cur : 65536;
    for (int fd = 3; fd < last; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static void place_descriptors(Plan *plan)
{
    int report = fcntl(plan->report, F_DUPFD_CLOEXEC, plan->first_free);
    if (report < 0)
        give_up(plan->report, STAGE_FDS);
    plan->report = report;
    for (unsigned i = 0; i < plan->n_fds; i++) {
        int copy = fcntl(plan->fds[i].source, F_DUPFD_CLOEXEC, plan->first_free);
        if (copy < 0)
            give_up(plan->report, STAGE_FDS);
        plan->fds[i].source = copy;
    }
    close_all_on_exec();
    for (unsigned i = 0; i < plan->n_fds; i++)
        if (dup2(plan->fds[i].source, plan->fds[i].target) < 0)
            give_up(plan->report, STAGE_FDS);
}

static _Noreturn void child_main(Plan *plan)
{
    const TbCommand *command = plan->command;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != plan->parent) /* it died before the prctl */
        _exit(EXIT_NOT_STARTED);
    place_descriptors(plan);
    reset_signals();
    if (command->cwd && chdir(command->cwd) < 0)
        give_up(plan->report, STAGE_CWD);
    for (unsigned i = 0; i < command->n_limits; i++) {
        struct rlimit limit = {.rlim_cur = command->limits[i].value,
                               .rlim_max = command->limits[i].value};
        if (setrlimit((__rlimit_resource_t)command->limits[i].resource, &limit) < 0)
            give_up(plan->report, STAGE_LIMITS);
    }
    if (command->setup && command->setup(command->setup_data) != 0)
        give_up(plan->report, STAGE_SETUP);
    execve(plan->path, plan->argv, command->env);
    give_up(plan->report, STAGE_EXEC);
}

/* Relative entries of PATH are skipped: the working directory may be a hostile project. */
static char *find_program(const char *program)
{
    if (strchr(program, '/'))
        return g_strdup(program);
    const char *path = g_getenv("PATH");
    g_auto(GStrv) folders = g_strsplit(path ? path : "/usr/local/bin:/usr/bin:/bin", ":", -1);
    for (char **folder = folders; *folder; folder++) {
        if (**folder != '/' && !tb_hole("path-relative"))
            continue;
        g_autofree char *found = g_build_filename(*folder, program, NULL);
        g_autofree char *file = tb_hole("path-relative") ? g_canonicalize_filename(found, NULL)
                                                         : g_steal_pointer(&found);
        if (access(file, X_OK) == 0 && g_file_test(file, G_FILE_TEST_IS_REGULAR))
            return g_steal_pointer(&file);
    }
    return NULL;
}

static bool report_failure(const TbCommand *command, const Failure *failure, GError **error)
{
    g_autofree char *line = tb_command_label(command);
    switch ((Stage)failure->stage) {
    case STAGE_FDS:
        return tb_error_set_errno(error, failure->err, "cannot hand descriptors to '%s'", line);
    case STAGE_CWD:
        return tb_error_set_errno(error, failure->err, "cannot run '%s' in '%s'", line,
                                  command->cwd);
    case STAGE_LIMITS:
        return tb_error_set_errno(error, failure->err, "cannot set the limits of '%s'", line);
    case STAGE_SETUP:
        return tb_error_set_errno(error, failure->err, "cannot prepare '%s'", line);
    case STAGE_EXEC:
        break;
    }
    if (failure->err == ENOENT)
        return tb_error_set(error, TB_ERROR_DEPENDENCY, "cannot run '%s': not installed",
                            command->program);
    return tb_error_set_errno(error, failure->err, "cannot run '%s'", command->program);
}

static GArray *all_descriptors(const TbCommand *command, const int standard[3], int *first_free)
{
    GArray *fds = g_array_new(FALSE, FALSE, sizeof(FdMapping));
    *first_free = 3;
    for (int i = 0; i < 3; i++) {
        FdMapping mapping = {.source = standard[i], .target = i};
        g_array_append_val(fds, mapping);
    }
    for (guint i = 0; i < command->passed->len; i++) {
        FdMapping mapping = g_array_index(command->passed, FdMapping, i);
        *first_free = MAX(*first_free, mapping.target + 1);
        g_array_append_val(fds, mapping);
    }
    return fds;
}

static pid_t fork_quietly(Plan *plan)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        child_main(plan);
    int err = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = err;
    return pid;
}

static TbChild *child_new(pid_t pid)
{
    TbChild *child = g_new0(TbChild, 1);
    child->pid = pid;
    child->pidfd = (int)syscall(SYS_pidfd_open, pid, 0U);
    return child;
}

TbChild *tb_child_spawn(TbCommand *command, const int standard[3], GError **error)
{
    if (tb_log_level() >= TB_LOG_DEBUG) {
        g_autofree char *line = tb_command_to_string(command);
        tb_debug("run: %s", line);
    }
    if (command->starter)
        return tb_child_spawn_far(command, standard, error);
    g_autofree char *path = find_program(command->program);
    if (!path) {
        tb_error_set(error, TB_ERROR_DEPENDENCY, "cannot run '%s': not installed or not in PATH",
                     command->program);
        return NULL;
    }
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        tb_error_set_errno(error, errno, "cannot run '%s'", command->program);
        return NULL;
    }
    tb_autofd reader = ends[0];
    tb_autofd writer = ends[1];
    Plan plan = {.command = command, .path = path, .report = writer, .parent = getpid()};
    g_autoptr(GArray) fds = all_descriptors(command, standard, &plan.first_free);
    plan.fds = (FdMapping *)(void *)fds->data;
    plan.n_fds = fds->len;
    g_autofree char **argv = g_new0(char *, command->argv->len + 1);
    memcpy(argv, command->argv->pdata, command->argv->len * sizeof *argv);
    plan.argv = argv;

    pid_t pid = fork_quietly(&plan);
    if (pid < 0) {
        tb_error_set_errno(error, errno, "cannot start '%s'", command->program);
        return NULL;
    }
    setpgid(pid, pid); /* fails when the child was faster: the same result */
    tb_clear_fd(&writer);
    g_autoptr(TbChild) child = child_new(pid);
    Failure failure;
    ssize_t got;
    while ((got = read(reader, &failure, sizeof failure)) < 0 && errno == EINTR)
        continue;
    if (got == sizeof failure) {
        report_failure(command, &failure, error);
        return NULL;
    }
    return g_steal_pointer(&child);
}

/* Our /dev/null where nothing was given. */
static int given_or(int fd, int fallback)
{
    return fd >= 0 ? fd : fallback;
}

TbChild *tb_command_start(TbCommand *command, GError **error)
{
    if (command->stdin_bytes || command->stdin_fn || command->stdout_fn || command->stderr_fn) {
        tb_error_set(error, TB_ERROR_INTERNAL, "'%s' is started with a callback nobody will call",
                     command->program);
        return NULL;
    }
    tb_autofd null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) {
        tb_error_set_errno(error, errno, "cannot open '/dev/null'");
        return NULL;
    }
    int standard[3] = {given_or(command->stdin_fd, null), given_or(command->stdout_fd, null),
                       given_or(command->stderr_fd, null)};
    return tb_child_spawn(command, standard, error);
}

pid_t tb_child_pid(const TbChild *child)
{
    g_assert(child->pid > 0);
    return child->pid;
}

int tb_child_pidfd(const TbChild *child)
{
    return child->pidfd;
}

/* Reaps the leader, which has ended, after what is left of its group was killed. */
static void reap(TbChild *child)
{
    kill(-child->pid, SIGKILL);
    while (waitpid(child->pid, &child->wait_status, 0) < 0 && errno == EINTR)
        continue;
    child->ended = true;
}

bool tb_child_has_ended(TbChild *child)
{
    if (child->ended || child->pid == 0)
        return tb_child_poll(child, NULL);
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
           info.si_pid != 0;
}

bool tb_child_poll(TbChild *child, int *wait_status)
{
    if (!child->ended && child->pid == 0) {
        tb_child_poll_far(child);
    } else if (!child->ended) {
        siginfo_t info = {0};
        int result = waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT);
        if (result == 0 && info.si_pid == child->pid) {
            reap(child);
        } else if (result < 0 && errno == ECHILD) {
            /* Somebody else reaped it: its number is no longer ours to kill. */
            child->wait_status = EXIT_UNKNOWN << 8;
            child->ended = true;
        }
    }
    if (child->ended && wait_status)
        *wait_status = child->wait_status;
    return child->ended;
}

bool tb_child_wait(TbChild *child, int milliseconds, int *wait_status)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)milliseconds * 1000;
    while (!tb_child_poll(child, wait_status)) {
        gint64 left = milliseconds < 0 ? -1 : (deadline - g_get_monotonic_time() + 999) / 1000;
        if (milliseconds >= 0 && left <= 0)
            return false;
        struct pollfd end = {.fd = child->pidfd, .events = POLLIN};
        int step = child->pidfd >= 0 ? (int)left : WAIT_STEP_MS;
        poll(&end, 1, step);
    }
    return true;
}

void tb_child_kill(TbChild *child, int signal)
{
    if (child->ended)
        return;
    if (child->pid == 0)
        tb_child_kill_far(child);
    else
        kill(-child->pid, signal);
}

void tb_child_free(TbChild *child)
{
    if (!child)
        return;
    if (!tb_child_poll(child, NULL)) {
        tb_child_kill(child, SIGKILL);
        if (child->pid != 0)
            reap(child);
        else if (!tb_child_wait(child, FAR_KILL_MS, NULL))
            tb_debug("a killed child does not end");
    }
    tb_clear_fd(&child->pidfd);
    g_free(child);
}
