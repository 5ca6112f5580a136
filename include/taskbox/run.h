/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Running a task: a box starts, the command runs in it, a patch comes out, the box is gone. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <taskbox/task.h>

G_BEGIN_DECLS

/* When the box's directory (disk, console log) stays afterwards. */
typedef enum { TASKBOX_KEEP_NEVER, TASKBOX_KEEP_FAILED, TASKBOX_KEEP_ALWAYS } TaskboxKeep;

/* The command's output as it comes, hostile bytes; fd is 1 or 2. False with `error` set ends the
 * task. */
typedef bool (*TaskboxOutput)(int fd, const uint8_t *data, size_t length, void *user_data,
                              GError **error);

/* What the box may reach (docs/network.md). UNSET: as the settings say, else nothing for a command
 * and the agent's hosts for a prompt. */
typedef enum {
    TASKBOX_NET_UNSET,
    TASKBOX_NET_NONE,
    TASKBOX_NET_AGENT,
    TASKBOX_NET_OPEN
} TaskboxNet;

/* Zero everywhere means: as the user's settings say, else the image's recipe. */
typedef struct {
    const char *directory;      /* the project is found from here; NULL: the current directory */
    const char *image;          /* name of the golden image */
    const char *const *command; /* NULL-terminated; NULL with a prompt */
    const char *prompt;         /* for an agent; NULL with a command */
    const char *agent;          /* NULL: the default one */
    unsigned cpus;
    uint64_t memory, disk; /* bytes */
    uint64_t timeout;      /* seconds; its end stops the command and keeps its changes */
    TaskboxKeep keep;
    bool pass_stdin;      /* our stdin is the command's */
    TaskboxOutput output; /* may be NULL: the output is in the task's log anyway */
    void *user_data;
    TaskboxNet net;
    const char *const
        *allow_hosts; /* "HOST", "HOST:PORT", "*.DOMAIN"; ends with NULL; may be NULL */
} TaskboxRunOptions;

/* Runs one task from the calling thread. True: the patch is there (perhaps empty), whatever the
 * command's exit code. *task (may be NULL) is the task as soon as it has an id, on failure, too;
 * free it with taskbox_task_free. */
bool taskbox_run(TaskboxStore *store, const TaskboxRunOptions *options, TaskboxTask **task,
                 GError **error);

G_END_DECLS
