/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From what the guest exported to a result tree and a patch, by SECURITY recipe: strict paths,
 * our own blobs, a tree that differs from the base's in just what was told, diff-tree, and the
 * proof that the patch gives the result tree again.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include "channel/entry.h"
#include "util/git.h"

typedef struct {
    uint64_t max_bytes; /* sum of all new file contents */
    uint32_t max_entries;
    uint64_t max_patch; /* bytes of the patch file */
} TbPatchLimits;
extern const TbPatchLimits tb_patch_limits_default;

typedef struct TbChanges TbChanges;

/* git's list of the base, begun while there is time: 100,000 files take 50 ms. NULL when it cannot
 * be, which costs nothing but that time. Ends with tb_base_list_free, and before `git`. */
typedef struct TbBaseList TbBaseList;
TbBaseList *tb_base_list_start(TbGit *git, const char *index);
void tb_base_list_free(TbBaseList *list);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbBaseList, tb_base_list_free)

/* `git` and `base_index` are what tb_project_base_tree left; `base_tree` its id. `excludes_file`,
 * which may be NULL, is the user's own global ignore file; `info_exclude` the repository's. What is
 * ignored is decided by the .gitignore files in the base tree. `list` (may be NULL) was started for
 * the same index. */
TbChanges *tb_changes_new(TbGit *git, const char *base_index, TbBaseList *list,
                          const char *base_tree, const char *excludes_file,
                          const char *info_exclude, const TbPatchLimits *limits, GError **error);
void tb_changes_free(TbChanges *changes);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbChanges, tb_changes_free)

/* Nothing at or below `dir` is carried: a repository of its own that was there before the task, so
 * that the base tree has none of its files. What the box changed there is counted in the notes.
 * Before the list. */
void tb_changes_leave_out(TbChanges *changes, const char *dir);

/* Nothing at or below `path` is carried: the box saw an empty file or directory there. What the
 * base tree has there stays in the result, whatever becomes of the directories above. Before the
 * list. */
void tb_changes_mask(TbChanges *changes, const char *path);

/* One entry of the guest's list (the index counts from 0). A path that may not be is refused: it
 * goes to the notes, never into the tree; duplicates and file/directory clashes are errors
 * (TB_ERROR_GUEST), found by tb_changes_wanted at the latest. Same prototype as TbEntryFn of
 * vm/session.h. */
bool tb_changes_add(const TbEntry *entry, void *changes, GError **error);
/* After the list: which files' bytes are wanted, ascending list indices. Owned by `changes`. */
bool tb_changes_wanted(TbChanges *changes, const uint32_t **indices, size_t *count, GError **error);
/* The bytes; same prototypes as TbFileSink of vm/session.h. */
bool tb_changes_file_begin(uint32_t index, uint64_t size, void *changes, GError **error);
bool tb_changes_file_bytes(const uint8_t *bytes, size_t length, void *changes, GError **error);
bool tb_changes_file_end(uint32_t index, void *changes, GError **error);
/* The result tree's id (g_free). */
char *tb_changes_result_tree(TbChanges *changes, GError **error);
/* What decides outside of the tree how git would convert files. See gitattributes(5). */
typedef struct {
    const char *repository; /* its own file, info/attributes; NULL: none, likewise below */
    const char *user;       /* the user's, core.attributesFile */
    bool autocrlf;          /* core.autocrlf is on */
} TbAttributes;

/* Adds to the notes which changed files git itself would convert (line ends, encodings, filters),
 * so that plain git may not take the patch for them. After tb_changes_result_tree. */
bool tb_changes_note_converted(TbChanges *changes, const char *result_tree,
                               const TbAttributes *outside, GError **error);
/* Escaped lines: refused paths, ignored files not carried (folded by top directory, counted), what
 * git cannot carry. Owned by `changes`. */
const GPtrArray *tb_changes_notes(const TbChanges *changes);

typedef struct {
    const char *subject; /* from the prompt or command; one line is made of it */
    const char *task_id, *image_digest, *base_tree, *result_tree;
    const char *author; /* "AI Agent <agent@internal.sandbox>" */
    int64_t time;       /* seconds since the epoch */
} TbPatchHeader;

typedef struct {
    uint32_t files;
    uint64_t added, removed; /* lines; binary files count none */
    uint32_t binary;
    uint64_t bytes; /* of the patch file */
} TbPatchStat;

/* Writes the mail-style patch (git am and git apply take it; git am wants --keep-cr for files with
 * CRLF line ends, and its author and date are the header's) to `name` in `dirfd`, atomically.
 * An empty difference writes an empty-bodied patch with files == 0. Before it gets its name it is
 * read back and proved (tb_patch_prove_files); a patch that is there is verified. */
bool tb_patch_write(TbGit *git, const TbPatchHeader *header, const TbPatchLimits *limits, int dirfd,
                    const char *name, TbPatchStat *stat, GError **error);

/* What a patch file says of itself, its head and end read strictly (parse.h), and where its diff
 * part is: the bytes between the "---" line and the signature. */
typedef struct {
    char *task_id, *image_digest; /* claims; image_digest may be NULL */
    char *base_tree, *result_tree;
    char *sha256;            /* of the diff part, as told; it is what the bytes give */
    uint64_t offset, length; /* of the diff part */
} TbPatchInfo;

/* Reads the patch in regular file `fd` and compares the hash of its diff part. TB_ERROR_VERIFY when
 * it is no patch of ours or was altered, TB_ERROR_LIMIT when it is larger than limits->max_patch
 * (`limits` may be NULL). */
TbPatchInfo *tb_patch_info_read(int fd, const TbPatchLimits *limits, GError **error);
void tb_patch_info_free(TbPatchInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbPatchInfo, tb_patch_info_free)

/* Applies the diff part, as it is in `fd`, to the base in a private index and requires the result
 * tree and paths that tb_path_check lets through; else TB_ERROR_VERIFY. `base_index` is an index
 * file that holds the base tree; the result tree need not be there. */
bool tb_patch_prove(TbGit *git, const char *base_index, const TbPatchInfo *info, int fd,
                    GError **error);

/* The same where both trees are there and `files` (array of TbPatchFile) is what differs between
 * them, as tb_patch_files says: costs as much as that, not as the base. */
bool tb_patch_prove_files(TbGit *git, const TbPatchInfo *info, int fd, const GPtrArray *files,
                          GError **error);

/* Per-file changes between two trees, from diff-tree --raw -z -M-less. */
typedef struct {
    char *path;                  /* raw bytes, NUL-terminated */
    uint32_t old_mode, new_mode; /* 0: not there */
    char *old_oid, *new_oid;
    int64_t added, removed; /* -1: binary */
} TbPatchFile;
/* Array of TbPatchFile, freed with the array. */
GPtrArray *tb_patch_files(TbGit *git, const char *base_tree, const char *result_tree,
                          GError **error);

/* Is `path` one of the NULL-terminated `paths`, or below one? No paths at all: true. A "./" before
 * and a "/" behind a path of the list do not count. */
bool tb_patch_path_in(const char *path, const char *const *paths);
/* The plain diff (no mail head) of `files`, to `fn`, in the form that tb_patch_write has. */
bool tb_patch_diff(TbGit *git, const char *base_tree, const char *result_tree,
                   const GPtrArray *files, TbOutputFn fn, void *user_data, GError **error);
