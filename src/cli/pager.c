/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pager is of our process group, so that it may read the terminal; Ctrl-C reaches both, and it
 * is for the pager to say what that means.
 */
#include "cli/pager.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/log.h"

static pid_t pager;

bool tb_shown_on_terminal(int fd)
{
    return isatty(fd) || (pager > 0 && fd == STDOUT_FILENO);
}

/* What the shell is to run; NULL: nothing. */
static const char *choose(void)
{
    const char *term = g_getenv("TERM");
    const char *program = g_getenv("TASKBOX_PAGER");
    if (!isatty(STDOUT_FILENO) || !term || g_str_equal(term, "dumb"))
        return NULL;
    if (!program)
        program = g_getenv("PAGER");
    if (program)
        return *program && !g_str_equal(program, "cat") ? program : NULL;
    g_autofree char *less = g_find_program_in_path("less");
    return less ? "less" : NULL;
}

/* Who asks the pipe for its width learns nothing. */
static void keep_width(void)
{
    struct winsize size;
    char text[16];
    if (g_getenv("COLUMNS") || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return;
    snprintf(text, sizeof text, "%u", size.ws_col);
    g_setenv("COLUMNS", text, TRUE);
}

static pid_t spawn(const char *program, int input)
{
    const char *const argv[] = {"sh", "-c", program, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults, none;
    pid_t pid = -1;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    int err =
        posix_spawn(&pid, "/bin/sh", &actions, &attributes, (char *const *)(gpointer)argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (err != 0)
        tb_warn("cannot start the pager '%s': %s", program, g_strerror(err));
    return err == 0 ? pid : -1;
}

void tb_pager_start(void)
{
    const char *program = choose();
    int ends[2];
    if (!program || pager > 0 || pipe2(ends, O_CLOEXEC) < 0)
        return;
    tb_autofd input = ends[0];
    tb_autofd output = ends[1];
    keep_width();
    g_setenv("LESS", "FRX", FALSE);
    g_setenv("LV", "-c", FALSE);
    tb_status_done();
    pid_t pid = spawn(program, input);
    if (pid > 0 && dup2(output, STDOUT_FILENO) >= 0)
        pager = pid;
}

void tb_pager_end(void)
{
    if (pager <= 0)
        return;
    close(STDOUT_FILENO);
    while (waitpid(pager, NULL, 0) < 0 && errno == EINTR)
        continue;
    pager = 0;
}
