/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a project is made of, by the names of its files: languages, how its tests are run, agents it
 * has instructions for. Nothing of it is run; of a few files the beginning is read. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
    const char *name;            /* "python"; static, like the two below */
    const char *const *packages; /* Debian's, that build and test it; NULL-terminated */
    const char *test;            /* how its tests are probably run; NULL: not known */
    char *because;               /* the file that says so, below the root: any bytes */
} TbLanguage;

typedef struct {
    const char *name; /* "codex"; static */
    char *because;
} TbAgentTrace;

typedef struct {
    GPtrArray *languages; /* of TbLanguage *, the root's before those of folders */
    GPtrArray *agents;    /* of TbAgentTrace * */
} TbSurvey;

/* Looks at the directory `root` and those just below it. Links are not followed, hidden folders and
 * those of dependencies left out. */
TbSurvey *tb_survey_new(const char *root, GError **error);
void tb_survey_free(TbSurvey *survey);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbSurvey, tb_survey_free)
