/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commits, made in the private git directory from what we say, and a pack of them. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "patch/patch.h"
#include "util/git.h"

typedef struct {
    const char *tree;
    const char *parent;             /* NULL: none */
    const char *author, *committer; /* "NAME <ADDRESS> SECONDS ZONE" */
    const char *message;            /* UTF-8 */
} TbCommit;

/* Stores it; the id (g_free). No configuration, hook or signing program has a part in it. */
char *tb_commit_write(TbGit *git, const TbCommit *commit, GError **error);
/* The tree of a commit (g_free). TB_ERROR_NOT_FOUND when it is none, or not there. */
char *tb_commit_tree(TbGit *git, const char *commit, GError **error);
/* A tree without entries (g_free). */
char *tb_tree_empty(TbGit *git, GError **error);

/* A pack of the commits (ids, each on top of the one before) with all that their trees have and the
 * tree `base` has not. Returns its path without ".pack" (g_free), in the private directory. */
char *tb_commits_pack(TbGit *git, const char *base, const GPtrArray *commits, GError **error);

/* The same of the new side of `files` (array of TbPatchFile) alone. */
char *tb_files_pack(TbGit *git, const GPtrArray *files, GError **error);

/* The message of the one commit that is the patch: subject, prompt and trailers as in its mail.
 * g_free. */
char *tb_patch_message(const TbPatchHeader *header);
