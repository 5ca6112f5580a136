/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A throw-away project with plain git at its side, and a small walker that says what an overlay's
 * upper would hold after the project was edited. */
#pragma once

#include <check.h>
#include <glib.h>
#include "patch/patch.h"

typedef struct {
    char *dir;        /* all below; removed at the end */
    char *project;    /* the directory as the task found it */
    char *box;        /* the copy that is edited */
    char *repository; /* plain git's directory for both */
    char *base_index, *base_tree;
    bool sha256; /* set before fixture_start */
    TbGit *git;  /* the private one, borrowing from `repository` */
} Fixture;

/* For info/attributes: plain git leaves bytes as they are, as the base tree does. */
#define PLAIN_ATTRIBUTES "* -text -ident -filter -working-tree-encoding\n"

/* mkdtemp and an empty project. */
void fixture_start(Fixture *f);
/* The project is filled: base tree, private git, box = copy of the project. */
void fixture_base(Fixture *f);
void fixture_stop(Fixture *f);

/* Runs a program to the end and gives its stdout, last newline off; the test fails when it does. */
char *run(const char *const *argv, const char *cwd, const char *const *env);
#define RUN(cwd, ...) run((const char *const[]){__VA_ARGS__, NULL}, cwd, NULL)
/* The same for git with a work tree and an index. */
char *git_in(Fixture *f, const char *worktree, const char *index, const char *const *argv);
#define GIT(f, worktree, index, ...)                                                               \
    git_in(f, worktree, index, (const char *const[]){"git", __VA_ARGS__, NULL})
int run_status(const char *const *argv, const char *cwd);

void put_file(const char *dir, const char *path, const void *data, gssize length, int mode);
#define PUT(dir, path, text) put_file(dir, path, text, -1, 0644)
/* The tree that plain git makes of a directory: tracked and not ignored files. */
char *tree_of(Fixture *f, const char *dir);
/* Every path below with kind, mode and content; directories, too; `.git` left out. */
char *snapshot(const char *dir);
void copy_dir(const char *from, const char *to);

/* Feeds the walk project -> box. `random` (may be NULL) chooses among equivalent forms. */
void feed_walk(Fixture *f, TbChanges *changes, GRand *random);
/* Entries by hand. Returns what tb_changes_add returns. */
bool feed(TbChanges *changes, TbEntryKind kind, const char *path, GError **error);
/* The same, where nothing can go wrong; a file of `text`'s size with permissions `mode`. */
void add_path(TbChanges *changes, TbEntryKind kind, const char *path);
void add_file(TbChanges *changes, const char *path, const char *text, int mode);
/* Each wanted file gets the first bytes of `text`; the result tree. */
char *finish_tree(Fixture *f, TbChanges *changes, const char *text);
/* "MODE PATH" lines of a tree, paths as git quotes them. */
char *list_tree(Fixture *f, const char *tree);
/* Gives the wanted files their bytes from `dir`. */
void feed_files(TbChanges *changes, const char *dir);
TbChanges *changes_for(Fixture *f);
/* walk + files + result tree. */
char *result_of_walk(Fixture *f, GRand *random);

/* tb_patch_write to dir/name.patch with a subject. Returns the path. */
char *write_patch_file(Fixture *f, const char *result, const char *subject, TbPatchStat *stat);
/* Applies a patch file to a copy of the project with `git apply`, and to a clone with `git am`;
 * returns the tree that came of it. */
char *tree_by_git_apply(Fixture *f, const char *patch);
char *tree_by_git_am(Fixture *f, const char *patch, char **message);

bool has_note(const TbChanges *changes, const char *part);
