/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What command.c (the builder), command-child.c (fork and exec) and command-run.c (the loop that
 * moves bytes) share. For these files only. */
#pragma once

#include "util/command.h"

#include <sys/resource.h>

#define MAX_LIMITS 8

typedef struct {
    int source, target;
} FdMapping;

struct TbCommand {
    char *program;
    GPtrArray *argv; /* char *, argv[0] first, no final NULL */
    char **env;
    char *cwd;
    GBytes *stdin_bytes;
    TbInputFn stdin_fn;
    void *stdin_data;
    int stdin_fd, stdout_fd, stderr_fd; /* -1: not given */
    TbOutputFn stdout_fn, stderr_fn;
    void *stdout_data, *stderr_data;
    size_t stdout_limit;
    GArray *passed; /* FdMapping */
    unsigned timeout;
    struct {
        int resource;
        uint64_t value;
    } limits[MAX_LIMITS];
    unsigned n_limits;
    TbChildSetup setup;
    void *setup_data;
    bool ignore_interrupt;
};

/* "git write-tree": the program's name and the first argument that looks like a subcommand, for
 * messages (g_free). */
char *tb_command_label(const TbCommand *command);

/* Forks and executes with these three as 0, 1 and 2; they stay the caller's. Returns when the
 * program runs or could not be executed. */
TbChild *tb_child_spawn(TbCommand *command, const int standard[3], GError **error);
/* Readable once the child has ended; -1 where the kernel has no pidfd. */
int tb_child_pidfd(const TbChild *child);
