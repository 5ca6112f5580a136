/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files of a git directory go along with the project's: all or nothing, also when killed anywhere,
 * and never past a lock. */
#include "../suite.h"
#include "fixture.h"
#include "review/apply-testing.h"
#include "review/apply.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/error.h"

static Fixture f;
static char *result, *scratch, *repo, *repo_before, *before;

static void setup(void)
{
    f = (Fixture){0};
    fixture_start(&f);
    PUT(f.project, "edit", "one\n");
    fixture_base(&f);
    PUT(f.box, "edit", "two\n");
    PUT(f.box, "new/file", "x\n");
    result = result_of_walk(&f, NULL);
    scratch = g_build_filename(f.dir, "scratch", NULL);
    repo = g_build_filename(f.dir, "repo", NULL);
    PUT(repo, "index", "old index\n");
    PUT(repo, "refs/heads/gone", "gone\n");
    repo_before = snapshot(repo);
    before = snapshot(f.project);
}

static void teardown(void)
{
    tb_apply_testing_fault(-1, false);
    g_free(result);
    g_free(scratch);
    g_free(repo);
    g_free(repo_before);
    g_free(before);
    fixture_stop(&f);
}

static GBytes *text(const char *bytes)
{
    return g_bytes_new_static(bytes, strlen(bytes));
}

/* One replaced, one removed, one made where there is not even a directory. */
static bool apply(bool files, TbApplyOutcome *outcome, GError **error)
{
    g_autoptr(GBytes) old = text("old index\n"), index = text("new index\n");
    g_autoptr(GBytes) gone = text("gone\n"), ref = text("made\n");
    g_autoptr(GPtrArray) swaps = tb_swaps_new();
    g_ptr_array_add(swaps, tb_swap_new(repo, "index", old, index));
    g_ptr_array_add(swaps, tb_swap_new(repo, "refs/heads/gone", gone, NULL));
    g_ptr_array_add(swaps, tb_swap_new(repo, "refs/heads/a/b", NULL, ref));
    TbApplyOptions options = {.swaps = swaps};
    return tb_apply_with(f.git, f.base_tree, files ? result : f.base_tree, f.project, scratch,
                         &options, outcome, NULL, error);
}

static void expect_file(const char *name, const char *content)
{
    g_autofree char *path = g_build_filename(repo, name, NULL), *is = NULL;
    g_file_get_contents(path, &is, NULL, NULL);
    ck_assert_pstr_eq(is, content);
}

static bool is_done(void)
{
    g_autofree char *names = RUN(repo, "find", ".", "-name", "*taskbox*", "-o", "-name", "*.lock");
    ck_assert_str_eq(names, "");
    g_autofree char *index = g_build_filename(repo, "index", NULL), *is = NULL;
    ck_assert(g_file_get_contents(index, &is, NULL, NULL));
    return strcmp(is, "new index\n") == 0;
}

static void expect_before(void)
{
    expect_file("index", "old index\n");
    expect_file("refs/heads/gone", "gone\n");
    expect_file("refs/heads/a/b", NULL);
    g_autofree char *now = snapshot(f.project);
    ck_assert_str_eq(now, before);
}

static void expect_after(void)
{
    expect_file("index", "new index\n");
    expect_file("refs/heads/gone", NULL);
    expect_file("refs/heads/a/b", "made\n");
    g_autofree char *box = snapshot(f.box), *now = snapshot(f.project);
    ck_assert_str_eq(now, box);
}

START_TEST(applies)
{
    TbApplyOutcome outcome;
    g_autoptr(GError) error = NULL;
    ck_assert_msg(apply(true, &outcome, &error), "%s", error ? error->message : "");
    ck_assert_int_eq(outcome, TB_APPLY_DONE);
    ck_assert(is_done());
    expect_after();
}
END_TEST

START_TEST(without_files)
{
    TbApplyOutcome outcome;
    ck_assert(apply(false, &outcome, NULL));
    ck_assert_int_eq(outcome, TB_APPLY_DONE);
    ck_assert(is_done());
    g_autofree char *now = snapshot(f.project);
    ck_assert_str_eq(now, before);
}
END_TEST

START_TEST(locked)
{
    TbApplyOutcome outcome;
    g_autoptr(GError) error = NULL;
    PUT(repo, "refs/heads/gone.lock", "");
    ck_assert(!apply(true, &outcome, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_BUSY);
    ck_assert_ptr_nonnull(strstr(error->message, "refs/heads/gone.lock"));
    expect_before();
    expect_file("refs/heads/gone.lock", "");
    expect_file("index.lock", NULL);
}
END_TEST

START_TEST(changed)
{
    TbApplyOutcome outcome;
    g_autoptr(GError) error = NULL;
    PUT(repo, "refs/heads/a/b", "other\n");
    ck_assert(!apply(true, &outcome, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFLICT);
    expect_file("refs/heads/a/b", "other\n");
    ck_assert(!is_done());
}
END_TEST

/* A link that a project planted leads nowhere. */
START_TEST(linked_parent)
{
    TbApplyOutcome outcome;
    g_autoptr(GError) error = NULL;
    g_autofree char *outside = g_build_filename(f.dir, "outside", NULL);
    ck_assert_int_eq(g_mkdir_with_parents(outside, 0755), 0);
    g_free(RUN(repo, "ln", "-s", outside, "refs/heads/a"));
    ck_assert(!apply(true, &outcome, &error));
    ck_assert(!is_done());
    g_autofree char *there = RUN(outside, "ls", "-A");
    ck_assert_str_eq(there, "");
}
END_TEST

START_TEST(failure_at_every_point)
{
    TbApplyOutcome outcome;
    int point = 0;
    for (;; point++) {
        ck_assert_int_lt(point, 100);
        tb_apply_testing_fault(point, false);
        if (apply(true, &outcome, NULL))
            break;
        ck_assert(!is_done());
        expect_before();
    }
    ck_assert_int_gt(point, 12);
    tb_apply_testing_fault(-1, false);
    ck_assert(tb_apply_recover(f.project, scratch, NULL));
    ck_assert(is_done());
    expect_after();
}
END_TEST

static bool killed_at(int point)
{
    pid_t child = fork();
    if (child == 0) {
        TbApplyOutcome outcome;
        tb_apply_testing_fault(point, true);
        _exit(apply(true, &outcome, NULL) ? 0 : 1);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

START_TEST(kill_at_every_point)
{
    int point = 0;
    bool done = false;
    for (; !done; point++) {
        g_autoptr(GError) error = NULL;
        ck_assert_int_lt(point, 100);
        ck_assert(killed_at(point));
        ck_assert_msg(tb_apply_recover(f.project, scratch, &error), "%s",
                      error ? error->message : "");
        done = is_done();
        if (!done)
            expect_before();
    }
    ck_assert_int_gt(point, 12);
    expect_after();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("swap");
    TCase *tests = tcase_create("swap");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, applies);
    tcase_add_test(tests, without_files);
    tcase_add_test(tests, locked);
    tcase_add_test(tests, changed);
    tcase_add_test(tests, linked_parent);
    tcase_add_test(tests, failure_at_every_point);
    tcase_add_test(tests, kill_at_every_point);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
