/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tasks on disk. One directory a task, under tb_path_state () "/tasks/ID", mode 0700:
 *
 *     record.json   what is known of it; replaced atomically at each change of state
 *     log           the command's raw output (hostile bytes), capped; of an agent that writes JSON
 *                   lines what they say (run/stream.h)
 *     stream        then its raw output, capped likewise
 *     network       what it asked of the network, a line each (net/report.h), capped
 *     patch         the result, once it is ready
 *     findings.json what a reviewer should see first in it
 *     series        the commits made in the box, when there were any
 *     verify/       the box in which the patch is tried, while that runs; log: its command's output
 *     git/          private git directory with the base and the result objects
 *     apply/        journal of an apply
 *     undo          what it takes to take the apply back
 *     box/          the box, while it runs (or kept on purpose)
 *     control       socket of the taskbox that works on it (run/control.h)
 *     lock          held (flock) by the taskbox that works on the task
 *
 * Beside them, .marks-BOOT/ID says that a task is unfinished or may be (task/marks.c).
 *
 * A task in an unfinished state whose lock is free has lost its taskbox: tb_store_reconcile makes
 * it a failed one.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "net/egress.h"
#include "patch/patch.h"
#include "review/findings.h"

typedef enum {
    TB_TASK_CREATED,
    TB_TASK_STARTING,  /* the VM comes up, base tree and project image are made */
    TB_TASK_RUNNING,   /* the command runs */
    TB_TASK_EXPORTING, /* the changes come back and become the patch */
    TB_TASK_READY,     /* the patch is there */
    TB_TASK_FAILED,    /* taskbox failed; error_code and error_message say how */
    TB_TASK_APPLIED,
    TB_TASK_DISCARDED,
} TbTaskState;

/* "created", "starting", ... Static string. */
const char *tb_task_state_name(TbTaskState state);
/* Created, starting, running or exporting: somebody should be working on it. */
bool tb_task_state_unfinished(TbTaskState state);

#define TB_TASK_NETWORK "network"
#define TB_TASK_TRIAL   "verify"
#define TB_TASK_CONTROL "control" /* a socket (run/control.h) */

/* What an agent says that it has used. */
typedef struct {
    uint64_t tokens_in, tokens_out;
    double cost; /* dollars */
} TbUsage;

/* What came of the command that tries the patch. */
typedef struct {
    char *command; /* NULL: none was asked for */
    bool running;  /* it is being tried, or its taskbox was killed meanwhile */
    bool exited;   /* it came to an end: exit_code holds */
    int exit_code; /* 0..255, 128 + signal */
    char *cause;   /* why it did not come to its end, in words; NULL: it did */
    int64_t ms;    /* all of it, with the box */
} TbTrial;
/* "passed", "failed", "running", "not verified"; NULL when nothing was asked for. Static string. */
const char *tb_trial_word(const TbTrial *verdict);
/* The same with all that belongs to it, for people, escaped; NULL as above. g_free. */
char *tb_trial_text(const TbTrial *verdict);
/* The first line of its command, escaped. g_free. */
char *tb_trial_command(const TbTrial *verdict);

typedef struct {
    char *name;
    int64_t ms;
} TbTiming;

typedef struct TbStore TbStore;

/* One task. Fill the fields (strings are g_free'd with the task) and call tb_task_save. */
typedef struct {
    char *id;           /* read only */
    char *dir;          /* read only: absolute path of the task's directory */
    int dirfd;          /* read only: that directory, opened */
    TbTaskState state;  /* read only: tb_task_save changes it */
    int64_t created;    /* milliseconds since the epoch */
    int64_t ended;      /* when it became ready or failed; 0 before */
    char *project_root; /* absolute */
    char *project_subdir;
    char *project_name;
    char *image_name, *image_digest;
    char *accel;    /* "kvm", "tcg"; NULL until known */
    char *start;    /* how the box came to run: "fork", "boot"; NULL until it does */
    char **command; /* as asked for; NULL with a prompt */
    bool tty;       /* the command has a terminal */
    char *prompt, *agent;
    bool exited;      /* the command came to an end: exit_code and exit_signal hold */
    int exit_code;    /* 0..255, 128 + signal */
    int exit_signal;  /* 0: none */
    char *net_policy; /* what it could reach, in words; NULL until that was decided */
    TbNetCounts net;
    GPtrArray *refusals; /* of TbRefusal *: known while it runs; may be NULL */
    char *base_tree, *result_tree;
    char *base_commit;  /* what HEAD was when it began; NULL: no commit */
    char *applied_tree; /* what the last apply made of its base; NULL: not applied */
    char *applied_to;   /* "files", "index", "commit ID on BRANCH", "branch NAME"; NULL as above */
    bool has_patch;     /* stat holds and the patch file is there */
    bool verified;      /* the patch file was applied to the base and gave the result */
    TbPatchStat stat;
    uint32_t commits;  /* made in the box, and in the series */
    bool has_findings; /* findings holds: how many by severity */
    uint32_t findings[TB_SEVERITIES];
    char *limits;                  /* what held for it, in words */
    char *mount;                   /* how the project got in: "image", or with "since" and why */
    char *history;                 /* how much of the project's went into the box, in words */
    char *box_commit;              /* what HEAD was in the box when it began; known while it runs */
    const GPtrArray *masked_paths; /* char *, raw bytes, borrowed; known while it runs */
    GPtrArray *masked; /* char *: "PATH: WHY" of what stood empty in the box, escaped; never NULL */
    GPtrArray *notes;  /* char *: lines for a reviewer, already escaped; never NULL */
    GPtrArray *timings; /* TbTiming *, in order; never NULL */
    char *error_code;   /* tb_error_code_name; NULL: none */
    char *error_message;
    char *cause; /* what ended it early, in words ("interrupted by SIGINT"); NULL: nothing */
    TbTrial trial;
    TbUsage usage; /* as the agent says */
    char *from;    /* the task whose base or result it began with; NULL: none */
    bool on_top;   /* it was the result */
    char **flags;  /* of the command line that it was started with; NULL: not known */
    bool keep;     /* box/ stays on purpose */
    int lock_fd;   /* private */
} TbTask;

