/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Undo: exactly what was there before, with what trees do not hold (permissions, directories), or
 * nothing; and a kill at every single step leaves one of both. */
#include "../suite.h"
#include "fixture.h"
#include "review/apply-testing.h"
#include "review/apply.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/error.h"

static Fixture f;
static char *result, *scratch, *before, *after;
static TbUndo *record;

static void apply(void)
{
    g_autoptr(GError) error = NULL;
    TbApplyOutcome outcome = TB_APPLY_CLEAN;
    TbApplyOptions options = {.note = "undo", .record = record};
    bool ok = tb_apply_with(f.git, f.base_tree, result, f.project, scratch, &options, &outcome,
                            NULL, &error);
    ck_assert_msg(ok, "%s", error ? error->message : "");
    ck_assert_int_eq(outcome, TB_APPLY_DONE);
}

static void setup(void)
{
    f = (Fixture){0};
    fixture_start(&f);
    put_file(f.project, "edit", "one\n", -1, 0600);
    put_file(f.project, "becomes-tool", "x\n", -1, 0640);
    put_file(f.project, "tool", "x\n", -1, 0700);
    put_file(f.project, "special", "x\n", -1, 06755);
    PUT(f.project, "gone/deep/file", "x\n");
    PUT(f.project, "to-file/a/b", "x\n");
    PUT(f.project, "to-dir", "x\n");
    PUT(f.project, "to-link", "x\n");
    PUT(f.project, ".gitignore", "*.log\n");
    PUT(f.project, "stays/file", "x\n");
    PUT(f.project, "stays/out.log", "ignored\n");
    fixture_base(&f);
    /* What a tree does not hold. */
    g_free(RUN(f.project, "sh", "-c",
               "mkdir -p to-file/empty/dir new/place filled; chmod 700 gone/deep to-file/empty; "
               "chmod 750 gone; chmod 711 new"));
    PUT(f.box, "edit", "ONE\n");
    put_file(f.box, "becomes-tool", "x\n", -1, 0755);
    put_file(f.box, "tool", "y\n", -1, 0644);
    put_file(f.box, "special", "y\n", -1, 0755);
    g_free(RUN(f.box, "rm", "-r", "gone", "to-file", "to-dir", "to-link", "stays/file"));
    PUT(f.box, "to-file", "file\n");
    PUT(f.box, "to-dir/new/file", "x\n");
    PUT(f.box, "filled/file", "x\n");
    PUT(f.box, "new/place/deep/er", "x\n");
    g_free(RUN(f.box, "ln", "-s", "edit", "to-link"));
    result = result_of_walk(&f, NULL);
    scratch = g_build_filename(f.dir, "scratch", NULL);
    before = snapshot(f.project);
    record = tb_undo_new(f.base_tree, result);
    apply();
    after = snapshot(f.project);
    ck_assert_str_ne(before, after);
}

static void teardown(void)
{
    tb_apply_testing_fault(-1, false);
    g_clear_pointer(&record, tb_undo_free);
    g_free(result);
    g_free(scratch);
    g_free(before);
    g_free(after);
    fixture_stop(&f);
}

/* By the record as it was written. */
static bool undo(TbApplyOutcome *outcome, GPtrArray **drift, GError **error)
{
    g_autofree char *text = NULL, *path = g_build_filename(scratch, "undo", NULL);
    gsize size = 0;
    ck_assert(g_file_get_contents(path, &text, &size, NULL));
    g_autoptr(GBytes) bytes = g_bytes_new(text, size);
    g_autoptr(TbUndo) read = tb_undo_parse(bytes, NULL);
    ck_assert_ptr_nonnull(read);
    TbApplyOptions options = {.since = "when it was applied", .note = "undone", .restore = read};
    return tb_apply_with(f.git, read->to, read->from, f.project, scratch, &options, outcome, drift,
                         error);
}

static void expect(const char *snap)
{
    g_autofree char *now = snapshot(f.project);
    ck_assert_str_eq(now, snap);
}

