/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A box's control group against a real kernel: one is made in the delegated group that we run in,
 * then processes in it take more memory, and are more, than it lets. One line for each thing that
 * holds.
 */
#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm/cgroup.h"

enum { GUEST_MEMORY = 1 << 20, MOST_FORKS = 3000 };

static void check(bool holds, const char *what)
{
    printf("%s: %s\n", holds ? "holds" : "BROKEN", what);
    fflush(stdout);
    if (!holds)
        exit(1);
}

static char *find_group(const char *parent)
{
    g_autoptr(GDir) dir = g_dir_open(parent, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));)
        if (g_str_has_prefix(name, "taskbox-drill"))
            return g_build_filename(parent, name, NULL);
    return NULL;
}

static unsigned long long read_number(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) ? g_ascii_strtoull(text, NULL, 10) : 0;
}

static void enter(const TbCgroup *group)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (write(tb_cgroup_fd(group), "0", 1) != 1)
        _exit(99);
}

/* Touches pages till it is ended. */
static _Noreturn void eat(const TbCgroup *group, size_t bytes)
{
    enter(group);
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        _exit(98);
    madvise(memory, bytes, MADV_HUGEPAGE);
    for (size_t at = 0; at < bytes; at += 4096)
        memory[at] = 1;
    _exit(0);
}

static void try_memory(const TbCgroup *group, const char *dir)
{
    unsigned long long most = read_number(dir, "memory.max");
    check(most == GUEST_MEMORY + GUEST_MEMORY / 4 + (1ULL << 30), "memory.max is set");
    pid_t pid = fork();
    if (pid == 0)
        eat(group, (size_t)most + (256u << 20));
    int status = 0;
    waitpid(pid, &status, 0);
    check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "who takes more memory is ended");
    check(tb_cgroup_killed(group) > 0, "and that is known");
    check(read_number(dir, "memory.peak") <= most, "never more than that was used");
}

/* How many it could have. */
static _Noreturn void multiply(const TbCgroup *group, int report)
{
    int count = 0;
    pid_t self = getpid();
    enter(group);
    for (; count < MOST_FORKS; count++) {
        pid_t pid = fork();
        if (pid < 0)
            break;
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() == self) /* else it has ended already, and nothing would end this one */
                pause();
            _exit(0);
        }
    }
    int answer = errno == EAGAIN ? count : -count;
    _exit(write(report, &answer, sizeof answer) == sizeof answer ? 0 : 1);
}

static void try_processes(const TbCgroup *group, const char *dir)
{
    int ends[2], count = 0;
    unsigned long long most = read_number(dir, "pids.max");
    check(most == 1200, "pids.max is set");
    if (pipe(ends) != 0)
        exit(1);
    pid_t pid = fork();
    if (pid == 0)
        multiply(group, ends[1]);
    while (wait(NULL) > 0) /* those that it leaves, too, as a jail's init does it */
        continue;
    ssize_t got = read(ends[0], &count, sizeof count);
    printf("%d processes and no more\n", count + 1);
    check(got == sizeof count && count == (int)most - 1, "there are no more processes than that");
}

int main(void)
{
    g_autofree char *why = NULL;
    GError *error = NULL;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    g_autoptr(TbCgroupPlace) place = tb_cgroup_find(&why);
    if (!place)
        printf("%s\n", why);
    check(place != NULL, "a delegated group is found");
    printf("in %s\n", place->dir);
    TbCgroup *group = tb_cgroup_new(place, "drill", GUEST_MEMORY, &error);
    if (!group)
        printf("%s\n", error->message);
    check(group != NULL, "a group is made in it");
    g_autofree char *dir = find_group(place->dir);
    check(dir != NULL, "it is there");
    try_memory(group, dir);
    try_processes(group, dir);
    tb_cgroup_free(group);
    check(access(dir, F_OK) != 0, "it is gone in the end");
    return 0;
}
