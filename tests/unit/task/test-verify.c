/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A patch file proved without its task: where the base is in a repository, where it is what the
 * files are, and where it is not. */
#include "fixture.h"

#include <string.h>
#include <sys/wait.h>

#include "task/verify.h"
#include "util/auto.h"
#include "util/git.h"

static char *project;

/* Runs a script in the project with plain git. g_free. */
static char *sh(const char *script)
{
    const char *argv[] = {"/bin/sh", "-ec", script, NULL};
    g_auto(GStrv) env = g_get_environ();
    static const char *const more[][2] = {
        {"HOME", "/nonexistent"},    {"GIT_CONFIG_NOSYSTEM", "1"},
        {"GIT_AUTHOR_NAME", "a"},    {"GIT_AUTHOR_EMAIL", "a@b.c"},
        {"GIT_COMMITTER_NAME", "a"}, {"GIT_COMMITTER_EMAIL", "a@b.c"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(more); i++)
        env = g_environ_setenv(env, more[i][0], more[i][1], TRUE);
    char *out = NULL;
    int status = 0;
    ck_assert(g_spawn_sync(project, (char **)argv, env, G_SPAWN_DEFAULT, NULL, NULL, &out, NULL,
                           &status, NULL));
    ck_assert_msg(status == 0, "%s", script);
    return g_strchomp(out);
}

/* A project (a repository with one commit, or plain files) and the patch that makes two of one. */
static void make(bool repository)
{
    project = g_build_filename(root, "project", NULL);
    ck_assert_int_eq(g_mkdir_with_parents(project, 0755), 0);
    g_free(sh("echo one > text; git init -q g; export GIT_DIR=$PWD/g/.git GIT_WORK_TREE=$PWD; "
              "git add text; git write-tree > ../base; echo two > text; git add text; "
              "git write-tree > ../result; echo one > text; "
              "git diff-tree -p --full-index --binary $(cat ../base) $(cat ../result) > ../diff; "
              "rm -rf g"));
    if (repository)
        g_free(sh("git init -q; git add text; git commit -qm one"));
    g_free(
        sh("cd ..; { echo 'From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 "
           "2001'; echo 'From: a <a@b>'; echo 'Date: Tue, 14 Nov 2023 22:13:20 +0000'; "
           "echo 'Subject: [PATCH] x'; echo 'MIME-Version: 1.0'; "
           "echo 'Content-Type: text/plain; charset=UTF-8'; "
           "echo 'Content-Transfer-Encoding: 8bit'; echo; echo 'Taskbox-Task: t'; "
           "echo \"Taskbox-Base-Tree: $(cat base)\"; echo \"Taskbox-Result-Tree: $(cat result)\"; "
           "echo \"Taskbox-Diff-SHA256: $(sha256sum diff | cut -c1-64)\"; echo ---; cat diff; "
           "echo '-- '; echo 'taskbox 0.1.0'; echo; } > patch"));
}

static TbErrorCode verify(bool *from_files)
{
    g_autofree char *path = g_build_filename(root, "patch", NULL);
    tb_autofd fd = open(path, O_RDONLY | O_CLOEXEC);
    g_autoptr(GError) error = NULL;
    g_autofree char *before = sh("find . -printf '%p %T@ %s\\n' | sort");
    g_autoptr(TbPatchInfo) info = tb_verify_patch(fd, project, from_files, &error);
    g_autofree char *after = sh("find . -printf '%p %T@ %s\\n' | sort");
    ck_assert_str_eq(before, after);
    ck_assert((info != NULL) == (error == NULL));
    return info ? (TbErrorCode)-1 : tb_error_code(error);
}

#define FINE ((TbErrorCode)-1)

START_TEST(test_base_in_the_repository)
{
    bool from_files = true;
    make(true);
    g_free(sh("echo later > text; git commit -qam later; rm text"));
    ck_assert_int_eq(verify(&from_files), FINE);
    ck_assert(!from_files);
}
END_TEST

START_TEST(test_base_is_the_files)
{
    bool from_files = false;
    make(_i);
    if (_i) /* another commit; the files are as at the beginning */
        g_free(sh("echo x > x; git add x; git commit -q --amend -m x; rm x; git reflog expire "
                  "--expire=now --all; git gc -q --prune=now"));
    ck_assert_int_eq(verify(&from_files), FINE);
    ck_assert(from_files);
}
END_TEST

START_TEST(test_no_base)
{
    make(false);
    g_free(sh("echo other > text"));
    ck_assert_int_eq(verify(NULL), TB_ERROR_NOT_FOUND);
}
END_TEST

START_TEST(test_other_format)
{
    make(false);
    g_free(sh("git init -q --object-format=sha256; git add text; git commit -qm one"));
    ck_assert_int_eq(verify(NULL), TB_ERROR_NOT_FOUND);
}
END_TEST

/* The patch is whole, but does not do what it says. */
START_TEST(test_lie)
{
    make(true);
    g_free(
        sh("sed -i \"s/^Taskbox-Result-Tree: .*/Taskbox-Result-Tree: $(cat ../base)/\" ../patch"));
    ck_assert_int_eq(verify(NULL), TB_ERROR_VERIFY);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("verify");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, test_base_in_the_repository);
    tcase_add_loop_test(cases, test_base_is_the_files, 0, 2);
    tcase_add_test(cases, test_no_base);
    tcase_add_test(cases, test_other_format);
    tcase_add_test(cases, test_lie);
    return suite_run_case("task verify", cases);
}
