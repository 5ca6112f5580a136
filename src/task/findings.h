/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The findings (review/findings.h) of a task's patch: made once, kept with the task. */
#pragma once

#include <stdbool.h>
#include "review/findings.h"
#include "task/store.h"

/* Looks for findings, writes findings.json and sets task->findings (the caller saves the record). A
 * failure loses no patch: it becomes a note, and whoever wants the findings makes them anew. */
void tb_task_findings_make(TbTask *task, TbGit *git);

/* Adds those of the task's commits, once they are there; false: nothing was added. */
bool tb_task_findings_add_commits(TbTask *task, TbGit *git, const GPtrArray *series,
                                  GError **error);

/* The task's findings: those that are kept, else made now (nothing is written; no lock needed). */
TbFindings *tb_task_findings(const TbTask *task, GError **error);

/* May the patch be put on the project, with `commits` the commits of the box, too? TB_ERROR_DENIED,
 * naming the rules, when a finding of severity high is of a rule that is not in `rules`
 * (NULL-terminated; "all" stands for any). A word that is no rule's name is TB_ERROR_USAGE. A task
 * without a patch, or applied before, may. */
bool tb_task_acknowledged(const TbTask *task, const char *const *rules, bool commits,
                          GError **error);
