/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The task's process, and those that somebody runs beside it. Each has a session and a process
 * group of its own (signals go to the group); all have one cgroup, so that what they leave behind
 * can be found and killed before the export.
 *
 * It has ended for the host when it was reaped and its output is drained. A background process may
 * hold the pipes open for ever: then, a second after the end without anything in them, they are
 * closed. The second only runs while we do read, i.e. while the host takes the output.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/guest.h"

enum { DRAIN_MS = 1000, OUTPUT_CHUNK = 32 * 1024, CREDIT_STEP = 16 * 1024, END_OF_INPUT = 4 };

void tb_task_init(TbTask *task)
{
    task->in = task->out[0] = task->out[1] = -1;
}

/* Our and the child's ends of its standard streams. */
typedef struct {
    int ours_in, ours_out[2];
    int in, out, err;
} Streams;

static void close_child_ends(Streams *streams)
{
    tb_close(&streams->in);
    tb_close(&streams->out);
    tb_close(&streams->err);
}

static void close_streams(Streams *streams)
{
    tb_close(&streams->ours_in);
    tb_close(&streams->ours_out[0]);
    tb_close(&streams->ours_out[1]);
    close_child_ends(streams);
}

static bool make_pipe(int *reader, int *writer)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return false;
    *reader = fds[0];
    *writer = fds[1];
    return true;
}

static bool open_pipes(Streams *streams, bool has_stdin)
{
    if (has_stdin ? !make_pipe(&streams->in, &streams->ours_in)
                  : (streams->in = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
        return false;
    return make_pipe(&streams->ours_out[0], &streams->out) &&
           make_pipe(&streams->ours_out[1], &streams->err);
}

static bool open_pty(Streams *streams, const TbExecMessage *exec)
{
    struct winsize size = {.ws_row = exec->rows, .ws_col = exec->columns};
    streams->ours_in = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (streams->ours_in < 0 || grantpt(streams->ours_in) != 0 || unlockpt(streams->ours_in) != 0)
        return false;
    ioctl(streams->ours_in, TIOCSWINSZ, &size);
    streams->in = ioctl(streams->ours_in, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (streams->in < 0)
        return false;
    streams->ours_out[0] = fcntl(streams->ours_in, F_DUPFD_CLOEXEC, 3);
    streams->out = fcntl(streams->in, F_DUPFD_CLOEXEC, 3);
    streams->err = fcntl(streams->in, F_DUPFD_CLOEXEC, 3);
    return streams->ours_out[0] >= 0 && streams->out >= 0 && streams->err >= 0;
}

static void make_cgroup(const TbGuest *guest)
{
    /* Only a real cgroup will do; elsewhere the task is found by its group and uid. */
    tb_make_dirs(guest->config->cgroup, 0755);
}

static void adopt(TbTask *task, Streams *streams, const TbExecMessage *exec)
{
    close_child_ends(streams);
    task->in = streams->ours_in;
    task->out[0] = streams->ours_out[0];
    task->out[1] = streams->ours_out[1];
    const int fds[] = {task->in, task->out[0], task->out[1]};
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0)
            fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK);
    task->pty = exec->pty;
    task->input_start = task->input_length = task->owed = 0;
    task->input_eof = exec->pty && !exec->has_stdin;
    task->drain_deadline = 0;
    task->status = 0;
    task->forgotten = false;
    task->room = TB_SIDE_WINDOW;
    task->state = TB_PROCESS_RUNNING;
}

static void send_credit(TbGuest *guest, const TbTask *task, size_t bytes)
{
    uint8_t payload[4];
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_put_u32(&writer, (uint32_t)bytes);
    if (!task->forgotten)
        tb_guest_send(guest, TB_MSG_CREDIT, tb_stream(task->number, 0), payload, writer.length);
}

/* Waits for the exec: nothing comes when it succeeds, since the descriptor closes itself. */
static void note_failed_exec(TbGuest *guest, const TbTask *task, const TbExecMessage *exec,
                             int report_fd)
{
    TbChildReport report;
    ssize_t n;
    do
        n = read(report_fd, &report, sizeof report);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof report)
        return;
    const char *what = report.step == TB_STEP_CWD    ? exec->cwd
                       : report.step == TB_STEP_EXEC ? exec->argv[0]
                                                     : "process";
    char text[512];
    int length = snprintf(text, sizeof text, "taskbox: cannot %s '%.300s': %s\r\n",
                          report.step == TB_STEP_CWD ? "enter" : "run", what, strerror(report.err));
    if (!exec->pty)
        text[(length--) - 2] = '\n';
    tb_guest_send(guest, TB_MSG_OUTPUT, tb_stream(task->number, exec->pty ? 1 : 2), text,
                  (size_t)length);
}

