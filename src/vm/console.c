/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The console file explains a guest that never came up. The jail writes it: hostile. */
#include "vm/box-private.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/escape.h"
#include "util/fs.h"
#include "util/hole.h"
#include "vm/layout.h"

#define TAIL       4096
#define LINE_LIMIT 200
#define PANIC      "Kernel panic"

static size_t trimmed(const char *text, size_t length)
{
    while (length > 0 && strchr(" \r\n\t", text[length - 1])) /* a NUL is found there, too */
        length--;
    return length;
}

char *tb_console_last_line(int dir_fd)
{
    bool follow = tb_hole("box-follow");
    tb_autofd fd = follow ? openat(dir_fd, TB_BOX_CONSOLE, O_RDONLY | O_CLOEXEC)
                          : tb_open_beneath(dir_fd, TB_BOX_CONSOLE, O_RDONLY | O_NONBLOCK, 0);
    struct stat st;
    char text[TAIL];
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1)
        return g_strdup("");
    ssize_t got = pread(fd, text, sizeof text, MAX(0, st.st_size - TAIL));
    size_t end = trimmed(text, (size_t)MAX(got, 0));
    const char *panic = memmem(text, end, PANIC, strlen(PANIC));
    if (panic) { /* what comes after it is a call trace */
        size_t rest = end - (size_t)(panic - text);
        const char *over = memchr(panic, '\n', rest);
        end = trimmed(text, over ? (size_t)(over - text) : end);
    }
    const char *newline = memrchr(text, '\n', end);
    size_t start = newline ? (size_t)(newline - text) + 1 : 0;
    return tb_escape_terminal(text + start, MIN(end - start, LINE_LIMIT), false);
}
