/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Apply and discard on a task whose objects are made here by hand. */
#include "fixture.h"

#include <string.h>
#include <sys/wait.h>

#include "review/apply-testing.h"
#include "task/finish.h"
#include "task/store-private.h"
#include "util/git.h"

static char *project;
static const char *base_text, *result_text; /* of "text" */

static char *blob(TbGit *git, const char *text)
{
    TbCommand *command = tb_git_command(git, "hash-object", NULL, NULL);
    tb_command_add(command, "-w", "--no-filters", "--stdin", NULL);
    tb_command_set_stdin_bytes(command, text, strlen(text));
    char *oid = tb_git_run_oid(git, command, NULL);
    tb_command_free(command);
    ck_assert_ptr_nonnull(oid);
    return oid;
}

/* A tree with one or two files; NULL content: not there. */
static char *tree(TbGit *git, const char *text, const char *added)
{
    g_autoptr(GString) list = g_string_new(NULL);
    g_autofree char *first = text ? blob(git, text) : NULL;
    g_autofree char *second = added ? blob(git, added) : NULL;
    if (second)
        g_string_append_printf(list, "100644 blob %s\tadded\n", second);
    if (first)
        g_string_append_printf(list, "100644 blob %s\ttext\n", first);
    TbCommand *command = tb_git_command(git, "mktree", NULL, NULL);
    tb_command_set_stdin_bytes(command, list->str, list->len);
    char *oid = tb_git_run_oid(git, command, NULL);
    tb_command_free(command);
    ck_assert_ptr_nonnull(oid);
    return oid;
}

static void write_project(const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(project, name, NULL);
    ck_assert(g_file_set_contents(path, text, -1, NULL));
    ck_assert_int_eq(chmod(path, 0644), 0);
}