static bool note_is_there(const char *name)
{
    g_autofree char *path = g_build_filename(scratch, name, NULL);
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

START_TEST(everything_as_before)
{
    g_autoptr(GError) error = NULL;
    /* what the box wrote is nothing to run as somebody else */
    ck_assert_ptr_null(strstr(after, "106755"));
    TbApplyOutcome outcome = TB_APPLY_CLEAN;
    ck_assert_msg(undo(&outcome, NULL, &error), "%s", error ? error->message : "");
    ck_assert_int_eq(outcome, TB_APPLY_DONE);
    expect(before);
    ck_assert(note_is_there("undone"));
    ck_assert(undo(&outcome, NULL, &error));
    ck_assert_int_eq(outcome, TB_APPLY_ALREADY);
    apply();
    expect(after);
}
END_TEST

START_TEST(edited_since)
{
    static const char *const edits[][2] = {
        {"echo mine >> edit", "'edit' has other content than when it was applied"},
        {"rm to-link", "'to-link' is gone"},
        {"chmod +x tool", "'tool' has another executable bit"},
        {"chmod -x becomes-tool", "'becomes-tool' is already as it was before the apply"},
        {"echo mine > gone", "'gone' is no directory"},
        {"mkdir -p gone/deep; echo mine > gone/deep/file", "'gone/deep/file' is in the way"},
        {"echo mine > to-dir/mine", "'to-dir/mine' is in the way"},
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) drift = NULL;
    TbApplyOutcome outcome;
    g_free(RUN(f.project, "sh", "-c", edits[_i][0]));
    g_autofree char *edited = snapshot(f.project);
    ck_assert(!undo(&outcome, &drift, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFLICT);
    ck_assert_uint_eq(drift->len, 1);
    ck_assert_msg(strstr(drift->pdata[0], edits[_i][1]) != NULL, "%s", (char *)drift->pdata[0]);
    expect(edited);
    ck_assert(!note_is_there("undone"));
}
END_TEST

/* What the apply did not touch may be as it likes. */
START_TEST(other_edits_stay)
{
    g_autoptr(GError) error = NULL;
    TbApplyOutcome outcome;
    PUT(f.project, "mine", "mine\n");
    PUT(f.project, "new/place/mine", "mine\n");
    ck_assert_msg(undo(&outcome, NULL, &error), "%s", error ? error->message : "");
    g_free(RUN(f.project, "rm", "mine", "new/place/mine"));
    expect(before);
}
END_TEST

static bool killed_at(int point)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        TbApplyOutcome outcome;
        tb_apply_testing_fault(point, true);
        undo(&outcome, NULL, NULL);
        _exit(0);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* The note is there exactly when all has moved, whatever the moment of the kill. */
START_TEST(kill_at_every_point)
{
    g_autoptr(GError) error = NULL;
    int point = 0;
    bool done = false;
    for (; !done && killed_at(point); point++) {
        ck_assert_msg(tb_apply_recover(f.project, scratch, &error), "%s",
                      error ? error->message : "");
        g_autofree char *now = snapshot(f.project);
        done = strcmp(now, after) != 0;
        ck_assert(done == note_is_there("undone"));
        expect(done ? before : after);
    }
    ck_assert_int_gt(point, 25);
    ck_assert(done);
}
END_TEST

START_TEST(records)
{
    static const char *const bad[] = {
        "",
        "taskbox undo 1",
        "x",
        "taskbox undo 1\0"
        "1111111111111111111111111111111111111111\0"
        "../2\0end",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(bad[i], i == 3 ? 66 : strlen(bad[i]) + 1);
        g_autoptr(GError) error = NULL;
        ck_assert_ptr_null(tb_undo_parse(bytes, &error));
        ck_assert_int_eq(tb_error_code(error), TB_ERROR_INTERNAL);
    }
    /* Every record that is cut is refused, and so is one with a path that leads out. */
    g_autoptr(GBytes) whole = tb_undo_format(record);
    for (gsize size = 0; size < g_bytes_get_size(whole); size++) {
        g_autoptr(GBytes) part = g_bytes_new_from_bytes(whole, 0, size);
        ck_assert_ptr_null(tb_undo_parse(part, NULL));
    }
    tb_undo_add_mode(record, "../out", true, 0700);
    g_autoptr(GBytes) evil = tb_undo_format(record);
    ck_assert_ptr_null(tb_undo_parse(evil, NULL));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("undo");
    TCase *tests = tcase_create("undo");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, everything_as_before);
    tcase_add_loop_test(tests, edited_since, 0, 7);
    tcase_add_test(tests, other_edits_stay);
    tcase_add_test(tests, kill_at_every_point);
    tcase_add_test(tests, records);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
