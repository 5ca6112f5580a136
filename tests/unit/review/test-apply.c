/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Apply: all or nothing, drift by name, never through a link, and back again after a kill at every
 * single step. */
#include "../suite.h"
#include "fixture.h"
#include "review/apply-testing.h"
#include "review/apply.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/error.h"

static Fixture f;
static char *result, *scratch, *before, *after;

static void setup(void)
{
    f = (Fixture){0};
    fixture_start(&f);
    PUT(f.project, ".gitignore", "*.log\n");
    PUT(f.project, "keep", "untouched\n");
    PUT(f.project, "edit", "one\ntwo\n");
    PUT(f.project, "gone/deep/file", "x\n");
    PUT(f.project, "gone/deep/other", "x\n");
    PUT(f.project, "stays/file", "x\n");
    PUT(f.project, "stays/out.log", "ignored\n");
    PUT(f.project, "to-file/a/b", "x\n");
    PUT(f.project, "to-dir", "x\n");
    PUT(f.project, "to-link", "x\n");
    put_file(f.project, "script", "#!/bin/sh\n", -1, 0755);
    fixture_base(&f);
    PUT(f.box, "edit", "one\nTWO\n");
    g_free(RUN(f.box, "rm", "-r", "gone", "stays", "to-file", "to-dir", "to-link"));
    PUT(f.box, "to-file", "file\n");
    PUT(f.box, "to-dir/new/file", "x\n");
    g_free(RUN(f.box, "ln", "-s", "keep", "to-link"));
    put_file(f.box, "script", "#!/bin/sh\n", -1, 0644);
    PUT(f.box, "new/deep/er/file", "new\n");
    put_file(f.box, "new/tool", "#!/bin/sh\n", -1, 0755);
    result = result_of_walk(&f, NULL);
    scratch = g_build_filename(f.dir, "scratch", NULL);
    before = snapshot(f.project);
    after = NULL;
}

static void teardown(void)
{
    tb_apply_testing_fault(-1, false);
    g_free(result);
    g_free(scratch);
    g_free(before);
    g_free(after);
    fixture_stop(&f);
}

static bool apply(bool check, TbApplyOutcome *outcome, GPtrArray **drift, GError **error)
{
    return tb_apply(f.git, f.base_tree, result, f.project, scratch, check, outcome, drift, error);
}

static void expect_unchanged(void)
{
    g_autofree char *now = snapshot(f.project);
    ck_assert_str_eq(now, before);
}

static void expect_no_leftovers(void)
{
    g_autofree char *names = RUN(f.project, "ls", "-A");
    ck_assert_ptr_null(strstr(names, "taskbox"));
    g_autofree char *journal = g_build_filename(scratch, "apply-journal", NULL);
    ck_assert(!g_file_test(journal, G_FILE_TEST_EXISTS));
}

static void expect_applied(void)
{
    g_autofree char *tree = tree_of(&f, f.project);
    ck_assert_str_eq(tree, result);
    expect_no_leftovers();
}

START_TEST(applies)
{
    g_autoptr(GError) error = NULL;
    TbApplyOutcome outcome = TB_APPLY_DONE;
    g_autofree char *private = g_build_filename(f.project, "edit", NULL);
    ck_assert_int_eq(chmod(private, 0600), 0);
    g_free(before);
    before = snapshot(f.project);
    ck_assert(apply(true, &outcome, NULL, &error));
    ck_assert_int_eq(outcome, TB_APPLY_CLEAN);
    expect_unchanged();
    umask(027);
    ck_assert_msg(apply(false, &outcome, NULL, &error), "%s", error ? error->message : "");
    ck_assert_int_eq(outcome, TB_APPLY_DONE);
    expect_applied();
    static const struct {
        const char *path;
        mode_t mode;
    } modes[] = {{"edit", 0600}, {"script", 0640}, {"new/tool", 0750}, {"new/deep", 0750}};
    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        g_autofree char *path = g_build_filename(f.project, modes[i].path, NULL);
        struct stat st;
        ck_assert_int_eq(lstat(path, &st), 0);
        ck_assert_int_eq(st.st_mode & 07777, modes[i].mode);
    }
    /* A directory with an ignored file in it stays, one without goes. */
    g_free(RUN(f.project, "test", "-e", "stays/out.log"));
    g_free(RUN(f.project, "test", "!", "-e", "gone"));
    ck_assert(apply(false, &outcome, NULL, &error));
    ck_assert_int_eq(outcome, TB_APPLY_ALREADY);
    ck_assert(apply(true, &outcome, NULL, &error));
    ck_assert_int_eq(outcome, TB_APPLY_ALREADY);
}
END_TEST

