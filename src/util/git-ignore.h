/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* git's own matcher of ignore rules, asked about paths that need not exist. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "util/git.h"

typedef struct {
    const char *scratch; /* a directory in the git directory that holds .gitignore files only */
    bool any_case;       /* letters of either case match */
} TbIgnoreRules;

/* The path that question `index` is about; *is_dir (false before) for a directory. Borrowed. */
typedef const char *(*TbIgnorePathFn)(guint index, bool *is_dir, void *user_data);
/* The answer for `index`. */
typedef void (*TbIgnoreAnswerFn)(guint index, bool ignored, void *user_data);

/* Asks about `count` paths by one child and gives every answer, in order. */
bool tb_git_ignored(TbGit *git, const TbIgnoreRules *rules, guint count, TbIgnorePathFn path,
                    TbIgnoreAnswerFn answer, void *user_data, GError **error);
