/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * taskbox-git: the first process of git's jail, which starts what it is asked to (git-wire.h).
 *
 * A jail takes ten times as long to make as git takes to answer; so there is one for all the calls
 * of a task. This program decides nothing: what can be seen, written and used up is settled by the
 * jail around it, before it starts. It is the first process of a process namespace, so that its end
 * is the end of everything in the jail, and when no child is running it kills what children may
 * have left behind. It ends when nobody can ask any more.
 */
#include "util/git-wire.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/landlock.h"

#define MAX_CHILDREN     16
#define EXIT_NOT_STARTED 127

typedef struct {
    pid_t pid;  /* 0: free */
    int status; /* socket */
    bool killed;
} Child;

typedef struct {
    char bytes[GIT_WIRE_MAX + 1];
    char *strings[GIT_WIRE_STRINGS + 3];
    const char *cwd;
    char **argv, **env;
    int fds[GIT_WIRE_FDS];
} Request;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "taskbox-git: %s\n", what);
    exit(EXIT_FAILURE);
}

/* Cuts the packet into strings; false when it is none of ours. */
static bool request_parse(Request *request, size_t length)
{
    GitWireHead head;
    if (length < sizeof head)
        return false;
    memcpy(&head, request->bytes, sizeof head);
    if (head.magic != GIT_WIRE_MAGIC || head.arguments < 1 || head.arguments > GIT_WIRE_STRINGS ||
        head.variables > GIT_WIRE_STRINGS - head.arguments)
        return false;
    request->bytes[length] = '\0';
    char *at = request->bytes + sizeof head, *end = request->bytes + length;
    char **next = request->strings;
    for (uint32_t i = 0; i < 1 + head.arguments + head.variables; i++) {
        if (at >= end)
            return false;
        if (i == 1 + head.arguments)
            *next++ = NULL; /* ends the arguments */
        *next++ = at;
        at += strlen(at) + 1;
    }
    next[0] = next[1] = NULL; /* without variables the first one ends the arguments */
    request->cwd = request->strings[0];
    request->argv = request->strings + 1;
    request->env = request->argv + head.arguments + 1;
    return at == end;
}

/* False when nobody asks any more. */
static bool request_receive(Request *request)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * GIT_WIRE_FDS)];
    } control;
    struct iovec iov = {.iov_base = request->bytes, .iov_len = GIT_WIRE_MAX};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t length = recvmsg(GIT_WIRE_SOCKET, &message, MSG_CMSG_CLOEXEC);
    if (length <= 0)
        return false;
    struct cmsghdr *descriptors = CMSG_FIRSTHDR(&message);
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || !descriptors ||
        descriptors->cmsg_len != CMSG_LEN(sizeof request->fds) ||
        !request_parse(request, (size_t)length))
        die("a request is not understood (taskbox and taskbox-git must be of one version)");
    memcpy(request->fds, CMSG_DATA(descriptors), sizeof request->fds);
    return true;
}

/* A session of its own: the child has no terminal, and can be killed with all it starts. */
static _Noreturn void child_main(const Request *request)
{
    sigset_t none;
    sigemptyset(&none);
    setsid();
    for (int i = GIT_WIRE_STDIN; i <= GIT_WIRE_STDERR; i++)
        if (dup2(request->fds[i], i) < 0)
            _exit(EXIT_NOT_STARTED);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (chdir(request->cwd) < 0)
        fprintf(stderr, "cannot enter '%s': %s\n", request->cwd, strerror(errno));
    else if (execve(request->argv[0], request->argv, request->env) < 0)
        fprintf(stderr, "cannot run '%s': %s\n", request->argv[0], strerror(errno));
    fflush(stderr);
    _exit(EXIT_NOT_STARTED);
}

static void child_start(Child *children, const Request *request)
{
    Child *child = children;
    while (child < children + MAX_CHILDREN && child->pid != 0)
        child++;
    if (child == children + MAX_CHILDREN)
        die("too many children at once");
    pid_t pid = fork();
    if (pid == 0)
        child_main(request);
    if (pid < 0)
        die(strerror(errno));
    for (int i = GIT_WIRE_STDIN; i <= GIT_WIRE_STDERR; i++)
        close(request->fds[i]);
    *child = (Child){.pid = pid, .status = request->fds[GIT_WIRE_STATUS]};
}

