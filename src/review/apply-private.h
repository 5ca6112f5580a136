/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of apply share. apply-look.c: what is on disk. apply-plan.c: is it the base, and
 * the steps. apply-stage.c: new contents in the staging directory. apply-move.c: the steps, and
 * back. apply-swap.c: files of a git directory. apply-journal.c: the plan on disk. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include "patch/files.h"
#include "review/swap.h"
#include "review/undo.h"
#include "util/git.h"

typedef enum {
    LOOK_ABSENT,
    LOOK_BLOCKED, /* absent since a parent is not a directory; `blocked_at` */
    LOOK_FILE,
    LOOK_LINK,
    LOOK_DIR,
    LOOK_OTHER,
} LookKind;

typedef struct {
    LookKind kind;
    size_t blocked_at; /* length of the parent's path */
    struct stat st;    /* of files, links, directories */
    char oid[65];      /* of files and links, when asked for */
} Look;

/* Looks at `path` below `root`, following nothing. With `oid_length` (40 or 64, else 0) reads the
 * content, too. */
bool look_at(int root, const char *path, unsigned oid_length, Look *look, GError **error);
/* Opens the parent directory of `path`; *name is its last component, in `path`. -1 with errno. */
int look_open_parent(int root, const char *path, const char **name);
/* Do two stats name the same file, not written to in between (a rename is none)? */
bool look_same(const struct stat *a, const struct stat *b);

typedef enum {
    STEP_BACKUP = 'b', /* move what is there into staging */
    STEP_RMDIR = 'r',  /* remove a directory that is empty now; not empty is fine */
    STEP_MKDIR = 'm',
    STEP_PLACE = 'p', /* move the staged file into place */
} StepKind;

typedef struct {
    StepKind kind;
    uint32_t number; /* of the file in staging: "o7" for backups, "n7" for new */
    char *path;
    struct stat st; /* BACKUP, PLACE: the file (ino, size, mtime); RMDIR: mode; MKDIR: mode or 0 */
} Step;

typedef enum { PHASE_STAGE = 's', PHASE_MOVE = 'm', PHASE_DONE = 'd' } Phase;

/* All of one apply that must survive a crash. */
typedef struct {
    Phase phase;
    char *root;
    char *staging; /* a name in root */
    char *note;    /* name of the caller's file in scratch; NULL: none */
    GPtrArray *steps;
    GPtrArray *swaps; /* TbSwap; after a crash without the bytes, which lie in staging */
} Plan;

Plan *plan_new(const char *root);
void plan_free(Plan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Plan, plan_free)
Step *plan_add(Plan *plan, StepKind kind, const char *path);

typedef struct {
    const GPtrArray *files; /* TbPatchFile */
    GArray *looks;          /* Look of each */
    GHashTable *by_path;    /* path -> TbPatchFile */
    GHashTable *cleared;    /* directories that make way for a file, with all below them */
    int root;
    unsigned oid_length;
    const char *since; /* for the drift */
    TbUndo *record;    /* see TbApplyOptions */
    const TbUndo *restore;
} Survey;

/* Compares the disk with both trees. *base and *result: all paths are as in it; drift lines. */
bool survey_take(Survey *survey, bool *base, bool *result, GPtrArray *drift, GError **error);
/* The steps that turn base into result. */
bool survey_plan(const Survey *survey, Plan *plan, GError **error);

/* Writes what PLACE steps need to the staging directory (a descriptor), by one git child. */
bool stage_files(TbGit *git, const Survey *survey, Plan *plan, int staging, GError **error);

/* Goes through the steps; on failure nothing is taken back here. */
bool move_forward(const Plan *plan, int root, int staging, GError **error);
/* Takes back those steps that were done, known by what lies in staging. What somebody has changed
 * since stays as it is: its backup is kept and named in the error. */
bool move_back(const Plan *plan, int root, int staging, GError **error);

/* The swaps, stage by stage: all that is needed beside the place; the locks, with a look at what is
 * there; the replacing. Back and end (locks and staging go) may be repeated. */
bool swaps_stage(const Plan *plan, GError **error);
bool swaps_lock(const Plan *plan, GError **error);
bool swaps_forward(const Plan *plan, GError **error);
bool swaps_back(const Plan *plan, GError **error);
bool swaps_end(const Plan *plan, GError **error);

bool journal_write(const Plan *plan, int scratch, GError **error);
/* *plan stays NULL when there is none. */
bool journal_read(int scratch, Plan **plan, GError **error);
bool journal_remove(int scratch, GError **error);
/* Removes the plan's note, if there is one. */
bool journal_drop_note(const Plan *plan, int scratch, GError **error);

/* A place where a test may end the process or make a step fail. */
bool apply_fault_point(GError **error);