static char *read_project(const char *name)
{
    g_autofree char *path = g_build_filename(project, name, NULL);
    char *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

/* The project has "text" = one; the task changed it to two and added a file. */
static TbTask *ready_task(void)
{
    project = g_build_filename(root, "project", NULL);
    ck_assert_int_eq(g_mkdir_with_parents(project, 0755), 0);
    base_text = base_text ? base_text : "one\n";
    result_text = result_text ? result_text : "two\n";
    write_project("text", base_text);
    TbTask *task = new_task();
    g_autofree char *path = tb_task_path(task, "git");
    g_autoptr(TbGit) git = tb_git_create(path, false, NULL, NULL);
    ck_assert_ptr_nonnull(git);
    task->base_tree = tree(git, base_text, NULL);
    task->result_tree = tree(git, result_text, "new\n");
    task->project_root = g_strdup(project);
    task->has_patch = true;
    task->stat = (TbPatchStat){.files = 2, .added = 2, .removed = 1};
    g_autofree char *patch = tb_task_path(task, "patch");
    ck_assert(g_file_set_contents(patch, "patch\n", -1, NULL));
    ck_assert(tb_task_save(task, TB_TASK_READY, NULL));
    return task;
}

static TbApplyOutcome apply(TbTask *task, bool check)
{
    TbApplyOutcome outcome = (TbApplyOutcome)-1;
    GError *error = NULL;
    bool ok = tb_task_apply(store, task, check, &outcome, NULL, &error);
    ck_assert_msg(ok, "%s", error ? error->message : "");
    g_autofree char *journal = tb_task_path(task, "apply");
    ck_assert(!g_file_test(journal, G_FILE_TEST_EXISTS));
    return outcome;
}

START_TEST(test_apply_twice)
{
    g_autoptr(TbTask) task = ready_task();
    ck_assert_int_eq(apply(task, true), TB_APPLY_CLEAN);
    ck_assert_int_eq(task->state, TB_TASK_READY);
    g_autofree char *before = read_project("text");
    ck_assert_str_eq(before, "one\n");
    ck_assert_int_eq(apply(task, false), TB_APPLY_DONE);
    ck_assert_int_eq(task->state, TB_TASK_APPLIED);
    g_autofree char *after = read_project("text"), *added = read_project("added");
    ck_assert_str_eq(after, "two\n");
    ck_assert_str_eq(added, "new\n");
    ck_assert_int_eq(apply(task, false), TB_APPLY_ALREADY);
    ck_assert_int_eq(apply(task, true), TB_APPLY_ALREADY);
}
END_TEST

/* Marked as long as there may be a journal: the next command looks at the task. */
START_TEST(test_apply_is_marked)
{
    g_autoptr(TbTask) task = ready_task();
    ck_assert(tb_store_reconcile(store, NULL));
    g_autoptr(GPtrArray) before = tb_store_marked(store, NULL);
    ck_assert_uint_eq(before->len, 0);
    apply(task, true);
    g_autoptr(GPtrArray) after = tb_store_marked(store, NULL);
    ck_assert_uint_eq(after->len, 1);
}
END_TEST

static TbApplyOutcome undo(TbTask *task)
{
    TbApplyOutcome outcome = (TbApplyOutcome)-1;
    GError *error = NULL;
    bool ok = tb_task_undo(store, task, &outcome, NULL, &error);
    ck_assert_msg(ok, "%s", error ? error->message : "");
    return outcome;
}

START_TEST(test_undo)
{
    g_autoptr(TbTask) task = ready_task();
    ck_assert_int_eq(undo(task), TB_APPLY_ALREADY);
    ck_assert_int_eq(apply(task, false), TB_APPLY_DONE);
    ck_assert_str_eq(task->applied_tree, task->result_tree);
    for (int twice = 0; twice < 2; twice++) {
        ck_assert_int_eq(undo(task), twice ? TB_APPLY_ALREADY : TB_APPLY_DONE);
        ck_assert_int_eq(task->state, TB_TASK_READY);
        ck_assert_ptr_null(task->applied_tree);
        g_autofree char *text = read_project("text"), *added = read_project("added");
        ck_assert_str_eq(text, "one\n");
        ck_assert_ptr_null(added);
    }
    ck_assert_int_eq(apply(task, false), TB_APPLY_DONE);
    write_project("text", "mine\n");
    g_autoptr(GPtrArray) drift = NULL;
    g_autoptr(GError) error = NULL;
    TbApplyOutcome outcome;
    ck_assert(!tb_task_undo(store, task, &outcome, &drift, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFLICT);
    ck_assert_uint_eq(drift->len, 1);
    ck_assert_int_eq(task->state, TB_TASK_APPLIED);
}
END_TEST

/* Taken back by hand: then the undo has nothing more to do. */
START_TEST(test_undo_by_hand)
{
    g_autoptr(TbTask) task = ready_task();
    ck_assert_int_eq(apply(task, false), TB_APPLY_DONE);
    write_project("text", "one\n");
    g_autofree char *added = g_build_filename(project, "added", NULL);
    ck_assert_int_eq(unlink(added), 0);
    ck_assert_int_eq(undo(task), TB_APPLY_ALREADY);
    ck_assert_int_eq(task->state, TB_TASK_READY);
}
END_TEST

/* Killed at any moment of apply and undo: the next command finds a task that says what the project
 * is, and the undo still works. */
static bool killed_at(const char *id, bool back, int point)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        TbApplyOutcome outcome;
        TbTask *task = tb_task_open(store, id, NULL);
        tb_apply_testing_fault(point, true);
        if (back)
            tb_task_undo(store, task, &outcome, NULL, NULL);
        else
            tb_task_apply(store, task, false, &outcome, NULL, NULL);
        _exit(0);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status);
}

START_TEST(test_killed)
{
    g_autofree char *id = NULL;
    {
        g_autoptr(TbTask) task = ready_task();
        id = g_strdup(task->id);
    }
    int points = 0;
    bool moved = false;
    for (int back = 0; back < 2; back++, moved = false) {
        for (int point = 0; !moved; point++, points++) {
            ck_assert(killed_at(id, back, point));
            ck_assert(tb_store_reconcile(store, NULL));
            g_autoptr(TbTask) task = tb_task_open(store, id, NULL);
            g_autofree char *text = read_project("text");
            bool applied = strcmp(text, result_text) == 0;
            ck_assert_int_eq(task->state, applied ? TB_TASK_APPLIED : TB_TASK_READY);
            moved = applied != back;
        }
    }
    ck_assert_int_gt(points, 12);
}
END_TEST