static void expect_drift(const char *part)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) drift = NULL;
    TbApplyOutcome outcome;
    g_free(before);
    before = snapshot(f.project);
    for (int check = 0; check < 2; check++) {
        g_clear_pointer(&drift, g_ptr_array_unref);
        g_clear_error(&error);
        ck_assert(!apply(check, &outcome, &drift, &error));
        ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFLICT);
        ck_assert_ptr_nonnull(drift);
        bool found = false;
        for (guint i = 0; i < drift->len; i++)
            found |= strstr(drift->pdata[i], part) != NULL;
        ck_assert_msg(found, "'%s' not in '%s' (%u lines)", part, (char *)drift->pdata[0],
                      drift->len);
        expect_unchanged();
        expect_no_leftovers();
    }
}

static const char *const drifts[][2] = {
    {"echo more >> edit", "'edit' has other content"},
    {"rm edit", "'edit' is gone"},
    {"rm edit; mkdir edit", "'edit' is a directory now"},
    {"rm edit; mkfifo edit", "'edit' is no file any more"},
    {"cp edit e; rm edit; ln -s e edit", "'edit' is a symbolic link now"},
    {"chmod +x edit", "'edit' has another executable bit"},
    {"printf 'one\\nTWO\\n' > edit", "'edit' is already as the patch makes it"},
    {"mkdir new; echo mine > new/tool", "'new/tool' is in the way"},
    {"mkdir -p new/tool; echo mine > new/tool/x", "'new/tool/x' is in the way"},
    {"echo mine > new", "'new' is no directory"},
    {"ln -s /tmp new", "'new' is no directory"},
    {"ln -s stays new", "'new' is no directory"},
    {"mv gone elsewhere; ln -s elsewhere gone", "'gone/deep/file' is gone"},
    {"echo mine > to-file/a/mine", "'to-file/a/mine' is in the way"},
    {"echo mine > to-file/a/mine.log", "'to-file/a/mine.log' is in the way"},
    {"ln -s /etc to-file/link", "'to-file/link' is in the way"},
    {"rm to-link; ln -s keep to-link; echo x >> edit", "'edit' has other content"},
    {"rm gone/deep/other", "'gone/deep/other' is gone"},
};

START_TEST(drift_is_named)
{
    g_free(RUN(f.project, "sh", "-c", drifts[_i][0]));
    expect_drift(drifts[_i][1]);
}
END_TEST

/* What the patch does not touch may be as it likes. */
START_TEST(other_changes_stay)
{
    g_autoptr(GError) error = NULL;
    TbApplyOutcome outcome;
    PUT(f.project, "keep", "the user's own edit\n");
    PUT(f.project, "mine", "untracked\n");
    g_free(RUN(f.project, "mkdir", "-p", "to-file/a/empty/dir", "new/deep"));
    ck_assert_msg(apply(false, &outcome, NULL, &error), "%s", error ? error->message : "");
    g_autofree char *keep = RUN(f.project, "cat", "keep", "mine");
    ck_assert_str_eq(keep, "the user's own edit\nuntracked");
    expect_no_leftovers();
}
END_TEST

/* Every point of failure: with an error nothing has changed. */
START_TEST(failure_at_every_point)
{
    g_autoptr(GError) error = NULL;
    TbApplyOutcome outcome;
    bool done = false;
    int point = 0;
    for (; !done; point++) {
        ck_assert_int_lt(point, 200);
        tb_apply_testing_fault(point, false);
        done = apply(false, &outcome, NULL, &error);
        if (done)
            break;
        ck_assert_ptr_nonnull(strstr(error->message, "a test stopped"));
        g_clear_error(&error);
        expect_unchanged();
        expect_no_leftovers();
    }
    ck_assert_int_gt(point, 25);
    ck_assert_int_eq(tb_apply_testing_passed(), point + 1);
    /* The last one comes when all is done: only cleaning was left. */
    tb_apply_testing_fault(-1, false);
    ck_assert(tb_apply_recover(f.project, scratch, &error));
    expect_applied();
}
END_TEST

