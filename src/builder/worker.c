/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libguestfs's calls block, its launch for ten seconds and more, and nothing can end them from
 * outside but the end of the process. So it works in a child, which leads a process group, and all
 * that libguestfs starts stays in it. Between the child and us stands a keeper: it waits until we
 * close our end of a pipe, as the kernel does for us when we are killed, and then kills the group
 * and removes what a killed libguestfs leaves.
 *
 * The child answers with one byte ('+' or an error's code) and a text.
 */
#include "builder/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "builder/sockets.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/interrupt.h"
#include "util/log.h"

#define ANSWER_LIMIT (1024 * 1024)

typedef struct {
    TbWorkFn work;
    void *data;
    int answer; /* the child writes it */
    int life;   /* at its end when we are gone or want no more */
} Job;

_Noreturn static void run_child(const Job *job, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    if (getppid() != parent)
        _exit(1);
    close(job->life);
    GError *error = NULL;
    GString *out = g_string_new(NULL);
    bool ok = job->work(job->data, out, &error);
    tb_status_done();
    const char *text = ok ? out->str : error->message;
    char mark = ok ? '+' : (char)('A' + tb_error_code(error));
    bool told = tb_write_all(job->answer, &mark, 1, "the answer", NULL) &&
                tb_write_all(job->answer, text, strlen(text), "the answer", NULL);
    /* no atexit handlers: they are the parent's */
    _exit(told ? 0 : 1);
}

static void wait_for(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

_Noreturn static void run_keeper(const Job *job)
{
    setpgid(0, 0); /* out of reach of a terminal's Ctrl-C */
    g_autoptr(GHashTable) sockets = tb_guestfs_sockets();
    pid_t keeper = getpid();
    pid_t child = fork();
    if (child == 0)
        run_child(job, keeper);
    close(job->answer);
    char byte;
    while (child > 0 && read(job->life, &byte, 1) < 0 && errno == EINTR)
        continue;
    if (child > 0) {
        setpgid(child, child); /* whoever of us is first */
        kill(-child, SIGKILL); /* what it left running, too */
        wait_for(child);
        tb_guestfs_sockets_remove(sockets);
    }
    _exit(0);
}

/* True at the end of the stream; false on an interrupt. */
static bool collect(int fd, GString *answer)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = fd, .events = POLLIN},
                               {.fd = tb_interrupt_fd(), .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return true;
        if (tb_interrupt_pending())
            return false;
        if (!(fds[0].revents & (POLLIN | POLLHUP | POLLERR)))
            continue;
        char buffer[4096];
        ssize_t got = read(fd, buffer, sizeof buffer);
        if (got == 0 || (got < 0 && errno != EINTR) || answer->len > ANSWER_LIMIT)
            return true;
        if (got > 0)
            g_string_append_len(answer, buffer, got);
    }
}

static bool judge(const GString *answer, GString *out, GError **error)
{
    if (answer->len > 0 && answer->str[0] == '+') {
        g_string_append(out, answer->str + 1);
        return true;
    }
    if (answer->len > 1 && answer->str[0] >= 'A' &&
        answer->str[0] <= 'A' + (int)TB_ERROR_INTERRUPTED)
        return tb_error_set(error, (TbErrorCode)(answer->str[0] - 'A'), "%s", answer->str + 1);
    return tb_error_set(error, TB_ERROR_IMAGE,
                        "cannot prepare the disk: the process that does it has died");
}

bool tb_worker_run(TbWorkFn work, void *data, GString *out, GError **error)
{
    int answers[2], lives[2];
    if (pipe2(answers, O_CLOEXEC) < 0)
        return tb_error_set_errno(error, errno, "cannot make a pipe");
    tb_autofd from = answers[0], to = answers[1];
    if (pipe2(lives, O_CLOEXEC) < 0)
        return tb_error_set_errno(error, errno, "cannot make a pipe");
    tb_autofd life = lives[0], ours = lives[1];
    pid_t keeper = fork();
    if (keeper < 0)
        return tb_error_set_errno(error, errno, "cannot start a process");
    if (keeper == 0) {
        tb_clear_fd(&ours);
        tb_clear_fd(&from);
        const Job job = {.work = work, .data = data, .answer = to, .life = life};
        run_keeper(&job);
    }
    tb_clear_fd(&to);
    g_autoptr(GString) answer = g_string_new(NULL);
    bool ended = collect(from, answer);
    tb_clear_fd(&ours);
    wait_for(keeper);
    return ended ? judge(answer, out, error) : tb_interrupt_check(error);
}
