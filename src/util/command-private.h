/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What command.c (the builder), command-child.c (fork and exec) and command-run.c (the loop that
 * moves bytes) share. For these files only. */
#pragma once

#include "util/command.h"

#include <sys/resource.h>

#define MAX_LIMITS   8
#define EXIT_UNKNOWN 255 /* somebody else reaped it */

typedef struct {
    int source, target;
} FdMapping;

/* Somebody else forks the child, as git's jail does. */
typedef struct {
    /* A socket that becomes readable when the child has ended: one int as of waitpid(2), or the end
     * of file when nobody knows. Shut down for sending, it asks for the child's death. */
    int (*start)(void *data, TbCommand *command, const int standard[3], GError **error);
    /* Why nobody knows (g_free), NULL: no idea. */
    char *(*last_words)(void *data);
} TbStarter;

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
    const TbStarter *starter; /* NULL: we */
    void *starter_data;       /* outlives the child */
};

struct TbChild {
    pid_t pid; /* 0: started by somebody else, `pidfd` is the socket */
    int pidfd;
    bool ended;
    bool lost; /* it ended, and how is not known */
    int wait_status;
    const TbStarter *starter;
    void *starter_data;
};

/* "git write-tree": the program's name and the first argument that looks like a subcommand, for
 * messages (g_free). */
char *tb_command_label(const TbCommand *command);

/* Forks and executes with these three as 0, 1 and 2; they stay the caller's. Returns when the
 * program runs or could not be executed. */
TbChild *tb_child_spawn(TbCommand *command, const int standard[3], GError **error);
/* Readable once the child has ended; -1 where the kernel has no pidfd. */
int tb_child_pidfd(const TbChild *child);
/* True when it has ended; it may not be reaped yet, so that its group can still be killed. */
bool tb_child_has_ended(TbChild *child);

/* command-far.c: the same for a child that command->starter starts. */
TbChild *tb_child_spawn_far(TbCommand *command, const int standard[3], GError **error);
void tb_child_poll_far(TbChild *child);
void tb_child_kill_far(const TbChild *child);