/* fork, but the child is in the cgroup from its first moment on: to be moved into one takes a grace
 * period of the kernel. The plain fork where that is not to be had; *inside says which. */
static pid_t fork_into(const TbGuest *guest, bool *inside)
{
    tb_auto_fd fd =
        guest->spoiled ? -1 : open(guest->config->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct clone_args args = {
        .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)fd};
    *inside = true;
    pid_t pid = fd < 0 ? -1 : (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (pid >= 0)
        return pid;
    *inside = false;
    return fork();
}

bool tb_task_start(TbGuest *guest, TbTask *task, const TbExecMessage *exec, TbFault *fault)
{
    Streams streams = {-1, {-1, -1}, -1, -1, -1};
    tb_auto_fd report_in = -1, report_out = -1;
    bool open = exec->pty ? open_pty(&streams, exec) : open_pipes(&streams, exec->has_stdin);
    if (!open || !make_pipe(&report_in, &report_out)) {
        tb_fault_errno(fault, "cannot make the streams of a process");
        close_streams(&streams);
        return false;
    }
    make_cgroup(guest);
    TbChild child = {.config = guest->config,
                     .exec = exec,
                     .user = &guest->user,
                     .in = streams.in,
                     .out = streams.out,
                     .err = streams.err,
                     .report = report_out};
    pid_t pid = fork_into(guest, &child.in_cgroup);
    if (pid == 0)
        tb_child_run(&child);
    tb_close(&report_out);
    if (pid < 0) {
        tb_fault_errno(fault, "cannot start a process");
        close_streams(&streams);
        return false;
    }
    task->pid = pid;
    adopt(task, &streams, exec);
    tb_guest_send(guest, TB_MSG_STARTED, tb_stream(task->number, 0), NULL, 0);
    if (exec->has_stdin)
        send_credit(guest, task, TB_STDIN_WINDOW);
    note_failed_exec(guest, task, exec, report_in);
    return true;
}

static void give_back(TbGuest *guest, TbTask *task, size_t bytes)
{
    task->owed += bytes;
    if (task->owed >= CREDIT_STEP || (task->input_length == 0 && task->owed > 0)) {
        send_credit(guest, task, task->owed);
        task->owed = 0;
    }
}

/* The child takes no more: what comes is dropped, but its credit given back. */
static void close_input(TbGuest *guest, TbTask *task)
{
    size_t dropped = task->input_length;
    tb_close(&task->in);
    task->input_length = 0;
    if (dropped > 0)
        give_back(guest, task, dropped);
}

void tb_task_input(TbGuest *guest, TbTask *task, const uint8_t *data, size_t length)
{
    if (task->state != TB_PROCESS_RUNNING)
        return;
    if (length == 0) {
        task->input_eof = true;
    } else if (task->in < 0) {
        give_back(guest, task, length);
    } else if (length <= sizeof task->input - task->input_length) {
        if (task->input_start + task->input_length + length > sizeof task->input) {
            memmove(task->input, task->input + task->input_start, task->input_length);
            task->input_start = 0;
        }
        memcpy(task->input + task->input_start + task->input_length, data, length);
        task->input_length += length;
    }
}

void tb_task_taken(TbTask *task, uint32_t bytes)
{
    task->room = bytes < TB_SIDE_WINDOW - task->room ? task->room + bytes : TB_SIDE_WINDOW;
}

static void pump_input(TbGuest *guest, TbTask *task)
{
    if (task->in >= 0 && task->input_length > 0) {
        ssize_t n = write(task->in, task->input + task->input_start, task->input_length);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            close_input(guest, task);
            return;
        }
        if (n > 0) {
            task->input_start += (size_t)n;
            task->input_length -= (size_t)n;
            if (task->input_length == 0)
                task->input_start = 0;
            give_back(guest, task, (size_t)n);
        }
    }
    if (task->in < 0 || task->input_length > 0 || !task->input_eof)
        return;
    /* A terminal has no end of file but what its line discipline makes of ^D. */
    const char end = END_OF_INPUT;
    if (!task->pty)
        tb_close(&task->in);
    else if (write(task->in, &end, 1) == 1)
        task->input_eof = false;
}

static void pump_output(TbGuest *guest, TbTask *task, int index)
{
    static uint8_t buffer[OUTPUT_CHUNK];
    int *fd = &task->out[index];
    size_t most = task->number == 0 || task->room > sizeof buffer ? sizeof buffer : task->room;
    ssize_t n = read(*fd, buffer, most);
    if (n > 0) {
        tb_guest_send(guest, TB_MSG_OUTPUT, tb_stream(task->number, (unsigned)index + 1), buffer,
                      (size_t)n);
        if (task->number != 0)
            task->room -= (uint32_t)n;
        if (task->drain_deadline > 0)
            task->drain_deadline = tb_now() + DRAIN_MS;
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        tb_close(fd);
    }
}