/* Opens the store of this user, creating its directories. Free with tb_store_free. */
TbStore *tb_store_open(GError **error);
/* The same at another place (tests). */
TbStore *tb_store_open_at(const char *path, GError **error);
void tb_store_free(TbStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbStore, tb_store_free)
/* Absolute path of the directory that holds the tasks. */
const char *tb_store_path(const TbStore *store);

/* A new task in state created with a fresh id ("brave-otter-k3"), locked, its record on disk. */
TbTask *tb_task_create(TbStore *store, GError **error);
/* Finds a task by its id, a prefix of it that no other task has, or "@last" (the newest).
 * TB_ERROR_NOT_FOUND, or TB_ERROR_USAGE with the candidates when the prefix is ambiguous. */
TbTask *tb_task_open(TbStore *store, const char *name, GError **error);
void tb_task_free(TbTask *task); /* gives the lock back */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbTask, tb_task_free)

/* Takes the task's lock without waiting (TB_ERROR_BUSY) and reads the record anew. Held until
 * tb_task_free; taking it twice is fine. */
bool tb_task_lock(TbTask *task, GError **error);
/* Whether another process holds the lock now. */
bool tb_task_is_locked(TbTask *task);
/* Reads the record again: whether a taskbox still works on the task, or tries its patch. */
bool tb_task_is_alive(TbTask *task);
/* Reads the record again (for those who follow a task they do not own). */
bool tb_task_reload(TbTask *task, GError **error);

/* A task within a task, for a box of its own: id and project are the same, `name` its directory,
 * made anew. It is in no store, and nobody finds it. */
TbTask *tb_task_within(const TbTask *task, const char *name, GError **error);

/* Moves to `state` (the same one is fine) and writes the record; sets `ended` when it comes to
 * ready or failed. */
bool tb_task_save(TbTask *task, TbTaskState state, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Fills error_code and error_message from `reason` and saves as failed; warns when even that
 * fails. */
void tb_task_fail(TbTask *task, const GError *reason);

/* Adds a note (escaped already) or the milliseconds of a phase. */
void tb_task_note(TbTask *task, const char *line);
void tb_task_timing(TbTask *task, const char *phase, int64_t ms);
/* Absolute path of `name` in the task's directory ("git", "box", "patch"). g_free. */
char *tb_task_path(const TbTask *task, const char *name);

/* All tasks, newest first; array of TbTask (unlocked), freed with the array. A record that cannot
 * be read is warned of and left out. */
GPtrArray *tb_task_list(TbStore *store, GError **error);

/* Marks what lost its taskbox as failed ("taskbox was killed while STATE"), removes its box,
 * removes what a killed tb_task_create or tb_task_remove left. Every command starts with it; it
 * reads the records of unfinished tasks and of those that ended since the last command. A task that
 * cannot be cleaned is warned of. */
bool tb_store_reconcile(TbStore *store, GError **error);

/* Removes a locked task for good. */
bool tb_task_remove(TbStore *store, TbTask *task, GError **error);

/* The record as --json prints it, one line without a newline (g_free): id, status, exit code,
 * patch path, base and result tree, files and lines, image digest, accelerator, time of each
 * phase in milliseconds. */
char *tb_task_record_json(const TbTask *task);

/* The log. Bytes over the cap are dropped, with one marker line in their place. */
#define TB_TASK_LOG_CAP (UINT64_C(64) << 20)
typedef struct TbTaskLog TbTaskLog;
#define TB_TASK_LOG    "log"
#define TB_TASK_STREAM "stream"
/* `name`: one of the two. `cap` 0: the default. Creates the file, or goes on at its end. */
TbTaskLog *tb_task_log_open(TbTask *task, const char *name, uint64_t cap, GError **error);
bool tb_task_log_append(TbTaskLog *log, const void *data, size_t length, GError **error);
/* True when output was dropped. */
bool tb_task_log_is_full(const TbTaskLog *log);
/* fsync; call it before a state that says the log is complete. */
bool tb_task_log_finish(TbTaskLog *log, GError **error);
void tb_task_log_free(TbTaskLog *log);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbTaskLog, tb_task_log_free)
