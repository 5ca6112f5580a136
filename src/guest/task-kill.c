/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ends everything of the task before its changes are read. The cgroup names what it started, but
 * root in the box can leave it, so what runs under the task's uid is looked for, too. What a
 * hostile root hides from this only makes its own export inconsistent.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/guest.h"

enum { KILL_MS = 10000 };

/* How many were found. Never ourselves, and nobody at all in a file that is none of a cgroup. */
static int kill_cgroup(const char *cgroup)
{
    char path[TB_PATH_SIZE], text[4096];
    snprintf(path, sizeof path, "%s/cgroup.kill", cgroup);
    tb_write_text(path, "1");
    snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
    if (tb_read_text(path, text, sizeof text) <= 0)
        return 0;
    int count = 0;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        long pid = strtol(line, NULL, 10);
        if (pid > 1 && pid != (long)getpid()) {
            kill((pid_t)pid, SIGKILL);
            count++;
        }
    }
    return count;
}

static bool is_zombie(const char *pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    if (tb_read_text(path, text, sizeof text) <= 0)
        return true;
    const char *end = strrchr(text, ')');
    return !end || strncmp(end, ") Z", 3) == 0 || strncmp(end, ") X", 3) == 0;
}

static int kill_uid(uint32_t uid)
{
    int count = 0;
    DIR *proc = uid != 0 ? opendir("/proc") : NULL;
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        struct stat st;
        if (!isdigit((unsigned char)entry->d_name[0]) ||
            fstatat(dirfd(proc), entry->d_name, &st, 0) != 0 || st.st_uid != uid ||
            is_zombie(entry->d_name))
            continue;
        kill((pid_t)strtol(entry->d_name, NULL, 10), SIGKILL);
        count++;
    }
    if (proc)
        closedir(proc);
    return count;
}

/* Whether it is still to be waited for. */
static bool kill_and_reap(TbTask *task)
{
    int status;
    if (task->pid <= 0)
        return false;
    kill(-task->pid, SIGKILL);
    if (waitpid(task->pid, &status, WNOHANG) != task->pid)
        return true;
    task->pid = 0;
    task->status = status;
    task->drain_deadline = tb_now() + 1000;
    return false;
}

void tb_task_kill_all(TbGuest *guest)
{
    int64_t deadline = tb_now() + KILL_MS;
    for (;;) {
        int left = kill_cgroup(guest->config->cgroup) + kill_uid(guest->user.uid);
        for (unsigned i = 0; i < TB_PROCESSES; i++)
            left += kill_and_reap(&guest->tasks[i]);
        if (left == 0 || tb_now() >= deadline)
            break;
        tb_sleep_ms(5);
    }
    /* Some kernels take a process that is made in a cgroup for one of those that were to be killed
     * there. The next process gets a new one; where this one stays, it is moved in by hand. */
    guest->spoiled = rmdir(guest->config->cgroup) != 0 && errno != ENOENT;
}
