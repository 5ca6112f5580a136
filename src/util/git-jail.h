/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* git's jail and taskbox-git in it. For src/util/git.c only. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "util/command.h"

typedef struct TbGitJail TbGitJail;

/* What is to be seen in it beside the system's programs; all by path, borrowed. */
typedef struct {
    const char *git_dir;          /* may be written */
    const GPtrArray *written;     /* char *: directories that may be written */
    const GPtrArray *read;        /* char *: directories to be read */
    const char *const *read_each; /* the same; may be NULL, what is not there is passed over */
    const char *search;           /* PATH */
} TbGitView;

/* Starts the jail and does not wait for it: what is asked of it meanwhile it does later. */
TbGitJail *tb_git_jail_new(const TbGitView *view, GError **error);
/* Ends everything in it. */
void tb_git_jail_free(TbGitJail *jail);

/* Has the command (whose program is an absolute path) started, with these as 0, 1 and 2. Returns a
 * socket that says how it ended. */
int tb_git_jail_start(TbGitJail *jail, const TbCommand *command, const int standard[3],
                      GError **error);
/* What the jail had to say on stderr, in one line that is safe to show (g_free); NULL: nothing. */
char *tb_git_jail_last_words(TbGitJail *jail);
