/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between fork and exec: the child takes its place, then its identity, then its program. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/guest.h"

enum { FILES_LIMIT = 1024 };

_Noreturn static void give_up(const TbChild *child, TbChildStep step)
{
    TbChildReport report = {.err = errno, .step = step};
    bool missing = step == TB_STEP_EXEC && (errno == ENOENT || errno == ENOTDIR);
    tb_write_full(child->report, &report, sizeof report);
    _exit(missing ? 127 : 126);
}

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void join_cgroup(const char *cgroup)
{
    char path[TB_PATH_SIZE];
    snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
    tb_write_text(path, "0");
}

/* What programs expect; ours is higher. */
static void lower_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max < FILES_LIMIT ? limit.rlim_max : FILES_LIMIT;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void take_place(const TbChild *child)
{
    setsid();
    if (!child->in_cgroup)
        join_cgroup(child->config->cgroup);
    tb_write_text("/proc/self/oom_score_adj", "0");
    reset_signals();
    if (dup2(child->in, 0) < 0 || dup2(child->out, 1) < 0 || dup2(child->err, 2) < 0)
        give_up(child, TB_STEP_IDENTITY);
    if (child->exec->pty && ioctl(0, TIOCSCTTY, 0) != 0)
        give_up(child, TB_STEP_IDENTITY);
    lower_limits();
    umask(022);
}

static void take_identity(const TbChild *child)
{
    const TbUser *user = child->user;
    gid_t groups[64] = {0};
    if (child->exec->as_root) {
        if (setgroups(1, groups) != 0 || setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)
            give_up(child, TB_STEP_IDENTITY);
        return;
    }
    size_t count = tb_user_groups(child->config, user->gid, groups, 64);
    if (setgroups(count, groups) != 0 || setresgid(user->gid, user->gid, user->gid) != 0 ||
        setresuid(user->uid, user->uid, user->uid) != 0)
        give_up(child, TB_STEP_IDENTITY);
}

static bool has_terminfo(const char *term)
{
    static const char *const places[] = {"/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo",
                                         "/usr/lib/terminfo"};
    if (term[0] == '\0' || term[0] == '.' || strchr(term, '/'))
        return false;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char path[TB_PATH_SIZE];
        snprintf(path, sizeof path, "%s/%c/%.200s", places[i], term[0], term);
        if (access(path, F_OK) == 0)
            return true;
    }
    return false;
}

/* A terminal the image has never heard of makes programs refuse to run; what all others imitate
 * does nearly as well. */
static void settle_terminal(void)
{
    const char *term = getenv("TERM");
    if (term && (strcmp(term, "dumb") == 0 || has_terminfo(term)))
        return;
    setenv("TERM", has_terminfo("xterm-256color") ? "xterm-256color" : "xterm", 1);
}

/* The host's own variables come last and win. */
static void set_environment(const TbChild *child)
{
    bool root = child->exec->as_root;
    clearenv();
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    setenv("HOME", root ? "/root" : child->user->home, 1);
    setenv("SHELL", root ? "/bin/sh" : child->user->shell, 1);
    setenv("USER", root ? "root" : "agent", 1);
    setenv("LOGNAME", root ? "root" : "agent", 1);
    setenv("LANG", "C.UTF-8", 1);
    setenv("TERM", child->exec->pty ? "xterm-256color" : "dumb", 1);
    for (size_t i = 0; i < child->exec->envc; i++)
        putenv((char *)(uintptr_t)child->exec->env[i]);
    if (child->exec->pty)
        settle_terminal();
}

_Noreturn void tb_child_run(const TbChild *child)
{
    take_place(child);
    take_identity(child);
    set_environment(child);
    if (chdir(child->exec->cwd) != 0)
        give_up(child, TB_STEP_CWD);
    execvp(child->exec->argv[0], (char *const *)(uintptr_t)child->exec->argv);
    give_up(child, TB_STEP_EXEC);
}
