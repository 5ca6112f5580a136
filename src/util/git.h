/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * git plumbing that a hostile repository cannot steer.
 *
 * A TbGit is a private git directory of ours (bare, no templates, no hooks, no configuration but
 * what we wrote). git runs with a cleaned environment, no system, global or repository
 * configuration of anybody else, no lazy fetching, no transports, literal pathspecs, in a jail.
 * Commands that can run what a work tree names (add, status, diff, stash, submodule, checkout) are
 * never used: see docs/security notes in docs/architecture.md.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include "util/command.h"

typedef struct TbGit TbGit;

/* Creates a private git directory at `path` (which must not exist). `sha256` chooses the object
 * format. `alternates`, which may be NULL, is a NULL-terminated list of objects directories to
 * borrow from. */
TbGit *tb_git_create(const char *path, bool sha256, const char *const *alternates, GError **error);
/* Borrows from just these from now on. What is only in one that is not named any more is lost. */
bool tb_git_set_alternates(TbGit *git, const char *const *alternates, GError **error);
/* Opens one made before. */
TbGit *tb_git_open(const char *path, GError **error);
void tb_git_free(TbGit *git);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbGit, tb_git_free)

const char *tb_git_path(const TbGit *git);
/* 40 or 64. */
unsigned tb_git_oid_length(const TbGit *git);

/* Makes the index file hold just this tree (or a commit's). */
bool tb_git_read_tree(TbGit *git, const char *tree, const char *index, GError **error);

/* Starts the jail that commands run in, which the first command would do otherwise, and does not
 * wait for it. `worktree` (may be NULL) is what later commands will name. */
bool tb_git_start(TbGit *git, const char *worktree, GError **error);

/* A command "git <safe flags> SUBCOMMAND" on this directory; `worktree` and `index` (paths) may be
 * NULL. It runs in the jail, in `worktree` or else the git directory, with limits on time, address
 * space and file size; it and its child must not outlive `git`. Add arguments and run it. */
TbCommand *tb_git_command(TbGit *git, const char *subcommand, const char *worktree,
                          const char *index);

/* Runs a command whose stdout is one object id and gives it back without the newline (g_free). */
char *tb_git_run_oid(TbGit *git, TbCommand *command, GError **error);

/* A line that is a path, always in git's C-style quotes, since it may hold any byte. */
void tb_git_quote(GString *out, const char *path);

/* The modes that git gives to entries of a tree. */
#define TB_MODE_FILE       0100644u
#define TB_MODE_EXECUTABLE 0100755u
#define TB_MODE_SYMLINK    0120000u
#define TB_MODE_GITLINK    0160000u

/* A path of a tree with what it is to become. */
typedef struct {
    const char *path;
    const char *oid; /* hex; any when `mode` is 0 */
    uint32_t mode;   /* as git has it; 0: removed */
} TbTreeEntry;
/* `tree` with these entries changed, whatever their order: what is removed goes first. Costs as
 * much as the directories that change, not as the tree. What is removed is no directory of `tree`.
 * The caller has judged the paths (patch/path.h), and compares: a later entry pushes out what is in
 * its way. The new tree's id (g_free). See git-fast-import(1). */
char *tb_git_change_tree(TbGit *git, const char *tree, const TbTreeEntry *entries, size_t count,
                         GError **error);

/*
 * Many blobs by one child (git fast-import, blob commands only: no path ever reaches it). The
 * bytes are stored as they are, without filters.
 */
typedef struct TbBlobWriter TbBlobWriter;
TbBlobWriter *tb_blob_writer_new(TbGit *git, GError **error);
/* One blob of exactly `size` bytes: begin, any number of data calls, end gives its mark. */
bool tb_blob_writer_begin(TbBlobWriter *writer, uint64_t size, GError **error);
bool tb_blob_writer_data(TbBlobWriter *writer, const void *data, size_t length, GError **error);
/* *out_mark numbers blobs from 0 in the order they were begun. TB_ERROR_INTERNAL unless exactly
 * `size` bytes came. */
bool tb_blob_writer_end(TbBlobWriter *writer, uint32_t *out_mark, GError **error);
/* Ends the child; *oids is an array of hex ids (char *, freed with the array) by mark. */
bool tb_blob_writer_finish(TbBlobWriter *writer, GPtrArray **oids, GError **error);
/* Kills the child when it was not finished; the objects are lost then. */
void tb_blob_writer_free(TbBlobWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbBlobWriter, tb_blob_writer_free)

/* One blob: `data` holds `size` bytes and is gone after the call; NULL: the blob is larger than the
 * limit, and only its size is said. */
typedef bool (*TbBlobFn)(size_t index, const uint8_t *data, uint64_t size, void *user_data,
                         GError **error);
/* tb_git_read_blobs for objects of `type` ("commit"). */
bool tb_git_read_objects(TbGit *git, const char *type, const char *const *oids, size_t count,
                         size_t limit, TbBlobFn fn, void *user_data, GError **error);
/* Reads blobs by one child (git cat-file), in this order. With `limit` 0 no content is read: sizes
 * only. An object that is no blob, or is not there, is TB_ERROR_INTERNAL. */
bool tb_git_read_blobs(TbGit *git, const char *const *oids, size_t count, size_t limit, TbBlobFn fn,
                       void *user_data, GError **error);

/* Blobs as they come, for those that may not fit in memory. Each has a begin, its bytes in any
 * number of calls (none when it is empty), and an end. `index` counts from 0 in the order asked. */
typedef struct {
    bool (*begin)(size_t index, uint64_t size, void *user_data, GError **error);
    bool (*bytes)(const uint8_t *data, size_t length, void *user_data, GError **error);
    bool (*end)(size_t index, void *user_data, GError **error);
} TbBlobStream;
/* As tb_git_read_blobs. */
bool tb_git_stream_blobs(TbGit *git, const char *const *oids, size_t count,
                         const TbBlobStream *stream, void *user_data, GError **error);
