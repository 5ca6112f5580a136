/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `taskbox init` proposes: the texts of files, made of what was found. */
#pragma once

#include <glib.h>
#include "project/survey.h"

typedef struct {
    char *image;  /* its name, as .taskbox.yaml has it */
    char *recipe; /* text of a recipe of that name; NULL: a shipped one will do */
} TbProposal;

void tb_proposal_clear(TbProposal *proposal);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TbProposal, tb_proposal_clear)

/* `project` is a name for a recipe, should one be needed: anything, what is no name of an image is
 * made one. `agent` is the user's default agent, NULL: none. */
void tb_proposal_make(TbProposal *proposal, const TbSurvey *survey, const char *project,
                      const char *agent);
/* The text of .taskbox.yaml: what is there now (NULL: nothing) with this image. g_free. */
char *tb_proposal_settings(const TbProposal *proposal, const char *now);
/* How one text becomes the other, line by line with '-', '+' and ' ', safe to show. g_free. */
char *tb_proposal_diff(const char *old, const char *new);
