/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tasks: found, looked at, applied, discarded. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

typedef struct TaskboxStore TaskboxStore;
typedef struct TaskboxTask TaskboxTask;

typedef enum {
    TASKBOX_STATE_CREATED,
    TASKBOX_STATE_STARTING,
    TASKBOX_STATE_RUNNING,
    TASKBOX_STATE_EXPORTING,
    TASKBOX_STATE_READY, /* the patch waits for review */
    TASKBOX_STATE_FAILED,
    TASKBOX_STATE_APPLIED,
    TASKBOX_STATE_DISCARDED,
} TaskboxState;

typedef enum {
    TASKBOX_APPLY_DONE,
    TASKBOX_APPLY_CLEAN,   /* check only: it would apply */
    TASKBOX_APPLY_ALREADY, /* the project has the result already */
} TaskboxApplyOutcome;

/* The user's tasks (under XDG_STATE_HOME). Tasks whose taskbox was killed become failed ones. */
TaskboxStore *taskbox_store_open(GError **error);
void taskbox_store_free(TaskboxStore *store);

/* By id, a prefix that no other task has, or "@last". */
TaskboxTask *taskbox_task_open(TaskboxStore *store, const char *name, GError **error);
/* All, newest first: array of TaskboxTask, freed with it (g_ptr_array_unref). */
GPtrArray *taskbox_task_list(TaskboxStore *store, GError **error);
/* Gives back the task's lock, if this one holds it. */
void taskbox_task_free(TaskboxTask *task);

/* Strings belong to the task. */
const char *taskbox_task_id(const TaskboxTask *task);
TaskboxState taskbox_task_state(const TaskboxTask *task);
const char *taskbox_task_project(const TaskboxTask *task);   /* root; NULL when not known */
const char *taskbox_task_base_tree(const TaskboxTask *task); /* git tree ids; NULL: none yet */
const char *taskbox_task_result_tree(const TaskboxTask *task);
int taskbox_task_exit_code(const TaskboxTask *task); /* 0..255; -1: the command did not end */
/* Path of the patch (g_free); NULL when there is none. */
char *taskbox_task_patch(const TaskboxTask *task);
/* The whole record as `taskbox show --json` prints it (g_free). */
char *taskbox_task_json(const TaskboxTask *task);

/* What an apply is to reach. */
typedef enum {
    TASKBOX_APPLY_TO_FILES,
    TASKBOX_APPLY_TO_INDEX,  /* and git's index */
    TASKBOX_APPLY_TO_COMMIT, /* and the branch that is checked out gets a commit */
    TASKBOX_APPLY_TO_BRANCH, /* a new branch with a commit; files and index stay as they are */
} TaskboxApplyTo;

/* Zero everywhere: the whole patch onto the files. */
typedef struct {
    bool check;               /* nothing is written */
    bool merge;               /* merge where the project has moved on; for TO_FILES only */
    const char *const *files; /* only these paths and what is below them; NULL: all */
    TaskboxApplyTo to;
    const char *branch; /* TO_BRANCH: its name */
} TaskboxApplyOptions;

/* Puts the patch on the project: all of it or nothing. TASKBOX_ERROR_CONFLICT: *drift (may be NULL)
 * is an array of lines that name what differs, free with g_ptr_array_unref. With `check` nothing
 * is written. */
bool taskbox_task_apply(TaskboxStore *store, TaskboxTask *task, bool check,
                        TaskboxApplyOutcome *outcome, GPtrArray **drift, GError **error);
/* The same with a choice. *lines (may be NULL): what differs, after TASKBOX_ERROR_CONFLICT; else
 * the files in which a merge left conflict markers, NULL when there are none. */
bool taskbox_task_apply_with(TaskboxStore *store, TaskboxTask *task,
                             const TaskboxApplyOptions *options, TaskboxApplyOutcome *outcome,
                             GPtrArray **lines, GError **error);
/* Takes an apply back, its commit or branch, too: exactly what was there before, or nothing.
 * TASKBOX_ERROR_CONFLICT when a file has changed since; *drift as above. TASKBOX_APPLY_ALREADY:
 * nothing is applied. */
bool taskbox_task_undo(TaskboxStore *store, TaskboxTask *task, TaskboxApplyOutcome *outcome,
                       GPtrArray **drift, GError **error);
/* Not wanted: record, log and patch stay until `taskbox gc --apply`. */
bool taskbox_task_discard(TaskboxTask *task, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(TaskboxStore, taskbox_store_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TaskboxTask, taskbox_task_free)

G_END_DECLS
