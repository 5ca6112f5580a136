/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Temporary projects for the tests of src/project, made by a shell and the real git. */
#pragma once

#include <check.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../suite.h"
#include "project/private.h"
#include "util/error.h"
#include "util/fs.h"

static char *top; /* of all that a test makes: top/home, top/cache, top/p (the project) */

/* Runs a script in top; its output without the last newline. A failure fails the test. */
static inline char *shell(const char *format, ...) G_GNUC_PRINTF(1, 2);
static inline char *shell(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *script = g_strdup_vprintf(format, args);
    va_end(args);
    const char *argv[] = {"/bin/bash", "-ec", script, NULL};
    g_autofree char *path = g_strdup_printf("PATH=%s", g_getenv("PATH"));
    g_autofree char *home = g_strdup_printf("HOME=%s/home", top);
    const char *env[] = {path,
                         home,
                         "LC_ALL=C",
                         "GIT_CONFIG_NOSYSTEM=1",
                         "GIT_AUTHOR_NAME=a",
                         "GIT_AUTHOR_EMAIL=a@example.com",
                         "GIT_COMMITTER_NAME=a",
                         "GIT_COMMITTER_EMAIL=a@example.com",
                         NULL};
    char *out = NULL, *err = NULL;
    int status = 0;
    g_autoptr(GError) error = NULL;
    ck_assert_msg(g_spawn_sync(top, (char **)argv, (char **)env, G_SPAWN_DEFAULT, NULL, NULL, &out,
                               &err, &status, &error),
                  "%s", error ? error->message : "");
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "script failed: %s\n%s", script,
                  err);
    g_free(err);
    g_strchomp(out);
    return out;
}

/* The same for its effects only. */
#define run(...) g_free(shell(__VA_ARGS__))

static inline void setup(void)
{
    top = g_dir_make_tmp("tb-project-XXXXXX", NULL);
    ck_assert_ptr_nonnull(top);
    g_autofree char *real = realpath(top, NULL);
    g_free(top);
    top = g_strdup(real);
    g_autofree char *home = g_build_filename(top, "home", NULL);
    g_autofree char *cache = g_build_filename(top, "cache", NULL);
    g_setenv("HOME", home, TRUE);
    g_setenv("XDG_CACHE_HOME", cache, TRUE);
    g_unsetenv("XDG_CONFIG_HOME");
    run("mkdir home p; git config --global init.defaultBranch main; "
        "git config --global protocol.file.allow always; git config --global safe.directory '*'");
}

static inline void teardown(void)
{
    ck_assert(tb_remove_tree(AT_FDCWD, top, NULL));
    g_free(top);
}

static inline char *in_top(const char *name)
{
    return g_build_filename(top, name, NULL);
}

static inline TbProject *open_project(const char *name)
{
    g_autofree char *path = in_top(name);
    g_autoptr(GError) error = NULL;
    TbProject *project = tb_project_open(path, &error);
    ck_assert_msg(project != NULL, "%s", error ? error->message : "");
    return project;
}

static inline TbScan *scan_project(TbProject *project)
{
    g_autoptr(GError) error = NULL;
    TbScan *scan = tb_scan_new(project, &error);
    ck_assert_msg(scan != NULL, "%s", error ? error->message : "");
    return scan;
}

/* The base tree of a scan; the git directory stays at top/NAME. */
static inline char *base_tree_at(TbProject *project, TbScan *scan, const char *name,
                                 GPtrArray *notes)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) alternates = tb_project_alternates(project, &error);
    g_autofree char *path = in_top(name);
    g_autofree char *index = g_build_filename(path, "base-index", NULL);
    g_autoptr(TbGit) git =
        tb_git_create(path, tb_project_sha256(project), (const char *const *)alternates, &error);
    ck_assert_msg(git != NULL, "%s", error ? error->message : "");
    char *tree = tb_project_base_tree(project, scan, git, index, notes, &error);
    ck_assert_msg(tree != NULL, "%s", error ? error->message : "");
    return tree;
}

static inline char *base_tree(const char *name, GPtrArray *notes)
{
    static unsigned count;
    g_autoptr(TbProject) project = open_project(name);
    g_autoptr(TbScan) scan = scan_project(project);
    g_autoptr(GPtrArray) own = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *git = g_strdup_printf("git%u", count++);
    return base_tree_at(project, scan, git, notes ? notes : own);
}

/* Everything that could change in a directory, in text. */
static inline char *fingerprint(const char *name)
{
    return shell("cd %s; find . -printf '%%p %%y %%m %%s %%T@ %%C@ %%i %%l\\n' | sort; "
                 "find . -type f -print0 | sort -z | xargs -0r sha256sum",
                 name);
}

static inline bool has_line(const GPtrArray *lines, const char *start)
{
    for (guint i = 0; i < lines->len; i++)
        if (g_str_has_prefix(lines->pdata[i], start))
            return true;
    return false;
}

static inline int run_suite(const char *name, const TTest *const *tests, size_t count)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 240);
    tcase_add_checked_fixture(tcase, setup, teardown);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