/* The group may not be there yet, or any more. */
static void child_kill(const Child *child)
{
    kill(-child->pid, SIGKILL);
    kill(child->pid, SIGKILL);
}

/* Its group goes first: while the leader is not reaped its number is nobody else's. */
static void child_end(Child *child)
{
    int status = 0;
    kill(-child->pid, SIGKILL);
    waitpid(child->pid, &status, 0);
    /* Nobody there to be told: fine. */
    (void)send(child->status, &status, sizeof status, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(child->status);
    *child = (Child){0};
}

static void reap(Child *children)
{
    siginfo_t info = {0};
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
        Child *child = children;
        while (child < children + MAX_CHILDREN && child->pid != info.si_pid)
            child++;
        if (child < children + MAX_CHILDREN)
            child_end(child);
        else
            waitpid(info.si_pid, NULL, 0); /* an orphan that was left to us */
        info.si_pid = 0;
    }
    for (int i = 0; i < MAX_CHILDREN; i++)
        if (children[i].pid != 0)
            return;
    kill(-1, SIGKILL); /* all but ourselves, in this namespace */
}

static int open_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_SETMASK, &signals, NULL);
    signal(SIGCHLD, SIG_DFL);
    return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* From root of the user namespace to a uid that owns nothing; the right to read the files of the
 * jail, whoever they belong to, stays with us and what we start. access(2), which git asks first,
 * would not look at that right but for the "secure bit". */
static void become(const char *uid, const char *gid)
{
    static const unsigned right = CAP_DAC_OVERRIDE;
    static const unsigned long bits = SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct rights[2] = {0};
    uid_t user = (uid_t)strtoul(uid, NULL, 10);
    gid_t group = (gid_t)strtoul(gid, NULL, 10);
    rights[0].permitted = rights[0].effective = rights[0].inheritable = 1U << right;
    if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
        setresgid(group, group, group) < 0 || setresuid(user, user, user) < 0 ||
        syscall(SYS_capset, &header, rights) < 0 ||
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, right, 0, 0) < 0)
        die(strerror(errno));
}

/* UID and GID ("-" for one that is not root's to change), then all that can be written. */
int main(int argc, char **argv)
{
    static Child children[MAX_CHILDREN];
    static Request request;
    if (getpid() != 1 || argc < 3 || fcntl(GIT_WIRE_SOCKET, F_SETFD, FD_CLOEXEC) < 0)
        die("it is started by taskbox only");
    int outer = -1;
    if (*argv[1] != '-') {
        outer = fcntl(GIT_WIRE_OUTER, F_DUPFD_CLOEXEC, 0);
        close(GIT_WIRE_OUTER);
        close(GIT_WIRE_USERNS); /* bwrap hands it on */
        become(argv[1], argv[2]);
    }
    if (getuid() == 0)
        die("it must not be root");
    int refused = tb_landlock_enter(tb_landlock_version(), (const char *const *)argv + 3);
    if (refused != 0)
        die(strerror(refused));
    int ended = open_signals();
    if (ended < 0)
        die(strerror(errno));
    for (;;) {
        enum { ASKED = MAX_CHILDREN, ENDED, OUTER, COUNT };
        struct pollfd polled[COUNT] = {[ASKED] = {.fd = GIT_WIRE_SOCKET, .events = POLLIN},
                                       [OUTER] = {.fd = outer, .events = POLLIN},
                                       [ENDED] = {.fd = ended, .events = POLLIN}};
        for (int i = 0; i < MAX_CHILDREN; i++) {
            bool watched = children[i].pid != 0 && !children[i].killed;
            polled[i].fd = watched ? children[i].status : -1;
            polled[i].events = POLLIN | POLLRDHUP;
        }
        if (poll(polled, COUNT, -1) < 0 && errno != EINTR)
            die(strerror(errno));
        if (polled[OUTER].revents != 0)
            return EXIT_FAILURE;
        for (int i = 0; i < MAX_CHILDREN; i++) {
            if (polled[i].fd < 0 || polled[i].revents == 0)
                continue;
            children[i].killed = true;
            child_kill(&children[i]);
        }
        struct signalfd_siginfo info;
        while (read(ended, &info, sizeof info) > 0)
            continue;
        reap(children);
        if (polled[ASKED].revents != 0) {
            if (!request_receive(&request))
                return EXIT_SUCCESS;
            child_start(children, &request);
        }
    }
}