static TbApplyOutcome apply_with(TbTask *task, const TbTaskApply *how, GPtrArray **lines)
{
    TbApplyOutcome outcome = (TbApplyOutcome)-1;
    GError *error = NULL;
    bool ok = tb_task_apply_with(store, task, how, &outcome, lines, &error);
    ck_assert_msg(ok, "%s", error ? error->message : "");
    return outcome;
}

static void expect_project(const char *text, const char *added)
{
    g_autofree char *is_text = read_project("text"), *is_added = read_project("added");
    ck_assert_str_eq(is_text, text);
    ck_assert_pstr_eq(is_added, added);
}

/* A part, then the rest; one undo takes back both. */
START_TEST(test_some_files)
{
    static const char *const some[] = {"./added/", NULL}, *const none[] = {"adde", NULL};
    g_autoptr(TbTask) task = ready_task();
    ck_assert_int_eq(apply_with(task, &(TbTaskApply){.files = some, .check = true}, NULL),
                     TB_APPLY_CLEAN);
    expect_project("one\n", NULL);
    ck_assert_int_eq(apply_with(task, &(TbTaskApply){.files = some}, NULL), TB_APPLY_DONE);
    expect_project("one\n", "new\n");
    ck_assert_int_eq(task->state, TB_TASK_APPLIED);
    ck_assert_str_ne(task->applied_tree, task->result_tree);
    ck_assert_int_eq(apply_with(task, &(TbTaskApply){.files = some}, NULL), TB_APPLY_ALREADY);
    ck_assert_int_eq(apply(task, false), TB_APPLY_DONE);
    expect_project("two\n", "new\n");
    ck_assert_str_eq(task->applied_tree, task->result_tree);
    ck_assert_int_eq(undo(task), TB_APPLY_DONE);
    expect_project("one\n", NULL);
    g_autoptr(GError) error = NULL;
    TbApplyOutcome outcome;
    ck_assert(
        !tb_task_apply_with(store, task, &(TbTaskApply){.files = none}, &outcome, NULL, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_USAGE);
}
END_TEST

START_TEST(test_merge)
{
    base_text = "1\n2\n3\n4\n5\n6\n7\n";
    result_text = "1\n2\n3\n4\n5\n6\nSEVEN\n";
    g_autoptr(TbTask) task = ready_task();
    write_project("text", "ONE\n2\n3\n4\n5\n6\n7\n");
    write_project("mine", "mine\n");
    g_autoptr(GPtrArray) lines = NULL;
    TbTaskApply how = {.merge = true};
    ck_assert_int_eq(apply_with(task, &how, &lines), TB_APPLY_DONE);
    ck_assert_ptr_null(lines);
    expect_project("ONE\n2\n3\n4\n5\n6\nSEVEN\n", "new\n");
    ck_assert_int_eq(undo(task), TB_APPLY_DONE);
    expect_project("ONE\n2\n3\n4\n5\n6\n7\n", NULL);
    /* Now both changed the same line. */
    write_project("text", "1\n2\n3\n4\n5\n6\nmine\n");
    how.check = true;
    ck_assert_int_eq(apply_with(task, &how, &lines), TB_APPLY_CLEAN);
    ck_assert_uint_eq(lines->len, 1);
    g_clear_pointer(&lines, g_ptr_array_unref);
    how.check = false;
    ck_assert_int_eq(apply_with(task, &how, &lines), TB_APPLY_DONE);
    ck_assert_uint_eq(lines->len, 1);
    ck_assert_str_eq(lines->pdata[0], "text");
    g_autofree char *marked = g_strdup_printf(
        "1\n2\n3\n4\n5\n6\n<<<<<<< project\nmine\n=======\nSEVEN\n>>>>>>> %s\n", task->id);
    expect_project(marked, "new\n");
    ck_assert_int_eq(undo(task), TB_APPLY_DONE);
    expect_project("1\n2\n3\n4\n5\n6\nmine\n", NULL);
    g_autofree char *mine = read_project("mine");
    ck_assert_str_eq(mine, "mine\n");
}
END_TEST

START_TEST(test_drift)
{
    g_autoptr(TbTask) task = ready_task();
    write_project("text", "mine\n");
    write_project("added", "mine, too\n");
    g_autoptr(GPtrArray) drift = NULL;
    g_autoptr(GError) error = NULL;
    TbApplyOutcome outcome;
    ck_assert(!tb_task_apply(store, task, false, &outcome, &drift, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFLICT);
    ck_assert_uint_eq(drift->len, 2);
    g_autofree char *text = read_project("text"), *added = read_project("added");
    ck_assert_str_eq(text, "mine\n");
    ck_assert_str_eq(added, "mine, too\n");
    g_autoptr(TbTask) seen = tb_task_open(store, task->id, NULL);
    ck_assert_int_eq(seen->state, TB_TASK_READY);
    g_autofree char *journal = tb_task_path(task, "apply");
    ck_assert(!g_file_test(journal, G_FILE_TEST_EXISTS));
}
END_TEST

START_TEST(test_busy)
{
    g_autoptr(TbTask) task = ready_task();
    g_autoptr(TbTask) other = tb_task_open(store, task->id, NULL);
    g_autoptr(GError) error = NULL;
    TbApplyOutcome outcome;
    ck_assert(!tb_task_apply(store, other, false, &outcome, NULL, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_BUSY);
    g_clear_error(&error);
    ck_assert(!tb_task_discard(other, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_BUSY);
}
END_TEST

START_TEST(test_project_gone)
{
    g_autoptr(TbTask) task = ready_task();
    ck_assert(tb_remove_tree(AT_FDCWD, project, NULL));
    g_autoptr(GError) error = NULL;
    TbApplyOutcome outcome;
    ck_assert(!tb_task_apply(store, task, false, &outcome, NULL, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error->message, project));
}
END_TEST

START_TEST(test_no_patch)
{
    g_autoptr(TbTask) task = new_task();
    g_autoptr(GError) reason = NULL, error = NULL;
    tb_error_set(&reason, TB_ERROR_VM, "x");
    tb_task_fail(task, reason);
    TbApplyOutcome outcome;
    ck_assert(!tb_task_apply(store, task, false, &outcome, NULL, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error->message, "failed"));
}
END_TEST

START_TEST(test_discard)
{
    g_autoptr(TbTask) task = ready_task();
    ck_assert(tb_task_discard(task, NULL));
    ck_assert(tb_task_discard(task, NULL));
    ck_assert_int_eq(task->state, TB_TASK_DISCARDED);
    g_autofree char *git = tb_task_path(task, "git"), *patch = tb_task_path(task, "patch");
    ck_assert(!g_file_test(git, G_FILE_TEST_EXISTS));
    ck_assert(g_file_test(patch, G_FILE_TEST_EXISTS));
    g_autoptr(GError) error = NULL;
    TbApplyOutcome outcome;
    ck_assert(!tb_task_apply(store, task, false, &outcome, NULL, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "discarded"));
}
END_TEST

START_TEST(test_files)
{
    g_autoptr(TbTask) task = ready_task();
    g_autoptr(GPtrArray) files = tb_task_files(task, NULL);
    ck_assert_uint_eq(files->len, 2);
    const TbPatchFile *added = files->pdata[0], *text = files->pdata[1];
    ck_assert_str_eq(added->path, "added");
    ck_assert_uint_eq(added->old_mode, 0);
    ck_assert_str_eq(text->path, "text");
    ck_assert_int_eq(text->added, 1);
    ck_assert_int_eq(text->removed, 1);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("finish");
    tcase_set_timeout(cases, 300);
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, test_apply_twice);
    tcase_add_test(cases, test_apply_is_marked);
    tcase_add_test(cases, test_undo);
    tcase_add_test(cases, test_undo_by_hand);
    tcase_add_test(cases, test_killed);
    tcase_add_test(cases, test_some_files);
    tcase_add_test(cases, test_merge);
    tcase_add_test(cases, test_drift);
    tcase_add_test(cases, test_busy);
    tcase_add_test(cases, test_project_gone);
    tcase_add_test(cases, test_no_patch);
    tcase_add_test(cases, test_discard);
    tcase_add_test(cases, test_files);
    return suite_run_case("task finish", cases);
}
