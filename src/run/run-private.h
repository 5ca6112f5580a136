/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of a run share: run.c is the path, run-command.c what happens while the command
 * runs. */
#pragma once

#include "image/store.h"
#include "patch/patch.h"
#include "project/project.h"
#include "run/admission.h"
#include "run/control.h"
#include "run/front.h"
#include "run/network.h"
#include "run/run.h"
#include "run/start.h"
#include "run/stream.h"
#include "vm/box.h"

#define SECOND         G_USEC_PER_SEC
#define SETUP_DEADLINE (120 * SECOND)

/* All that lives as long as the run. Freed in reverse order of use by run_clear. */
typedef struct {
    TbSettings *settings; /* the project's are added */
    const TbRunOptions *options;
    const TbRunOutput *output;
    TbTask *task;
    TbProject *project;
    TbImage *image;
    TbAccel accel;
    TbStart start;
    const TbAgent *agent; /* the settings'; NULL with a plain command */
    char **argv;
    TbAdmission *admission; /* the box's */
    TbNetwork network;
    TbProjectImage *project_image;
    char **unshared; /* what a share must not show (the box's spec); NULL: no share */
    char *box_dir;
    TbBox *box;
    TbSession *session; /* the box's */
    TbScan *scan;
    TbGit *git;
    TbDelta *delta;
    TbTaskLog *log;
    TbTaskLog *raw; /* of an agent whose output is read for people; else NULL, likewise: */
    TbAgentStream *stream;
    GString *words;
    TbBaseList *base_list; /* begun while the command runs */
    TbChanges *changes;
    char *base_index;
    const TbTask *from;          /* the task whose base or result the box begins with; NULL: none */
    bool trial;                  /* a box to verify `from` in: nothing of it comes back */
    char *now_tree, *begin_tree; /* the project as it is; as the box has it at first */
    TbLimits limits;
    TbPatchLimits patch_limits;
    bool auto_mount;   /* the mount was chosen, and may be chosen again */
    bool out_of_space; /* the command was stopped for it, or for a budget of the network */
    bool unserved;     /* the project's file server has died: there is the upper, and no more */
    bool git_touched;  /* something in the project's .git changed */
    int interrupts;    /* while the command ran */
    TbFront front;
    TbControl *control;
    int64_t phase_start;
} Run;

static inline int64_t run_deadline(int64_t microseconds)
{
    return g_get_monotonic_time() + microseconds;
}

static inline void run_phase_begin(Run *run)
{
    run->phase_start = g_get_monotonic_time();
}

/* Notes in the record how long the phase took that ends here; the next one begins. */
static inline void run_phase_end(Run *run, const char *name)
{
    tb_task_timing(run->task, name, (g_get_monotonic_time() - run->phase_start) / 1000);
    run_phase_begin(run);
}

/* run.c, for trial.c as well: the VM starts, and comes up by itself while the project is read; from
 * the guest's hello to a mounted project. */
bool run_launch(Run *run, GError **error);
bool run_read_project(Run *run, GError **error);
bool run_enter(Run *run, GError **error);
void run_clear(Run *run);

/* look.c: the mount that was asked for, or one that fits; the project scanned, and masked by what
 * is hidden from the box; for a share that before the box begins, and `unshared`: with a mount that
 * was chosen another one can come of it. git must be open. */
bool run_choose_mount(Run *run, GError **error);
bool run_scan_project(Run *run, GError **error);
bool run_look_before_sharing(Run *run, GError **error);
/* Lines for the record, each with the prefix; of very many the first ones. */
void run_add_notes(Run *run, const GPtrArray *lines, const char *prefix);

/* begin.c: the directories of objects that git is to borrow from (g_strfreev); once now_tree is
 * known, what the box begins with and what the patch will be against; then the delta for it. */
char **run_alternates(const Run *run, GError **error);
bool run_begin(Run *run, GError **error);
bool run_begin_delta(Run *run, GError **error);

/* trial.c: tries the patch in a box of its own when that was asked for, and the record gets the
 * verdict. Never a failure of the task. The first box is gone, its place is still held. */
void run_verify(Run *run);

/* Runs the command. A command that was stopped is no failure here: the task's `cause` says what
 * happened. */
bool run_command(Run *run, GError **error);
