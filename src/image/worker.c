/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libguestfs's calls block, its launch for ten seconds and more, and nothing can end them from
 * outside but the end of the process. So it works in a child: killing the child's group takes
 * libguestfs's QEMU along, and when we are killed ourselves libguestfs's own watcher does.
 *
 * The child answers with one byte ('+' or an error's code) and a text.
 */
#include "image/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/interrupt.h"
#include "util/log.h"

#define ANSWER_LIMIT (1024 * 1024)

_Noreturn static void run_child(TbWorkFn work, void *data, int fd, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    if (getppid() != parent)
        _exit(1);
    GError *error = NULL;
    GString *out = g_string_new(NULL);
    bool ok = work(data, out, &error);
    tb_status_done();
    const char *text = ok ? out->str : error->message;
    char mark = ok ? '+' : (char)('A' + tb_error_code(error));
    bool told = tb_write_all(fd, &mark, 1, "the answer", NULL) &&
                tb_write_all(fd, text, strlen(text), "the answer", NULL);
    /* no atexit handlers: they are the parent's */
    _exit(told ? 0 : 1);
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
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return tb_error_set_errno(error, errno, "cannot make a pipe");
    tb_autofd from = fds[0], to = fds[1];
    pid_t parent = getpid();
    pid_t child = fork();
    if (child < 0)
        return tb_error_set_errno(error, errno, "cannot start a process");
    if (child == 0)
        run_child(work, data, to, parent);
    setpgid(child, child); /* whoever of us is first */
    tb_clear_fd(&to);
    g_autoptr(GString) answer = g_string_new(NULL);
    bool ended = collect(from, answer);
    kill(-child, SIGKILL); /* what it left running, too */
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
    return ended ? judge(answer, out, error) : tb_interrupt_check(error);
}
