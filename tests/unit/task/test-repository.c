/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Apply to index, commit and branch, in real repositories; and back. */
#include "repo-fixture.h"

#include <sys/wait.h>

#include "review/apply-testing.h"
#include "task/finish.h"

/* A task on the project as it is now: changes text, removes dir/gone, adds a tool. */
static TbTask *task_now(void)
{
    TbTask *task = task_begin();
    DO("cp -a . ../saved; printf 'two\\n' >text; rm -r dir; mkdir bin; printf '#!/bin/sh\\n' "
       ">bin/tool; "
       "chmod 755 bin/tool");
    task->result_tree = tree_now();
    DO("rm -rf text bin dir; cp -a ../saved/text ../saved/dir .; rm -rf ../saved");
    task->has_patch = true;
    ck_assert(tb_task_save(task, TB_TASK_READY, NULL));
    return task;
}

static TbTask *ready_task(void)
{
    make_project("git init -q -b main .");
    commit_all();
    return task_now();
}

static bool try_apply(TbTask *task, const TbTaskApply *how, GPtrArray **lines, GError **error)
{
    TbApplyOutcome outcome = (TbApplyOutcome)-1;
    bool ok = tb_task_apply_with(store, task, how, &outcome, lines, error);
    g_autofree char *journal = tb_task_path(task, "apply");
    ck_assert(!g_file_test(journal, G_FILE_TEST_EXISTS));
    expect("find . -name '*.lock' -o -name '.taskbox-*' -o -name 'tmp_*'", "");
    if (ok)
        ck_assert_int_eq(outcome, how->check ? TB_APPLY_CLEAN : TB_APPLY_DONE);
    return ok;
}

static void apply(TbTask *task, TbApplyTo to, const char *branch)
{
    g_autoptr(GError) error = NULL;
    TbTaskApply how = {.to = to, .branch = branch, .check = true};
    ck_assert_msg(try_apply(task, &how, NULL, &error), "%s", error ? error->message : "");
    how.check = false;
    ck_assert_msg(try_apply(task, &how, NULL, &error), "%s", error ? error->message : "");
    ck_assert_int_eq(task->state, TB_TASK_APPLIED);
    TbApplyOutcome outcome;
    ck_assert(tb_task_apply_with(store, task, &how, &outcome, NULL, NULL));
    ck_assert_int_eq(outcome, TB_APPLY_ALREADY);
    DO("git fsck --strict --no-dangling");
}

static void undo(TbTask *task)
{
    g_autoptr(GError) error = NULL;
    TbApplyOutcome outcome;
    bool ok = tb_task_undo(store, task, &outcome, NULL, &error);
    ck_assert_msg(ok, "%s", error ? error->message : "");
    ck_assert_int_eq(outcome, TB_APPLY_DONE);
    ck_assert_int_eq(task->state, TB_TASK_READY);
    ck_assert_ptr_null(task->applied_to);
}

static void refuse(TbTask *task, const TbTaskApply *how, TbErrorCode code, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *before =
        sh("git ls-files -s; git for-each-ref; git rev-parse -q --verify HEAD || :");
    ck_assert(!try_apply(task, how, NULL, &error));
    ck_assert_msg(tb_error_code(error) == code && strstr(error->message, text), "%d %s",
                  tb_error_code(error), error->message);
    expect("git ls-files -s; git for-each-ref; git rev-parse -q --verify HEAD || :", before);
    expect("cat text; ls", "one\ndir\nother\ntext");
}

