/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The project's repository, as an apply that is to reach it needs it: branches, index, objects, who
 * the user is. Read by our own code, or by git from copies of ours: git itself is never run in it,
 * for it would do what the configuration and hooks there say.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include "project/project.h"

/* A branch. Where HEAD is detached, HEAD itself. */
typedef struct {
    char *name; /* "refs/heads/main", "HEAD" */
    char *dir;  /* absolute: the git directory that it is a file of */
    char *oid;  /* NULL: not there, or not yet */
    GBytes
        *loose; /* the file's content; NULL: there is none (the branch is packed, or not there) */
} TbRef;
void tb_ref_free(TbRef *ref);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbRef, tb_ref_free)

/* The branch that HEAD is on. TB_ERROR_UNSUPPORTED when branches are not files here (reftable). */
TbRef *tb_project_current(const TbProject *project, GError **error);
/* Any by its full name, which is a good one (check-ref-format). */
TbRef *tb_project_ref(const TbProject *project, const char *name, GError **error);
/* TB_ERROR_EXISTS when there cannot be a new branch of this full name. */
bool tb_project_ref_is_free(const TbProject *project, const char *name, GError **error);
/* True when HEAD of this or another work tree of the repository is on it. */
bool tb_project_ref_in_use(const TbProject *project, const char *name);
/* packed-refs with and without the branch; both NULL when it is not in there. */
bool tb_project_packed_without(const TbProject *project, const char *name, GBytes **old,
                               GBytes **fresh, GError **error);
/* "merge", "rebase": what git is in the middle of; NULL: nothing. Static string. */
const char *tb_project_unfinished(const TbProject *project);

/* "NAME <ADDRESS> SECONDS ZONE" of the user, who is the committer: GIT_COMMITTER_NAME and _EMAIL,
 * else the repository's configuration, else the user's. TB_ERROR_CONFIG when nothing says it. */
char *tb_project_committer(const TbProject *project, GError **error);
/* Notes a move of `ref` in its log, and in that of HEAD when `current`, where logs are kept. What
 * fails is only warned of: it is a help for people. */
void tb_project_log_move(const TbProject *project, const TbRef *ref, bool current, const char *to,
                         const char *committer, const char *message);

/* The branch is gone, and its log with it. */
void tb_project_log_drop(const TbProject *project, const TbRef *ref);

/* Puts BASE.pack and BASE.idx among the project's objects. */
bool tb_project_add_pack(const TbProject *project, const char *base, GError **error);

/* What an index is to have at a path instead of what it has. Mode 0: nothing. */
typedef struct {
    const char *path;
    uint32_t old_mode, new_mode;
    const char *old_oid, *new_oid;
} TbIndexChange;
/* The project's index file now (*old, NULL: none) and with the changes made. Paths whose entry is
 * not the old one go to *drift (escaped, with why); with any there is no *fresh. */
bool tb_project_change_index(TbProject *project, TbGit *git, const TbIndexChange *changes,
                             size_t count, const char *since, GBytes **old, GBytes **fresh,
                             GPtrArray *drift, GError **error);