static bool may_send(const TbGuest *guest, const TbTask *task)
{
    return guest->synced && tb_guest_room(guest) >= TB_ROOM_BULK &&
           (task->number == 0 || task->room > 0);
}

void tb_task_poll(const TbGuest *guest, struct pollfd fds[TB_TASK_FDS])
{
    for (unsigned at = 0; at < TB_PROCESSES; at++) {
        const TbTask *task = &guest->tasks[at];
        /* The child's end of input shows as POLLERR; asking for nothing still reports it. */
        bool writes = task->input_length > 0 || task->input_eof;
        fds[3 * at] = (struct pollfd){.fd = writes ? task->in : -1, .events = POLLOUT};
        for (int i = 0; i < 2; i++)
            fds[3 * at + 1 + (unsigned)i] =
                (struct pollfd){.fd = may_send(guest, task) ? task->out[i] : -1, .events = POLLIN};
    }
}

static void reap(TbTask *task)
{
    int status;
    if (task->pid > 0 && waitpid(task->pid, &status, WNOHANG) == task->pid) {
        task->pid = 0;
        task->status = status;
        task->drain_deadline = tb_now() + DRAIN_MS;
    }
}

void tb_task_send_exit(TbGuest *guest, const TbTask *task)
{
    int status = task->status;
    uint8_t payload[8];
    TbWriter writer = tb_writer(payload, sizeof payload);
    bool killed = WIFSIGNALED(status);
    tb_put_u32(&writer, (uint32_t)(killed ? 128 + WTERMSIG(status) : WEXITSTATUS(status)));
    tb_put_u32(&writer, (uint32_t)(killed ? WTERMSIG(status) : 0));
    tb_guest_send(guest, TB_MSG_EXIT, tb_stream(task->number, 0), payload, writer.length);
}

void tb_task_close(TbTask *task)
{
    tb_close(&task->in);
    tb_close(&task->out[0]);
    tb_close(&task->out[1]);
    task->input_length = 0;
    task->input_eof = false;
}

/* Only of the task's own process the end may have to be told a second time. */
static void finish(TbGuest *guest, TbTask *task)
{
    tb_task_close(task);
    task->state = task->number == 0 ? TB_PROCESS_EXITED : TB_PROCESS_NONE;
    if (guest->synced && !task->forgotten)
        tb_task_send_exit(guest, task);
}

void tb_task_forget_sides(TbGuest *guest)
{
    for (unsigned i = 1; i < TB_PROCESSES; i++) {
        TbTask *task = &guest->tasks[i];
        if (task->state != TB_PROCESS_RUNNING)
            continue;
        task->forgotten = true;
        tb_task_close(task);
        if (task->pid > 0)
            kill(-task->pid, SIGKILL);
    }
}

/* As tb_task_step, of one process. */
static int step_one(TbGuest *guest, TbTask *task, const struct pollfd fds[3])
{
    if (task->state != TB_PROCESS_RUNNING)
        return -1;
    reap(task);
    if (fds[0].revents & (POLLERR | POLLHUP) && !task->pty)
        close_input(guest, task);
    else if (fds[0].revents)
        pump_input(guest, task);
    for (int i = 0; i < 2; i++)
        if (fds[1 + i].revents && may_send(guest, task))
            pump_output(guest, task, i);
    if (task->pid > 0)
        return -1;
    int64_t now = tb_now();
    bool drained = task->out[0] < 0 && task->out[1] < 0;
    if ((task->number == 0 || !drained) && !may_send(guest, task)) {
        task->drain_deadline = now + DRAIN_MS;
        return -1;
    }
    if (drained || now >= task->drain_deadline) {
        finish(guest, task);
        return -1;
    }
    return (int)(task->drain_deadline - now);
}

/* Another one is first each time, so that one that never stops writing does not silence the rest.
 */
int tb_task_step(TbGuest *guest, const struct pollfd fds[TB_TASK_FDS])
{
    static unsigned first;
    int wait = -1;
    first = (first + 1) % TB_PROCESSES;
    for (unsigned i = 0; i < TB_PROCESSES; i++) {
        unsigned at = (first + i) % TB_PROCESSES;
        int one = step_one(guest, &guest->tasks[at], fds + 3 * at);
        if (wait < 0 || (one >= 0 && one < wait))
            wait = one;
    }
    return wait;
}

void tb_task_window(TbTask *task, uint16_t rows, uint16_t columns)
{
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    if (task->state == TB_PROCESS_RUNNING && task->pty && task->out[0] >= 0)
        ioctl(task->out[0], TIOCSWINSZ, &size);
}

void tb_task_signal(TbTask *task, uint32_t number)
{
    if (task->state == TB_PROCESS_RUNNING && task->pid > 0 && number > 0 && number <= 64)
        kill(-task->pid, (int)number);
}
