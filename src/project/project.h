/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The user's project as taskbox sees it: found, walked, made into a base tree and a project image.
 * Nothing in here writes to the project or runs what the project names.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include "channel/entry.h"
#include "util/git.h"

typedef struct TbProject TbProject;

/* Finds the project of directory `dir`: the work tree that holds it (its .git directory, or the
 * .git file of a linked worktree or submodule, read by our own code), else `dir` itself. Refuses
 * "/" and the user's home directory (TB_ERROR_DENIED, with what to do). */
TbProject *tb_project_open(const char *dir, GError **error);
void tb_project_free(TbProject *project);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbProject, tb_project_free)

const char *tb_project_root(const TbProject *project);   /* absolute, no links */
const char *tb_project_subdir(const TbProject *project); /* where `dir` is in it: "" or "a/b" */
const char *tb_project_name(const TbProject *project);   /* safe last component for the box */
bool tb_project_is_git(const TbProject *project);
const char *tb_project_git_dir(const TbProject *project); /* NULL when no repository */
const char *tb_project_common_dir(
    const TbProject *project); /* of a linked worktree: the main one */
bool tb_project_sha256(const TbProject *project);
/* The commit id of HEAD by our own reading (g_free), NULL when there is none. */
char *tb_project_head(const TbProject *project, unsigned oid_length);
uint32_t tb_project_uid(const TbProject *project); /* owner; 1000 when that is 0 */
uint32_t tb_project_gid(const TbProject *project);

/* How much of the history goes into the box. AUTO is FULL, but NONE where a masked file is tracked:
 * git's objects would hold it. */
typedef enum { TB_HISTORY_AUTO, TB_HISTORY_FULL, TB_HISTORY_DEPTH, TB_HISTORY_NONE } TbHistoryKind;
typedef struct {
    TbHistoryKind kind;
    unsigned depth; /* commits, with DEPTH; with AUTO instead of all, 0: all */
} TbHistory;

/* What the box is not to see, on top of the mask list (docs/masks.md). The patterns are lines of a
 * .gitignore at the project's root; NULL: none. Before the first scan. */
typedef struct {
    const char *const *exclude; /* masks more */
    const char *const *include; /* lets in what only the mask list holds back */
    TbHistory history;
} TbMasking;
bool tb_project_set_masking(TbProject *project, const TbMasking *masking, GError **error);

/* The project's content as it is now: one stat walk over everything that can go into the box
 * (tracked, untracked, ignored, .git as the box will see it). Unreadable files, sockets, devices,
 * fifos and nested mounts are left out and named. */
typedef struct TbScan TbScan;
TbScan *tb_scan_new(TbProject *project, GError **error);
void tb_scan_free(TbScan *scan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbScan, tb_scan_free)
uint64_t tb_scan_files(const TbScan *scan);
uint64_t tb_scan_bytes(const TbScan *scan);
/* "path: reason" (escaped for a terminal), owned by the scan. */
const GPtrArray *tb_scan_left_out(const TbScan *scan);

/*
 * Decides what is masked, once: until then neither image nor delta is made. A masked file is an
 * empty one in the box, a masked directory an empty one. Masked is what --exclude or .taskboxignore
 * names, and what the mask list names unless it is tracked or included; and what is a hard link of
 * a masked file. git is asked only where the scan has something to ask.
 */
bool tb_scan_mask(TbScan *scan, TbGit *git, GError **error);
/* "path: why" (escaped), owned by the scan; after tb_scan_mask, likewise below. */
const GPtrArray *tb_scan_masked(const TbScan *scan);
/* The paths (raw bytes) of the same. */
const GPtrArray *tb_scan_masked_paths(const TbScan *scan);
/* "path: why" of what the mask list names and the box sees all the same, being tracked. */
const GPtrArray *tb_scan_shown(const TbScan *scan);

/* After the base tree: gives the box the history that it is to have. Unless that is all of it, .git
 * is one made here: the last so many commits, or one commit of what the box sees. `head` is the
 * project's (NULL: none). *commit (g_free) is what HEAD will be in the box, *words (g_free) says
 * how much of the history it gets. TB_ERROR_DENIED when history was asked for that holds what is
 * masked. */
bool tb_scan_make_history(TbScan *scan, TbGit *git, const char *base_index, const char *head,
                          char **commit, char **words, GError **error);

/* Paths (raw bytes) of repositories inside the project, submodules among them: changes in them are
 * not carried. After tb_project_base_tree without those whose files the base tree holds. Owned by
 * the scan. */
const GPtrArray *tb_scan_nested(const TbScan *scan);

/* The base tree: the project as the scan saw it; uncommitted and untracked, not ignored, files
 * included. What is masked (tb_scan_mask is called) is in it only when it is tracked, as the index
 * has it. Written into `git` (created by the caller with the alternates of
 * tb_project_alternates); the index that holds it is left at `index_path`, for tb_changes_new.
 * Returns the tree id (g_free). Files that git cannot carry go to *notes (escaped lines). */
char *tb_project_base_tree(TbProject *project, TbScan *scan, TbGit *git, const char *index_path,
                           GPtrArray *notes, GError **error);
