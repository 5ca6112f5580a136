/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An apply that reaches the project's repository: index, commits, branches. Private to src/task. */
#pragma once

#include "patch/series.h"
#include "project/repository.h"
#include "review/apply.h"
#include "task/finish.h"

/* What the task was asked for, as a patch's subject (g_free). */
char *tb_task_subject(const TbTask *task);
/* The head of its patch; pointers into the arguments. */
TbPatchHeader tb_task_patch_header(const TbTask *task, const char *subject, const char *result_tree,
                                   int64_t seconds);

/* Author and message of the commit that a step becomes; `step` NULL: all of the patch, which makes
 * `target`. What is the box's is harmless then. g_free both. */
void tb_task_words(const TbTask *task, const TbSeriesStep *step, const char *target, char **author,
                   char **message);

/* One way there or back. */
typedef struct {
    TbTask *task;
    TbGit *git;
    TbProject *project;
    bool back;         /* an undo */
    GPtrArray *series; /* TbSeriesStep: what the commits are made of; empty: of the patch */
    GPtrArray *swaps;  /* TbSwap */
    TbRef *ref;        /* that moves; NULL: none */
    char *ref_to;      /* its commit then; NULL: it goes */
    bool current;      /* HEAD is on it */
    char *committer;
    char *pack; /* of new objects, in the task's git directory; NULL: none */
} TbToRepository;
void tb_to_repository_clear(TbToRepository *to);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TbToRepository, tb_to_repository_clear)

/* Finds out what is to be changed in the repository for an apply of `files` (TbPatchFile), which
 * make `target` of the base. Nothing is written to the project. *drift gets what is not as it was
 * (escaped); with any, nothing else is of use. */
bool tb_to_repository_plan(TbToRepository *to, const TbTaskApply *how, const GPtrArray *files,
                           const char *target, GPtrArray *drift, GError **error);
/* The same for an undo. */
bool tb_to_repository_plan_undo(TbToRepository *to, const TbUndo *record, GPtrArray *drift,
                                GError **error);
/* The new objects become the project's; nothing names them yet. */
bool tb_to_repository_add_objects(const TbToRepository *to, GError **error);
/* All is in place: git's logs say so, too. */
void tb_to_repository_done(const TbToRepository *to);
