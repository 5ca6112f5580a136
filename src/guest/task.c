/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The task's process. It has a session and a process group of its own (signals go to the group)
 * and a cgroup, so that what it leaves behind can be found and killed before the export.
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
    task->state = TB_TASK_RUNNING;
}

static void send_credit(TbGuest *guest, size_t bytes)
{
    uint8_t payload[4];
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_put_u32(&writer, (uint32_t)bytes);
    tb_guest_send(guest, TB_MSG_CREDIT, 0, payload, writer.length);
}

/* Waits for the exec: nothing comes when it succeeds, since the descriptor closes itself. */
static void note_failed_exec(TbGuest *guest, const TbExecMessage *exec, int report_fd)
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
    tb_guest_send(guest, TB_MSG_OUTPUT, exec->pty ? 1 : 2, text, (size_t)length);
}

/* fork, but the child is in the cgroup from its first moment on: to be moved into one takes a grace
 * period of the kernel. The plain fork where that is not to be had; *inside says which. */
static pid_t fork_into(const TbGuest *guest, bool *inside)
{
    tb_auto_fd fd =
        guest->task.spoiled ? -1 : open(guest->config->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct clone_args args = {
        .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)fd};
    *inside = true;
    pid_t pid = fd < 0 ? -1 : (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (pid >= 0)
        return pid;
    *inside = false;
    return fork();
}

bool tb_task_start(TbGuest *guest, const TbExecMessage *exec, TbFault *fault)
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
    guest->task.pid = pid;
    adopt(&guest->task, &streams, exec);
    tb_guest_send(guest, TB_MSG_STARTED, 0, NULL, 0);
    if (exec->has_stdin)
        send_credit(guest, TB_STDIN_WINDOW);
    note_failed_exec(guest, exec, report_in);
    return true;
}

static void give_back(TbGuest *guest, size_t bytes)
{
    TbTask *task = &guest->task;
    task->owed += bytes;
    if (task->owed >= CREDIT_STEP || (task->input_length == 0 && task->owed > 0)) {
        send_credit(guest, task->owed);
        task->owed = 0;
    }
}

/* The child takes no more: what comes is dropped, but its credit given back. */
static void close_input(TbGuest *guest)
{
    TbTask *task = &guest->task;
    size_t dropped = task->input_length;
    tb_close(&task->in);
    task->input_length = 0;
    if (dropped > 0)
        give_back(guest, dropped);
}

void tb_task_input(TbGuest *guest, const uint8_t *data, size_t length)
{
    TbTask *task = &guest->task;
    if (task->state != TB_TASK_RUNNING)
        return;
    if (length == 0) {
        task->input_eof = true;
    } else if (task->in < 0) {
        give_back(guest, length);
    } else if (length <= sizeof task->input - task->input_length) {
        if (task->input_start + task->input_length + length > sizeof task->input) {
            memmove(task->input, task->input + task->input_start, task->input_length);
            task->input_start = 0;
        }
        memcpy(task->input + task->input_start + task->input_length, data, length);
        task->input_length += length;
    }
}

static void pump_input(TbGuest *guest)
{
    TbTask *task = &guest->task;
    if (task->in >= 0 && task->input_length > 0) {
        ssize_t n = write(task->in, task->input + task->input_start, task->input_length);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            close_input(guest);
            return;
        }
        if (n > 0) {
            task->input_start += (size_t)n;
            task->input_length -= (size_t)n;
            if (task->input_length == 0)
                task->input_start = 0;
            give_back(guest, (size_t)n);
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

static void pump_output(TbGuest *guest, int index)
{
    static uint8_t buffer[OUTPUT_CHUNK];
    int *fd = &guest->task.out[index];
    ssize_t n = read(*fd, buffer, sizeof buffer);
    if (n > 0) {
        tb_guest_send(guest, TB_MSG_OUTPUT, (uint16_t)(index + 1), buffer, (size_t)n);
        if (guest->task.drain_deadline > 0)
            guest->task.drain_deadline = tb_now() + DRAIN_MS;
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        tb_close(fd);
    }
}

static bool may_send(const TbGuest *guest)
{
    return guest->synced && tb_guest_room(guest) >= TB_ROOM_BULK;
}

void tb_task_poll(const TbGuest *guest, struct pollfd fds[3])
{
    const TbTask *task = &guest->task;
    /* The child's end of input shows as POLLERR; asking for nothing still reports it. */
    bool writes = task->input_length > 0 || task->input_eof;
    fds[0] = (struct pollfd){.fd = writes ? task->in : -1, .events = POLLOUT};
    for (int i = 0; i < 2; i++)
        fds[1 + i] = (struct pollfd){.fd = may_send(guest) ? task->out[i] : -1, .events = POLLIN};
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

void tb_task_send_exit(TbGuest *guest)
{
    int status = guest->task.status;
    uint8_t payload[8];
    TbWriter writer = tb_writer(payload, sizeof payload);
    bool killed = WIFSIGNALED(status);
    tb_put_u32(&writer, (uint32_t)(killed ? 128 + WTERMSIG(status) : WEXITSTATUS(status)));
    tb_put_u32(&writer, (uint32_t)(killed ? WTERMSIG(status) : 0));
    tb_guest_send(guest, TB_MSG_EXIT, 0, payload, writer.length);
}

static void finish(TbGuest *guest)
{
    TbTask *task = &guest->task;
    tb_close(&task->in);
    tb_close(&task->out[0]);
    tb_close(&task->out[1]);
    task->input_length = 0;
    task->input_eof = false;
    task->state = TB_TASK_EXITED;
    if (guest->synced)
        tb_task_send_exit(guest);
}

int tb_task_step(TbGuest *guest, const struct pollfd fds[3])
{
    TbTask *task = &guest->task;
    if (task->state != TB_TASK_RUNNING)
        return -1;
    reap(task);
    if (fds[0].revents & (POLLERR | POLLHUP) && !task->pty)
        close_input(guest);
    else if (fds[0].revents)
        pump_input(guest);
    for (int i = 0; i < 2; i++)
        if (fds[1 + i].revents && may_send(guest))
            pump_output(guest, i);
    if (task->pid > 0)
        return -1;
    int64_t now = tb_now();
    if (!may_send(guest)) {
        task->drain_deadline = now + DRAIN_MS;
        return -1;
    }
    if ((task->out[0] < 0 && task->out[1] < 0) || now >= task->drain_deadline) {
        finish(guest);
        return -1;
    }
    return (int)(task->drain_deadline - now);
}

void tb_task_window(TbTask *task, uint16_t rows, uint16_t columns)
{
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    if (task->state == TB_TASK_RUNNING && task->pty && task->out[0] >= 0)
        ioctl(task->out[0], TIOCSWINSZ, &size);
}

void tb_task_signal(TbTask *task, uint32_t number)
{
    if (task->state == TB_TASK_RUNNING && task->pid > 0 && number > 0 && number <= 64)
        kill(-task->pid, (int)number);
}