/* The same, for a task with `image`: when nothing at all has changed since the last call that made
 * the tree, what was kept beside the image is taken. */
typedef struct TbProjectImage TbProjectImage;
char *tb_project_base(TbProjectImage *image, TbScan *scan, TbGit *git, const char *index_path,
                      GPtrArray *notes, GError **error);
/* The user's own global ignore file (core.excludesFile or its default), NULL when there is none.
 * Looked up once; owned by the project. */
const char *tb_project_user_excludes(TbProject *project);
/* Likewise of attributes (core.attributesFile or its default). g_free. */
char *tb_project_user_attributes(void);
/* Does git make line ends LF on their way into a tree where no attribute says otherwise
 * (core.autocrlf of the repository, else the user's)? */
bool tb_project_autocrlf(const TbProject *project);
/* NULL-terminated, empty when no repository; checked to be the user's. g_strfreev. */
char **tb_project_alternates(TbProject *project, GError **error);

/*
 * The project image, kept per project in the cache directory. tb_project_image_open gives a path
 * at once, good for a VM to start with; tb_project_image_fill then makes the image when there is
 * none. The scan says whether a kept one is worth it (tb_project_image_outgrown). Other runs on
 * the same project are waited for or get an image of their own.
 */
/* Bytes of every image, most of them a hole at its end. */
#define TB_PROJECT_IMAGE_SIZE (INT64_C(64) << 30)
/* `filesystems`: comma list of what the golden image's guest can mount. */
TbProjectImage *tb_project_image_open(TbProject *project, const char *filesystems, GError **error);
/* Whether an image of it is kept from an earlier run, so that another costs what has changed. */
bool tb_project_image_kept(const TbProject *project);
/* In place of an image: the project directory itself, shared read-only by `filesystem`, "9p" or
 * "virtiofs" (static). The delta then covers what must not be seen and brings .git. For trees too
 * large to image: the box sees later edits of the user, and files of nested repositories as they
 * are. */
TbProjectImage *tb_project_image_live(TbProject *project, const char *filesystem);
/* How many files and directories lie in it, and the bytes of the files, .git included; it is not
 * looked further once there are more than `most_files` or `most_bytes`. What cannot be read does
 * not count. */
void tb_project_measure(const TbProject *project, uint64_t most_files, uint64_t most_bytes,
                        uint64_t *files, uint64_t *bytes);
/* NULL when there is no image. */
const char *tb_project_image_path(const TbProjectImage *image);
const char *tb_project_image_filesystem(const TbProjectImage *image); /* "erofs", ... or "none" */
/* tb_scan_mask, which need not ask what the kept image knows. */
bool tb_project_image_mask(TbProjectImage *image, TbScan *scan, TbGit *git, GError **error);
/* Of a live one, after tb_project_image_mask: the directories, relative to the project's root and
 * without links on the way, that a share must show empty: all git directories, since the box gets
 * a copy of each that is safe to show, and what is mounted in the project. NULL-terminated,
 * g_strfreev. NULL with TB_ERROR_UNSUPPORTED when a share cannot hide what must be hidden: there
 * are masked files, or more than `most` such directories. */
char **tb_project_unshared(const TbProjectImage *image, const TbScan *scan, unsigned most,
                           GError **error);
/* True when the kept image holds what is masked now, or so much changed since it was made that
 * sending it would take longer than making a new one. After tb_project_image_mask. The box is to be
 * started again, with what tb_project_image_renew puts in its place (another path, to be filled).
 */
bool tb_project_image_outgrown(const TbProjectImage *image, TbScan *scan);
bool tb_project_image_renew(TbProjectImage *image, GError **error);
bool tb_project_image_fill(TbProjectImage *image, TbScan *scan, GError **error);
void tb_project_image_free(TbProjectImage *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbProjectImage, tb_project_image_free)

/* The delta on top of the image, in the form of vm/session.h's TbEntrySource (same prototypes, so
 * that neither folder includes the other). A file that changes while it is sent is sent as the scan
 * saw it or ends with an error that names it. Includes the sanitized .git/config. */
typedef struct TbDelta TbDelta;
TbDelta *tb_delta_new(TbProjectImage *image, TbScan *scan, GError **error);
/* Lays a tree on top, once and before the first entry is taken: `entries` is what differs between
 * the base tree of the scan and it (paths of regular files and symbolic links; the others are
 * passed over, as is what is masked). `git` has the objects, and room for a copy of the contents.
 */
bool tb_delta_put_tree(TbDelta *delta, TbGit *git, const TbTreeEntry *entries, size_t count,
                       GError **error);
bool tb_delta_next(void *delta, TbEntry *entry, bool *done, GError **error);
bool tb_delta_read(void *delta, uint8_t *buffer, size_t size, size_t *length, GError **error);
uint64_t tb_delta_entries(const TbDelta *delta);
uint64_t tb_delta_bytes(const TbDelta *delta);
void tb_delta_free(TbDelta *delta);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbDelta, tb_delta_free)

/* Removes kept project images that no run uses and that are older than `max_age` seconds (0: all).
 * With `apply` false only counts. */
bool tb_project_images_gc(uint64_t max_age, bool apply, unsigned *count, uint64_t *bytes,
                          GError **error);