/* Returns false when the child came to its end. */
static bool killed_at(int point)
{
    pid_t child = fork();
    if (child == 0) {
        TbApplyOutcome outcome;
        tb_apply_testing_fault(point, true);
        _exit(apply(false, &outcome, NULL, NULL) ? 0 : 1);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return true;
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return false;
}

START_TEST(kill_at_every_point)
{
    g_autoptr(GError) error = NULL;
    int point = 0;
    bool applied = false;
    for (; killed_at(point); point++) {
        ck_assert_int_lt(point, 200);
        bool ok = tb_apply_recover(f.project, scratch, &error);
        ck_assert_msg(ok, "point %d: %s", point, error ? error->message : "");
        expect_no_leftovers();
        ck_assert(tb_apply_recover(f.project, scratch, &error));
        g_autofree char *now = snapshot(f.project);
        if (strcmp(now, before) != 0) {
            expect_applied();
            applied = true;
            break;
        }
    }
    ck_assert_int_gt(point, 25);
    ck_assert(applied);
}
END_TEST

/* An apply finds what a killed one has left, too. */
START_TEST(apply_recovers_first)
{
    g_autoptr(GError) error = NULL;
    TbApplyOutcome outcome;
    ck_assert(killed_at(15));
    ck_assert_msg(apply(false, &outcome, NULL, &error), "%s", error ? error->message : "");
    ck_assert_int_eq(outcome, TB_APPLY_DONE);
    expect_applied();
}
END_TEST

/* Killed on the way back, too: recovery can be repeated. */
START_TEST(user_edits_after_kill)
{
    g_autoptr(GError) error = NULL;
    int point = 3;
    /* Let all be moved, not declared done. */
    g_autofree char *tool = g_build_filename(f.project, "to-dir/new/file", NULL);
    while (killed_at(point) && !g_file_test(tool, G_FILE_TEST_EXISTS)) {
        ck_assert(tb_apply_recover(f.project, scratch, &error));
        point++;
    }
    PUT(f.project, "edit", "the user's new work\n");
    ck_assert(!tb_apply_recover(f.project, scratch, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFLICT);
    ck_assert_ptr_nonnull(strstr(error->message, "'edit' (kept as '.taskbox-apply-"));
    g_autofree char *work = RUN(f.project, "cat", "edit");
    ck_assert_str_eq(work, "the user's new work");
    g_autofree char *kept = RUN(f.project, "sh", "-c", "cat .taskbox-apply-*/o*");
    ck_assert_str_eq(kept, "one\ntwo");
    g_clear_error(&error);
    ck_assert(tb_apply_recover(f.project, scratch, &error));
}
END_TEST

START_TEST(unwritable_directory)
{
    g_autoptr(GError) error = NULL;
    TbApplyOutcome outcome;
    bool root = geteuid() == 0;
    /* Root may write everywhere, so it becomes somebody else for a moment. */
    ck_assert_int_eq(chmod(f.project, 0555), 0);
    ck_assert(!root || (setegid(65534) == 0 && seteuid(65534) == 0));
    bool done = apply(false, &outcome, NULL, &error);
    ck_assert(!root || (seteuid(0) == 0 && setegid(0) == 0));
    ck_assert_int_eq(chmod(f.project, 0755), 0);
    ck_assert(!done);
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_DENIED);
    expect_unchanged();
}
END_TEST

static const char *meanwhile;

static void change_meanwhile(void)
{
    g_free(RUN(f.project, "sh", "-c", meanwhile));
    g_free(before);
    before = snapshot(f.project);
}

/* Everything was compared and staged; now the project changes before the first move. */
START_TEST(changes_between_check_and_move)
{
    static const char *const scripts[] = {
        "echo the user saved this > edit",
        "echo the user saved this > e; mv e edit",
        "rm edit",
        "mv gone elsewhere; ln -s elsewhere gone",
        "mv gone ../elsewhere; ln -s ../elsewhere gone",
        "mkdir -p new/deep/er; echo mine > new/deep/er/file",
        "ln -s stays new",
        "echo mine > to-file/a/mine",
    };
    g_autoptr(GError) error = NULL;
    TbApplyOutcome outcome;
    meanwhile = scripts[_i];
    /* The staging directory is there at that point and must be gone at the end. */
    tb_apply_testing_call(3, change_meanwhile);
    ck_assert(!apply(false, &outcome, NULL, &error));
    ck_assert_msg(tb_error_code(error) == TB_ERROR_CONFLICT, "%s", error->message);
    expect_no_leftovers();
    g_autofree char *now = snapshot(f.project);
    g_auto(GStrv) lines = g_strsplit(before, "\n", -1);
    g_autoptr(GString) kept = g_string_new(NULL);
    for (char **line = lines; *line && **line; line++)
        if (!strstr(*line, ".taskbox-apply-"))
            g_string_append_printf(kept, "%s\n", *line);
    ck_assert_str_eq(now, kept->str);
}
END_TEST

static char *tree_with(const char *mode, const char *path)
{
    g_autofree char *index = g_build_filename(f.dir, "evil-index", NULL);
    g_autofree char *blob = GIT(&f, f.project, f.base_index, "rev-parse", ":keep");
    unlink(index);
    g_autofree char *name = g_path_get_basename(path);
    bool module = strcmp(mode, "160000") == 0;
    g_autofree char *commit = g_strnfill(40, '1');
    g_autofree char *line = g_strdup_printf("%s %s %s\t%s\n", mode, module ? "commit" : "blob",
                                            module ? commit : blob, name);
    PUT(f.dir, "tree.txt", line);
    g_autofree char *command = g_strdup_printf("git mktree --missing < %s/tree.txt", f.dir);
    const char *const argv[] = {"sh", "-c", command, NULL};
    char *tree = git_in(&f, f.project, index, argv);
    for (g_autofree char *dir = g_path_get_dirname(path); strcmp(dir, ".") != 0;) {
        g_autofree char *top = g_path_get_basename(dir);
        g_autofree char *above = g_strdup_printf("040000 tree %s\t%s\n", tree, top);
        PUT(f.dir, "tree.txt", above);
        g_free(tree);
        tree = git_in(&f, f.project, index, argv);
        char *next = g_path_get_dirname(dir);
        g_free(dir);
        dir = next;
    }
    return tree;
}

/* P1: trees that git's own mktree makes, with paths that must never be written. */
START_TEST(hostile_trees)
{
    static const struct {
        const char *mode, *path;
        TbErrorCode code;
    } evil[] = {
        {"100755", ".git/hooks/pre-commit", TB_ERROR_DENIED},
        {"100644", ".GIT/config", TB_ERROR_DENIED},
        {"100644", "sub/git~1/config", TB_ERROR_DENIED},
        {"100644", "a/../../out", TB_ERROR_DENIED},
        {"100644", "..", TB_ERROR_DENIED},
        {"120000", ".gitmodules", TB_ERROR_DENIED},
        {"160000", "module", TB_ERROR_UNSUPPORTED},
    };
    g_autofree char *empty = tree_with("100644", "only");
    for (size_t i = 0; i < G_N_ELEMENTS(evil); i++) {
        g_autoptr(GError) error = NULL;
        TbApplyOutcome outcome;
        g_autofree char *tree = tree_with(evil[i].mode, evil[i].path);
        ck_assert_msg(
            !tb_apply(f.git, empty, tree, f.project, scratch, false, &outcome, NULL, &error), "%s",
            evil[i].path);
        ck_assert_msg(tb_error_code(error) == evil[i].code, "%s: %s", evil[i].path, error->message);
        expect_unchanged();
    }
}
END_TEST

START_TEST(wrong_root)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *link = g_build_filename(f.dir, "link", NULL);
    TbApplyOutcome outcome;
    ck_assert_int_eq(symlink("project", link), 0);
    ck_assert(!tb_apply(f.git, f.base_tree, result, link, scratch, false, &outcome, NULL, &error));
    g_clear_error(&error);
    ck_assert(killed_at(10));
    ck_assert(!tb_apply_recover(f.box, scratch, &error));
    g_clear_error(&error);
    ck_assert(tb_apply_recover(f.project, scratch, &error));
    expect_unchanged();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("apply");
    TCase *tests = tcase_create("apply");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, applies);
    tcase_add_loop_test(tests, drift_is_named, 0, G_N_ELEMENTS(drifts));
    tcase_add_test(tests, other_changes_stay);
    tcase_add_test(tests, failure_at_every_point);
    tcase_add_test(tests, kill_at_every_point);
    tcase_add_test(tests, apply_recovers_first);
    tcase_add_test(tests, user_edits_after_kill);
    tcase_add_test(tests, unwritable_directory);
    tcase_add_loop_test(tests, changes_between_check_and_move, 0, 8);
    tcase_add_test(tests, hostile_trees);
    tcase_add_test(tests, wrong_root);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