static void refuse_undo(TbTask *task, const char *text)
{
    g_autoptr(GError) error = NULL;
    TbApplyOutcome outcome;
    ck_assert(!tb_task_undo(store, task, &outcome, NULL, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFLICT);
    ck_assert_msg(strstr(error->message, text) != NULL, "%s", error->message);
    ck_assert_int_eq(task->state, TB_TASK_APPLIED);
}

#define INDEX  (&(TbTaskApply){.to = TB_APPLY_TO_INDEX})
#define COMMIT (&(TbTaskApply){.to = TB_APPLY_TO_COMMIT})
#define BRANCH (&(TbTaskApply){.to = TB_APPLY_TO_BRANCH, .branch = "fix/it"})

START_TEST(test_index)
{
    g_autoptr(TbTask) task = ready_task();
    DO("printf 'mine\\n' >other; git add other; printf 'more\\n' >>other");
    g_autofree char *before = sh("git ls-files -s"), *head = sh("git rev-parse HEAD");
    apply(task, TB_APPLY_TO_INDEX, NULL);
    expect("git status --porcelain", "A  bin/tool\nD  dir/gone\nMM other\nM  text");
    expect("git rev-parse HEAD", head);
    ck_assert_str_eq(task->applied_to, "index");
    undo(task);
    expect("git ls-files -s", before);
    expect("git status --porcelain", "MM other");
    DO("test -f dir/gone; ! test -e bin");
}
END_TEST

START_TEST(test_index_drift)
{
    g_autoptr(TbTask) task = ready_task();
    DO("printf 'staged\\n' >text; git add text; printf 'one\\n' >text");
    refuse(task, INDEX, TB_ERROR_CONFLICT, "'text' is in the index with other content");
    DO("git rm -q -f --cached text");
    refuse(task, INDEX, TB_ERROR_CONFLICT, "'text' is not in the index");
    DO("git add text; mkdir bin; touch bin/tool; git add bin; rm -r bin");
    refuse(task, INDEX, TB_ERROR_CONFLICT, "'bin/tool' is in the index already");
    DO("git rm -q --cached bin/tool; touch bin; git add bin; rm bin");
    refuse(task, INDEX, TB_ERROR_CONFLICT, "cannot change the index");
    DO("git rm -q --cached bin; touch .git/index.lock");
    g_autoptr(GError) error = NULL;
    TbApplyOutcome outcome;
    ck_assert(!tb_task_apply_with(store, task, INDEX, &outcome, NULL, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_BUSY);
    DO("rm .git/index.lock");
    apply(task, TB_APPLY_TO_INDEX, NULL);
}
END_TEST

/* Staged on top: then the undo would lose that. */
START_TEST(test_index_undo_drift)
{
    g_autoptr(TbTask) task = ready_task();
    apply(task, TB_APPLY_TO_INDEX, NULL);
    DO("git reset -q text");
    refuse_undo(task, "'text' is in the index with other content than when it was applied");
    DO("git add text");
    undo(task);
}
END_TEST

static void expect_commit(const TbTask *task)
{
    g_autofree char *trailers = g_strdup_printf("make it better\n\n    make it better\n\n    and "
                                                "well\n\nTaskbox-Task: %s\nTaskbox-Base-Tree: "
                                                "%s\nTaskbox-Result-Tree: %s",
                                                task->id, task->base_tree, task->result_tree);
    expect("git log -1 --format=%B fix/it 2>/dev/null || git log -1 --format=%B", trailers);
}

START_TEST(test_commit)
{
    g_autoptr(TbTask) task = ready_task();
    g_autofree char *head = sh("git rev-parse HEAD");
    apply(task, TB_APPLY_TO_COMMIT, NULL);
    expect("git status --porcelain", "");
    expect("git rev-parse HEAD^", head);
    expect("git rev-parse HEAD^{tree}", task->result_tree);
    expect("git log -1 --format='%an <%ae> %cn <%ce>'",
           "AI Agent <agent@internal.sandbox> Tester <tester@example.org>");
    expect("git symbolic-ref HEAD", "refs/heads/main");
    expect("git reflog main | wc -l; git reflog | head -n 1 | grep -c 'taskbox apply'", "2\n1");
    expect_commit(task);
    undo(task);
    expect("git rev-parse HEAD", head);
    expect("git status --porcelain", "");
    apply(task, TB_APPLY_TO_COMMIT, NULL);
    DO("git commit -q --allow-empty -m more");
    refuse_undo(task, "no longer at");
    DO("git reset -q --soft HEAD^; git switch -q -c elsewhere");
    refuse_undo(task, "not checked out any more");
    DO("git switch -q main");
    undo(task);
}
END_TEST

/* What is staged besides stays so; what HEAD has on top of the base stays, too. */
START_TEST(test_commit_beside)
{
    g_autoptr(TbTask) task = ready_task();
    DO("printf 'new\\n' >unrelated; git add -A; git commit -q -m Second; printf 'staged\\n' "
       ">other; "
       "git add other");
    apply(task, TB_APPLY_TO_COMMIT, NULL);
    expect("git status --porcelain", "M  other");
    expect("git show --format= --name-only", "bin/tool\ndir/gone\ntext");
    undo(task);
    expect("git status --porcelain; git log --format=%s", "M  other\nSecond\nFirst");
}
END_TEST

/* The base had changes in a file of the patch that no commit has. */
START_TEST(test_uncommitted)
{
    make_project("git init -q -b main .");
    DO("printf 'zero\\n' >text; git add -A; git commit -q -m First; printf 'one\\n' >text");
    g_autoptr(TbTask) task = task_now();
    refuse(task, INDEX, TB_ERROR_CONFLICT, "'text' is in the index with other content");
    refuse(task, BRANCH, TB_ERROR_CONFLICT, "'text' was not committed when the task started");
    DO("git add text");
    refuse(task, COMMIT, TB_ERROR_CONFLICT, "'text' was not committed when the task started");
    apply(task, TB_APPLY_TO_INDEX, NULL);
}
END_TEST

START_TEST(test_commit_refused)
{
    g_autoptr(TbTask) task = ready_task();
    DO("git rev-parse HEAD >.git/MERGE_HEAD");
    refuse(task, COMMIT, TB_ERROR_CONFLICT, "in the middle of a merge");
    DO("rm .git/MERGE_HEAD");
    g_unsetenv("GIT_COMMITTER_NAME");
    refuse(task, COMMIT, TB_ERROR_CONFIG, "git does not know your name");
    DO("git config --global user.name 'Some <Body>'; git config user.email here@example.org");
    g_unsetenv("GIT_COMMITTER_EMAIL");
    apply(task, TB_APPLY_TO_COMMIT, NULL);
    expect("git log -1 --format='%cn <%ce>'", "Some Body <here@example.org>");
}
END_TEST

/* In the other of the user's two files, and in what the first includes: git knows both. */
START_TEST(test_identity_anywhere)
{
    g_autoptr(TbTask) task = ready_task();
    g_unsetenv("GIT_COMMITTER_NAME");
    g_unsetenv("GIT_COMMITTER_EMAIL");
    DO("mkdir -p ~/.config/git; printf '[user]\nname = Somebody\n' >~/.config/git/config; "
       "printf '[include]\npath = more\n' >~/.gitconfig; "
       "printf '[user]\nemail = here@example.org\n' >~/more");
    apply(task, TB_APPLY_TO_COMMIT, NULL);
    expect("git log -1 --format='%cn <%ce>'", "Somebody <here@example.org>");
}
END_TEST

START_TEST(test_branch)
{
    g_autoptr(TbTask) task = ready_task();
    DO("printf 'mine\\n' >text; printf 'staged\\n' >other; git add other; git branch same");
    g_autofree char *head = sh("git rev-parse HEAD");
    const char *state = "cat text; ls -R; sha256sum .git/index .git/HEAD; "
                        "GIT_OPTIONAL_LOCKS=0 git status --porcelain";
    g_autofree char *before = sh(state);
    apply(task, TB_APPLY_TO_BRANCH, "fix/it");
    expect(state, before);
    expect("git rev-parse fix/it^", head);
    expect("git rev-parse fix/it^{tree}", task->result_tree);
    ck_assert_str_eq(task->applied_to, "branch fix/it");
    expect_commit(task);
    undo(task);
    expect(state, before);
    expect("git for-each-ref --format='%(refname)'", "refs/heads/main\nrefs/heads/same");
    DO("test ! -e .git/logs/refs/heads/fix/it");
    apply(task, TB_APPLY_TO_BRANCH, "fix/it");
    DO("git pack-refs --all; git stash -q; git switch -q fix/it");
    refuse_undo(task, "is checked out");
    DO("git commit -q --allow-empty -m more; git switch -q main");
    refuse_undo(task, "no longer at");
    DO("git branch -f fix/it fix/it^; git pack-refs --all");
    undo(task);
    expect("git for-each-ref --format='%(refname)'",
           "refs/heads/main\nrefs/heads/same\nrefs/stash");
}
END_TEST

START_TEST(test_branch_names)
{
    static const char *const bad[] = {"",   "a..b", "-x",  "a b",  "x.lock",
                                      "/a", "HEAD", "a~1", "@{-1}"};
    g_autoptr(TbTask) task = ready_task();
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        refuse(task, &(TbTaskApply){.to = TB_APPLY_TO_BRANCH, .branch = bad[i]}, TB_ERROR_USAGE,
               "cannot be the name of a branch");
    DO("git branch fix; git branch packed/one; git pack-refs --all; git branch loose/one");
    refuse(task, BRANCH, TB_ERROR_EXISTS, "a branch 'fix' already");
    static const char *const taken[] = {"main", "packed", "loose", "packed/one/more", "loose/one"};
    for (size_t i = 0; i < G_N_ELEMENTS(taken); i++)
        refuse(task, &(TbTaskApply){.to = TB_APPLY_TO_BRANCH, .branch = taken[i]}, TB_ERROR_EXISTS,
               "already");
}
END_TEST

/* Nothing that the repository names is run, and no byte is converted. */
START_TEST(test_hostile)
{
    g_autoptr(TbTask) task = ready_task();
    g_autofree char *mark = g_build_filename(root, "mark", NULL);
    g_setenv("MARK", mark, TRUE);
    DO("printf '#!/bin/sh\\necho \"$0\" >>'\"$MARK\"'\\ncat 2>/dev/null\\n' >../evil; chmod 755 "
       "../evil; "
       "evil=$(cd ..; pwd)/evil; mkdir -p .git/hooks; "
       "for hook in pre-commit post-commit commit-msg prepare-commit-msg post-index-change "
       "reference-transaction post-checkout update pre-auto-gc; do cp \"$evil\" .git/hooks/$hook; "
       "done; "
       "mkdir -p .git/info; echo '* filter=evil diff=evil merge=evil ident' >.git/info/attributes; "
       "for key in core.fsmonitor core.editor core.pager core.sshCommand gpg.program "
       "filter.evil.clean filter.evil.smudge filter.evil.process diff.evil.command "
       "diff.evil.textconv diff.external hook.x.command sequence.editor; do "
       "git config $key \"$evil\"; done; git config hook.x.event reference-transaction; "
       "git config commit.gpgSign true; git config alias.update-index \"!$evil\"; "
       "git config alias.config \"!$evil\"; git config filter.evil.required true; rm -f \"$MARK\"");
    const TbTaskApply *const hows[] = {INDEX, COMMIT, BRANCH};
    for (size_t i = 0; i < G_N_ELEMENTS(hows); i++) {
        g_autoptr(GError) error = NULL;
        ck_assert_msg(try_apply(task, hows[i], NULL, &error), "%s", error ? error->message : "");
        undo(task);
        ck_assert(!g_file_test(mark, G_FILE_TEST_EXISTS));
    }
    /* They are not blunt. */
    DO("git status || :; echo x >>text; git commit -q -a -m x || :");
    ck_assert(g_file_test(mark, G_FILE_TEST_EXISTS));
}
END_TEST

/* Places where git keeps things elsewhere. */
START_TEST(test_odd_repositories)
{
    static const char *const inits[] = {
        "git init -q -b main --object-format=sha256 .",
        "git init -q ../main; git -C ../main commit -q --allow-empty -m Root; cd ..; rmdir "
        "project; "
        "git -C main worktree add -q ../project -b topic",
        "git init -q -b main . ; git config core.splitIndex true; git config index.version 4",
        "git init -q -b deep/in/here --separate-git-dir ../elsewhere .; git config core.worktree "
        "\"$PWD\"",
    };
    make_project(inits[_i]);
    commit_all();
    DO("git pack-refs --all");
    g_autoptr(TbTask) task = task_now();
    g_autofree char *before = sh("git rev-parse HEAD; git ls-files -s");
    apply(task, TB_APPLY_TO_INDEX, NULL);
    undo(task);
    apply(task, TB_APPLY_TO_BRANCH, "fix/it");
    expect("git rev-parse fix/it^{tree}", task->result_tree);
    undo(task);
    apply(task, TB_APPLY_TO_COMMIT, NULL);
    expect("git rev-parse HEAD^{tree}; git status --porcelain", task->result_tree);
    DO("git pack-refs --all");
    undo(task);
    expect("git rev-parse HEAD; git ls-files -s", before);
}
END_TEST

START_TEST(test_detached)
{
    g_autoptr(TbTask) task = ready_task();
    DO("git switch -q --detach");
    apply(task, TB_APPLY_TO_COMMIT, NULL);
    expect("git rev-parse HEAD^{tree}", task->result_tree);
    expect("git log --format=%s main", "First");
    undo(task);
    expect("git log --format=%s", "First");
}
END_TEST

/* No commit yet: the index is the base, the commit the first one. */
START_TEST(test_unborn)
{
    make_project("git init -q -b main .");
    g_autoptr(TbTask) task = task_now();
    DO("git add -A");
    refuse(task, BRANCH, TB_ERROR_UNSUPPORTED, "no commit when the task began");
    refuse(task, COMMIT, TB_ERROR_CONFLICT, "'dir/gone' was not committed");
    apply(task, TB_APPLY_TO_INDEX, NULL);
    undo(task);
}
END_TEST

START_TEST(test_refused)
{
    g_autoptr(TbTask) task = ready_task();
    g_autoptr(GError) error = NULL;
    TbApplyOutcome outcome;
    DO("git config core.repositoryFormatVersion 1; git config extensions.refStorage reftable");
    ck_assert(!tb_task_apply_with(store, task, COMMIT, &outcome, NULL, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(error->message, "reftable"));
    g_clear_error(&error);
    DO("mv .git/HEAD ../gone");
    ck_assert(!tb_task_apply_with(store, task, INDEX, &outcome, NULL, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "has no git repository"));
    g_clear_error(&error);
    DO("mv ../gone .git/HEAD; git config -f .git/config --unset extensions.refStorage");
    ck_assert(tb_task_apply(store, task, false, &outcome, NULL, &error));
    ck_assert(!tb_task_apply_with(store, task, COMMIT, &outcome, NULL, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "undo it first"));
}
END_TEST

START_TEST(test_files)
{
    static const char *const some[] = {"text", NULL};
    g_autoptr(TbTask) task = ready_task();
    g_autoptr(GError) error = NULL;
    TbTaskApply how = {.to = TB_APPLY_TO_COMMIT, .files = some};
    ck_assert_msg(try_apply(task, &how, NULL, &error), "%s", error ? error->message : "");
    expect("git show --format= --name-only; git status --porcelain", "text");
    undo(task);
    expect("git log --format=%s; cat text", "First\none");
}
END_TEST

/* Killed at any moment: the next command finds all of it or nothing, and no lock is left. */
static bool killed_at(const char *id, const TbTaskApply *how, int point)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        TbApplyOutcome outcome;
        TbTask *task = tb_task_open(store, id, NULL);
        tb_apply_testing_fault(point, true);
        if (how)
            tb_task_apply_with(store, task, how, &outcome, NULL, NULL);
        else
            tb_task_undo(store, task, &outcome, NULL, NULL);
        _exit(0);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status);
}

START_TEST(test_killed)
{
    const TbTaskApply *const ways[] = {COMMIT, BRANCH};
    const char *state = "git rev-parse --all; git ls-files -s; git status --porcelain; ls -R";
    g_autofree char *id = NULL;
    {
        g_autoptr(TbTask) task = ready_task();
        id = g_strdup(task->id);
    }
    g_autofree char *before = sh(state);
    int points = 0;
    for (int back = 0; back < 2; back++) {
        g_autofree char *start = sh(state);
        for (int point = 0;; point++, points++) {
            ck_assert(killed_at(id, back ? NULL : ways[_i], point));
            ck_assert(tb_store_reconcile(store, NULL));
            expect("find . -name '*.lock' -o -name '.taskbox-*'", "");
            g_autoptr(TbTask) task = tb_task_open(store, id, NULL);
            g_autofree char *now = sh(state);
            ck_assert_int_eq(task->state,
                             (strcmp(now, before) == 0) ? TB_TASK_READY : TB_TASK_APPLIED);
            if (strcmp(now, start) != 0)
                break;
        }
        DO("git fsck --strict");
    }
    expect(state, before);
    ck_assert_int_gt(points, 12);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("repository");
    tcase_set_timeout(cases, 300);
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, test_index);
    tcase_add_test(cases, test_index_drift);
    tcase_add_test(cases, test_index_undo_drift);
    tcase_add_test(cases, test_commit);
    tcase_add_test(cases, test_commit_beside);
    tcase_add_test(cases, test_uncommitted);
    tcase_add_test(cases, test_commit_refused);
    tcase_add_test(cases, test_identity_anywhere);
    tcase_add_test(cases, test_branch);
    tcase_add_test(cases, test_branch_names);
    tcase_add_test(cases, test_hostile);
    tcase_add_loop_test(cases, test_odd_repositories, 0, 4);
    tcase_add_test(cases, test_detached);
    tcase_add_test(cases, test_unborn);
    tcase_add_test(cases, test_refused);
    tcase_add_test(cases, test_files);
    tcase_add_loop_test(cases, test_killed, 0, 2);
    return suite_run_case("task repository", cases);
}
