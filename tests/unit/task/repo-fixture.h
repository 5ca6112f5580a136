/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A project that is a git repository, and trees of it in a task's directory. */
#pragma once

#include "fixture.h"

#include <string.h>

#include "task/store.h"
#include "util/git.h"

static char *project, *task_git;

/* Runs a script in the project; its stdout without the last newline. */
static inline char *sh(const char *script)
{
    const char *argv[] = {"sh", "-euc", script, NULL};
    char *out = NULL;
    GError *error = NULL;
    int status = 0;
    bool ok = g_spawn_sync(project, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out,
                           NULL, &status, &error);
    ck_assert_msg(ok, "%s", error ? error->message : "");
    ck_assert_msg(g_spawn_check_wait_status(status, NULL), "failed: %s\n%s", script, out);
    return g_strchomp(out);
}

static inline void expect(const char *script, const char *wanted)
{
    g_autofree char *got = sh(script);
    ck_assert_msg(strcmp(got, wanted) == 0, "%s: '%s', not '%s'", script, got, wanted);
}

#define DO(script) g_free(sh(script))

static inline void environment(void)
{
    g_setenv("HOME", root, TRUE);
    g_setenv("GIT_CONFIG_NOSYSTEM", "1", TRUE);
    g_setenv("GIT_AUTHOR_NAME", "Tester", TRUE);
    g_setenv("GIT_AUTHOR_EMAIL", "tester@example.org", TRUE);
    g_setenv("GIT_COMMITTER_NAME", "Tester", TRUE);
    g_setenv("GIT_COMMITTER_EMAIL", "tester@example.org", TRUE);
    g_unsetenv("XDG_CONFIG_HOME");
}

static inline void make_project(const char *init)
{
    environment();
    project = g_build_filename(root, "project", NULL);
    ck_assert_int_eq(g_mkdir_with_parents(project, 0755), 0);
    DO(init);
    DO("printf 'one\\n' >text; mkdir dir; printf 'gone\\n' >dir/gone; printf 'other\\n' >other");
}

static inline void commit_all(void)
{
    DO("git add -A; git commit -q -m First");
}

/* The tree of the files as they are, its objects in the task's directory only. */
static inline char *tree_now(void)
{
    g_autofree char *script = g_strdup_printf(
        "export GIT_INDEX_FILE=%s/index-of-test GIT_OBJECT_DIRECTORY=%s/objects; "
        "GIT_ALTERNATE_OBJECT_DIRECTORIES=$(git rev-parse --git-common-dir)/objects; "
        "export GIT_ALTERNATE_OBJECT_DIRECTORIES; git add -A; git write-tree",
        task_git, task_git);
    return sh(script);
}

/* A task on the project as it is now, without a result. */
static inline TbTask *task_begin(void)
{
    TbTask *task = new_task();
    task_git = tb_task_path(task, "git");
    g_autofree char *objects = sh("cd \"$(git rev-parse --git-common-dir)\"/objects; pwd -P");
    g_autofree char *format = sh("git rev-parse --show-object-format");
    const char *alternates[] = {objects, NULL};
    g_autoptr(TbGit) git = tb_git_create(task_git, strcmp(format, "sha256") == 0, alternates, NULL);
    ck_assert_ptr_nonnull(git);
    g_autofree char *head = sh("git rev-parse -q --verify HEAD || :");
    task->base_commit = *head ? g_strdup(head) : NULL;
    task->base_tree = tree_now();
    task->project_root = realpath(project, NULL);
    task->prompt = g_strdup("make it better\n\nand well");
    return task;
}
