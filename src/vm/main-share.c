/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * taskbox-share MEMORY PROGRAM ARGUMENT...: puts on virtiofsd, in its jail, what the jail's mounts
 * and filter do not say: limits, and landlock where the kernel has it, by which it can write
 * nowhere.
 *
 * Then it is that program, once QEMU is there: from then on it ends when QEMU does. Before that
 * nobody would tell it that taskbox is gone, so it is this program that waits.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "util/hole.h"
#include "util/landlock.h"
#include "vm/layout.h"

#define MAX_TASKS  64
#define OWN_MEMORY ((rlim_t)1 << 30)

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "taskbox-share: cannot %s: %s\n", what, why);
    return EXIT_FAILURE;
}

/* False: there is no host any more. */
static int await_qemu(void)
{
    struct pollfd fds[] = {{.fd = TB_JAIL_LISTEN_FD, .events = POLLIN},
                           {.fd = TB_JAIL_EVENT_FD, .events = POLLIN}};
    while (poll(fds, 2, -1) < 0)
        if (errno != EINTR)
            return 0;
    return fds[1].revents == 0;
}

int main(int argc, char **argv)
{
    const char *const writable[] = {"/dev", tb_hole("share-open") ? TB_JAIL_PROJECT_DIR : NULL,
                                    NULL};
    if (argc < 3)
        return fail("start", "wrong arguments (it is started by taskbox only)");
    struct rlimit tasks = {.rlim_cur = MAX_TASKS, .rlim_max = MAX_TASKS};
    rlim_t most = (rlim_t)strtoull(argv[1], NULL, 10) + OWN_MEMORY;
    struct rlimit memory = {.rlim_cur = most, .rlim_max = most};
    if (setrlimit(RLIMIT_NPROC, &tasks) != 0 || setrlimit(RLIMIT_AS, &memory) != 0)
        return fail("set limits", "the kernel refuses");
    int refused = tb_landlock_enter(tb_landlock_version(), writable);
    if (refused != 0)
        return fail("set landlock's rules", strerror(refused));
    if (!await_qemu())
        return EXIT_FAILURE;
    execv(argv[2], argv + 2);
    return fail("start virtiofsd", "it does not run");
}
