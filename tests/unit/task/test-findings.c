/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Findings kept with a task, and the word they want before an apply. */
#include "fixture.h"

#include <string.h>

#include "task/findings.h"
#include "util/git.h"

static TbGit *git;

static char *tree(const char *name, const char *text)
{
    g_autoptr(TbCommand) store_blob = tb_git_command(git, "hash-object", NULL, NULL);
    tb_command_add(store_blob, "-w", "--no-filters", "--stdin", NULL);
    tb_command_set_stdin_bytes(store_blob, text, strlen(text));
    g_autofree char *oid = tb_git_run_oid(git, store_blob, NULL);
    g_autofree char *line = g_strdup_printf("100644 blob %s\t%s\n", oid, name);
    g_autoptr(TbCommand) make = tb_git_command(git, "mktree", NULL, NULL);
    tb_command_set_stdin_bytes(make, line, strlen(line));
    return tb_git_run_oid(git, make, NULL);
}

/* A task whose patch adds `name`. */
static TbTask *task_that_adds(const char *name)
{
    TbTask *task = new_task();
    g_autofree char *path = tb_task_path(task, "git");
    git = tb_git_create(path, false, NULL, NULL);
    ck_assert_ptr_nonnull(git);
    task->base_tree = tree("a", "x\n");
    task->result_tree = tree(name, "x\n");
    task->has_patch = true;
    task->stat = (TbPatchStat){.files = 2, .added = 1, .removed = 1};
    return task;
}

static void check_counts(const TbTask *task, uint32_t high, uint32_t medium)
{
    ck_assert(task->has_findings);
    ck_assert_uint_eq(task->findings[TB_SEVERITY_HIGH], high);
    ck_assert_uint_eq(task->findings[TB_SEVERITY_MEDIUM], medium);
}

START_TEST(test_kept)
{
    g_autoptr(TbTask) task = task_that_adds("CLAUDE.md");
    tb_task_findings_make(task, git);
    check_counts(task, 1, 0);
    ck_assert(tb_task_save(task, TB_TASK_READY, NULL));
    g_autoptr(TbTask) again = tb_task_open(store, task->id, NULL);
    check_counts(again, 1, 0);
    g_autofree char *json = tb_task_record_json(again);
    ck_assert_ptr_nonnull(strstr(json, "\"findings\":{\"high\":1,\"medium\":0,\"low\":0}"));
    /* the objects are not needed any more */
    ck_assert(tb_remove_tree(task->dirfd, "git", NULL));
    g_autoptr(TbFindings) findings = tb_task_findings(again, NULL);
    ck_assert_uint_eq(findings->list->len, 1);
    g_clear_pointer(&git, tb_git_free);
}
END_TEST

/* A task of before there were findings: they are made when asked for. */
START_TEST(test_made_late)
{
    g_autoptr(TbTask) task = task_that_adds("Makefile");
    g_autoptr(TbFindings) findings = tb_task_findings(task, NULL);
    ck_assert_uint_eq(findings->counts[TB_SEVERITY_MEDIUM], 1);
    ck_assert(!task->has_findings);
    g_clear_pointer(&git, tb_git_free);
}
END_TEST

/* Findings that cannot be made lose nothing, and keep the gate closed. */
START_TEST(test_failing)
{
    g_autoptr(TbTask) task = task_that_adds("Makefile");
    g_free(task->result_tree);
    task->result_tree = g_strdup("1234567890123456789012345678901234567890");
    tb_task_findings_make(task, git);
    ck_assert(!task->has_findings);
    ck_assert_uint_eq(task->notes->len, 1);
    ck_assert_ptr_nonnull(strstr(task->notes->pdata[0], "no findings could be made"));
    static const char *const none[] = {NULL};
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_task_acknowledged(task, none, false, &error));
    g_clear_pointer(&git, tb_git_free);
}
END_TEST

START_TEST(test_acknowledge)
{
    static const struct {
        const char *file;
        const char *words[3];
        bool may;
        TbErrorCode code;
        const char *says;
    } cases[] = {
        {"a.txt", {NULL}, true, 0, NULL},
        {"Makefile", {NULL}, true, 0, NULL}, /* medium */
        {"CLAUDE.md", {NULL}, false, TB_ERROR_DENIED, "agent-instructions"},
        {"CLAUDE.md", {"ci"}, false, TB_ERROR_DENIED, "agent-instructions"},
        {"CLAUDE.md", {"ci", "agent-instructions"}, true, 0, NULL},
        {"CLAUDE.md", {"all"}, true, 0, NULL},
        {"CLAUDE.md", {"agent-instruction"}, false, TB_ERROR_USAGE, "'agent-instructions'"},
    };
    g_autoptr(TbTask) task = task_that_adds(cases[_i].file);
    tb_task_findings_make(task, git);
    ck_assert(tb_task_save(task, TB_TASK_READY, NULL));
    g_autoptr(GError) error = NULL;
    ck_assert(tb_task_acknowledged(task, cases[_i].words, false, &error) == cases[_i].may);
    if (!cases[_i].may) {
        ck_assert_int_eq(tb_error_code(error), cases[_i].code);
        ck_assert_ptr_nonnull(strstr(error->message, cases[_i].says));
    }
    /* what was applied before is not asked about again */
    ck_assert(tb_task_save(task, TB_TASK_APPLIED, NULL));
    static const char *const none[] = {NULL};
    ck_assert(tb_task_acknowledged(task, none, false, NULL));
    g_clear_pointer(&git, tb_git_free);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("findings");
    tcase_set_timeout(cases, 30);
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, test_kept);
    tcase_add_test(cases, test_made_late);
    tcase_add_test(cases, test_failing);
    tcase_add_loop_test(cases, test_acknowledge, 0, 7);
    return suite_run_case("task findings", cases);
}
