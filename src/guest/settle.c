/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Before a box is frozen it is made quiet and small: what is frozen is what every fork starts with,
 * a service that was in the middle of something would go on in each of them, and every page that
 * holds old bytes is a page of the template.
 *
 * Quiet: the processors idle for a while. Small: the page cache goes, and free memory is written
 * with zeros (by a child that the kernel may kill for it), so that the host can leave it out.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/guest.h"

enum {
    WINDOW_MS = 200,
    WINDOWS = 4,            /* quiet ones in a row */
    IDLE_PERCENT = 95,      /* of all processors */
    PATIENCE_MS = 90000,    /* then it is as quiet as it gets */
    CHUNK = 2 << 20,        /* bytes */
    ZERO_LIMIT = 384 << 20, /* about what a boot has used and freed; the rest was never touched */
    LEAVE_FREE = 48 << 20,  /* for everybody else */
};

/* Ticks of all processors since the boot: idle and in all. */
static bool read_ticks(uint64_t *idle, uint64_t *all)
{
    char text[512];
    unsigned long long t[8];
    if (tb_read_text("/proc/stat", text, sizeof text) <= 0 ||
        sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3],
               &t[4], &t[5], &t[6], &t[7]) != 8)
        return false;
    *idle = t[3];
    *all = 0;
    for (int i = 0; i < 8; i++)
        *all += t[i];
    return true;
}

static void wait_until_quiet(void)
{
    int64_t deadline = tb_now() + PATIENCE_MS;
    uint64_t idle, all, idle_before, all_before;
    int quiet = 0;
    bool known = read_ticks(&idle_before, &all_before);
    while (known && quiet < WINDOWS && tb_now() < deadline) {
        tb_sleep_ms(WINDOW_MS);
        if (!read_ticks(&idle, &all))
            return;
        bool idled = (idle - idle_before) * 100 >= (all - all_before) * IDLE_PERCENT;
        quiet = idled && all > all_before ? quiet + 1 : 0;
        idle_before = idle;
        all_before = all;
    }
}

static uint64_t free_bytes(void)
{
    struct sysinfo info;
    return sysinfo(&info) == 0 ? (uint64_t)info.freeram * info.mem_unit : 0;
}

static _Noreturn void write_zeros(void)
{
    tb_write_text("/proc/self/oom_score_adj", "1000");
    for (uint64_t done = 0; done < ZERO_LIMIT && free_bytes() > LEAVE_FREE; done += CHUNK) {
        char *chunk = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (chunk == MAP_FAILED)
            break;
        /* Small pages: they are what scattered old bytes are in. The kernel clears what it gives.
         */
        madvise(chunk, CHUNK, MADV_NOHUGEPAGE);
        madvise(chunk, CHUNK, MADV_POPULATE_WRITE);
    }
    _exit(0);
}

void tb_settle(const TbGuestConfig *config)
{
    if (!config->own_machine)
        return;
    wait_until_quiet();
    sync();
    tb_write_text("/proc/sys/vm/drop_caches", "3\n");
    pid_t pid = fork();
    if (pid == 0)
        write_zeros();
    if (pid > 0)
        waitpid(pid, NULL, 0);
}
