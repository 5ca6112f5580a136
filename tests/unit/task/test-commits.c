/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commits of a box: by the script that boxes run, in a copy of the project that plays the box,
 * and by what the host makes of the answer. */
#include "repo-fixture.h"

#include <sys/mman.h>
#include <sys/wait.h>

#include "patch/files.h"
#include "task/commits.h"
#include "task/findings.h"
#include "task/finish.h"

static TbTask *task;
static TbGit *git;
static char *box, *index_path;

static void begin(void)
{
    make_project("git init -q -b main .");
    commit_all();
    DO("git branch old; printf 'x\\n' >second; git add -A; git commit -q -m Second; "
       "printf 'untracked\\n' >untracked");
    task = task_begin();
    git = tb_git_open(task_git, NULL);
    index_path = g_build_filename(task_git, "index-of-test", NULL);
    g_autofree char *base = g_build_filename(root, "base-index", NULL);
    g_autofree char *script = g_strdup_printf("cp %s %s; cp -a . ../box", index_path, base);
    DO(script);
    g_free(index_path);
    index_path = g_steal_pointer(&base);
    box = g_build_filename(root, "box", NULL);
}

static void end(void)
{
    g_clear_pointer(&git, tb_git_free);
    g_clear_pointer(&task, tb_task_free);
    g_clear_pointer(&box, g_free);
    g_clear_pointer(&index_path, g_free);
    tear_down();
}

static void in_box(const char *script)
{
    char *there = project;
    project = box;
    DO("git config user.name Agent; git config user.email agent@box");
    g_unsetenv("GIT_AUTHOR_NAME");
    g_unsetenv("GIT_AUTHOR_EMAIL");
    DO(script);
    environment();
    project = there;
}

static void take_result(void)
{
    char *there = project;
    project = box;
    g_free(task->result_tree);
    task->result_tree = tree_now();
    project = there;
    task->has_patch = true;
}

/* Runs the script of the box; *fd is its answer. The exit status. */
static int ask(const char *path, const char *limit, int *fd)
{
    int answer = memfd_create("answer", 0);
    pid_t child = fork();
    if (child == 0) {
        if (chdir(box) != 0 || dup2(answer, 1) < 0)
            _exit(99);
        if (path)
            setenv("PATH", path, 1);
        execl("/bin/sh", "sh", "-c", tb_task_commits_script, "sh",
              task->base_commit ? task->base_commit : "", limit, NULL);
        _exit(98);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    *fd = answer;
    return WEXITSTATUS(status);
}

static int ask_only(const char *path)
{
    int fd = -1;
    int status = ask(path, "200", &fd);
    close(fd);
    return status;
}

static bool store_answer(const char *limit, unsigned seconds, GError **error)
{
    int fd = -1;
    ck_assert_int_eq(ask(NULL, limit, &fd), 0);
    bool done = tb_task_commits_store(task, git, index_path, fd, seconds, error);
    close(fd);
    return done;
}

static GPtrArray *series_of_box(void)
{
    g_autoptr(GError) error = NULL;
    take_result();
    ck_assert_msg(store_answer("200", 0, &error), "%s", error ? error->message : "");
    GPtrArray *series = tb_task_series(task, &error);
    ck_assert_msg(series != NULL, "%s", error ? error->message : "");
    if (series->len > 0)
        ck_assert_str_eq(((TbSeriesStep *)series->pdata[series->len - 1])->tree, task->result_tree);
    return series;
}

static const TbSeriesStep *step_of(const GPtrArray *series, guint i)
{
    ck_assert_uint_lt(i, series->len);
    return series->pdata[i];
}

/* The paths that a step changes, in a line. */
static void expect_step(const GPtrArray *series, guint i, const char *message, const char *paths)
{
    const char *from = i ? step_of(series, i - 1)->tree : task->base_tree;
    ck_assert_str_eq(step_of(series, i)->message, message);
    g_autoptr(GPtrArray) files = tb_patch_raw(git, from, step_of(series, i)->tree, NULL);
    g_autoptr(GString) names = g_string_new(NULL);
    for (guint n = 0; n < files->len; n++)
        g_string_append_printf(names, "%s%s", n ? " " : "", ((TbPatchFile *)files->pdata[n])->path);
    ck_assert_str_eq(names->str, paths);
}

static void refused(const char *text)
{
    g_autoptr(GError) error = NULL;
    take_result();
    ck_assert(!store_answer("200", 0, &error));
    ck_assert_msg(strstr(error->message, text) != NULL, "%s", error->message);
    ck_assert_uint_eq(task->commits, 0);
    g_autofree char *packs = g_strdup_printf("ls %s/objects/pack | grep tmp_ || :", task_git);
    expect(packs, "");
}

#define TWO_COMMITS                                                                                \
    "printf 'two\\n' >text; git commit -q -a -m 'Change text'; printf 'new\\n' >new; git add "     \
    "new; "                                                                                        \
    "git commit -q -m 'Add new'; printf 'newer\\n' >new; git commit -q -a --amend -m 'Add new: "   \
    "better\n\nWith a body.'; rm -r dir; printf 'not committed\\n' >late"

START_TEST(test_series)
{
    in_box(TWO_COMMITS);
    g_autoptr(GPtrArray) series = series_of_box();
    ck_assert_uint_eq(task->commits, 2);
    ck_assert_uint_eq(series->len, 3);
    expect_step(series, 0, "Change text\n", "text");
    expect_step(series, 1, "Add new: better\n\nWith a body.\n", "new");
    expect_step(series, 2, "", "dir/gone late");
    ck_assert(g_str_has_prefix(step_of(series, 0)->author, "Agent <agent@box> "));
    ck_assert_ptr_null(step_of(series, 2)->commit);
    /* As commits they are the patch. */
    ck_assert(tb_task_save(task, TB_TASK_READY, NULL));
    g_autofree char *files =
        sh("git add untracked; git commit -q -m untracked; git rev-parse HEAD");
    TbApplyOutcome outcome;
    g_autoptr(GError) error = NULL;
    TbTaskApply how = {.to = TB_APPLY_TO_COMMIT};
    ck_assert_msg(tb_task_apply_with(store, task, &how, &outcome, NULL, &error), "%s",
                  error ? error->message : "");
    expect("git log --format='%an/%cn %s' -4", "AI Agent/Tester What was not committed\n"
                                               "Agent/Tester Add new: better\n"
                                               "Agent/Tester Change text\nTester/Tester untracked");
    expect("git rev-parse HEAD^{tree}; git status --porcelain", task->result_tree);
    expect("git rev-parse HEAD~3", files);
    DO("git fsck --strict --no-dangling");
    ck_assert(tb_task_undo(store, task, &outcome, NULL, NULL));
    expect("git rev-parse HEAD; git status --porcelain", files);
    how.to = TB_APPLY_TO_BRANCH;
    how.branch = "fix";
    ck_assert(tb_task_apply_with(store, task, &how, &outcome, NULL, &error));
    expect("git log --format=%s main..fix", "What was not committed\nAdd new: better\nChange text");
    expect("git log --format=%s -1 fix~3", "Second");
    DO("git fsck --strict --no-dangling");
    ck_assert(tb_task_undo(store, task, &outcome, NULL, NULL));
    ck_assert(tb_task_discard(task, NULL));
    g_autofree char *kept = tb_task_path(task, "series");
    ck_assert(!g_file_test(kept, G_FILE_TEST_EXISTS));
}
END_TEST

/* What is in the commits only: found, asked for when they are taken, and harmless then. */
START_TEST(test_words)
{
    static const char *const none[] = {NULL}, *const both[] = {"credential", "terminal-escape",
                                                               NULL};
    in_box("echo ghp_aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2dE3f >key; git add key; "
           "git commit -q -m 'Add a key'; git rm -q key; printf 'two\n' >text; git add text; "
           "printf 'Change \033[31mtext\n\n\342\200\256evil\r\nna\357ve\n' | "
           "git -c i18n.commitEncoding=ISO-8859-1 -c user.name=\"$(printf 'J\366rg\233')\" "
           "commit -q -F -");
    g_autoptr(GPtrArray) series = series_of_box();
    ck_assert_uint_eq(series->len, 2);
    tb_task_findings_make(task, git);
    ck_assert(task->has_findings && task->findings[TB_SEVERITY_HIGH] == 0);
    ck_assert(tb_task_findings_add_commits(task, git, series, NULL));
    ck_assert_uint_eq(task->findings[TB_SEVERITY_HIGH], 4);
    ck_assert(tb_task_save(task, TB_TASK_READY, NULL));
    ck_assert(tb_task_acknowledged(task, none, false, NULL));
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_task_acknowledged(task, none, true, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "credential"));
    g_autoptr(TbFindings) kept = tb_task_findings(task, NULL);
    ck_assert_int_eq(unlinkat(task->dirfd, "findings.json", 0), 0);
    g_autoptr(TbFindings) again = tb_task_findings(task, NULL);
    ck_assert_uint_eq(kept->list->len, again->list->len);
    ck_assert(tb_task_acknowledged(task, both, true, NULL));
    TbApplyOutcome outcome;
    g_clear_error(&error);
    TbTaskApply how = {.to = TB_APPLY_TO_BRANCH, .branch = "fix"};
    ck_assert_msg(tb_task_apply_with(store, task, &how, &outcome, NULL, &error), "%s",
                  error ? error->message : "");
    expect("git -c i18n.logOutputEncoding=UTF-8 log -1 --format='%an%n%B' fix",
           "J\303\266rg\\u{009B}\nChange \\x1B[31mtext\n\n\303\242\\u{0080}\302\256evil\n"
           "na\303\257ve");
    DO("git fsck --strict --no-dangling; ! git cat-file commit fix | grep -q ^encoding");
}
END_TEST

/* What git am makes of the mails, on the commit of the base, in a clone of its own; author and
 * message of each, the oldest last. */
static char *by_git_am(const char *format)
{
    g_autoptr(GError) error = NULL;
    int fd = tb_task_series_mails(task, &error);
    ck_assert_msg(fd >= 0, "%s", error ? error->message : "");
    g_autofree char *mbox = g_build_filename(root, "mbox", NULL);
    int to = open(mbox, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert(to >= 0 && tb_copy_file(fd, to, mbox, NULL));
    close(to);
    close(fd);
    g_autofree char *script = g_strdup_printf(
        "rm -rf ../clone; git clone -q . ../clone; cd ../clone; "
        "printf 'untracked\n' >untracked; git add untracked; git commit -q -m Base; "
        "git am -q --keep-cr ../mbox; git log --format='%s' HEAD ^HEAD~$(grep -c '^From 0' "
        "../mbox); git fsck --strict --no-dangling; git rev-parse HEAD^{tree}",
        format);
    return sh(script);
}

START_TEST(test_mails)
{
    in_box(TWO_COMMITS);
    g_autoptr(GPtrArray) series = series_of_box();
    g_autofree char *out = by_git_am("%an <%ae>%n%B");
    g_autofree char *wanted = g_strdup_printf(
        "AI Agent <agent@internal.sandbox>\nWhat was not committed\n\nTaskbox-Task: %s\n"
        "Taskbox-Base-Tree: %s\nTaskbox-Result-Tree: %s\n\nAgent <agent@box>\n"
        "Add new: better\n\nWith a body.\n\nAgent <agent@box>\nChange text\n\n%s",
        task->id, task->base_tree, task->result_tree, task->result_tree);
    ck_assert_str_eq(out, wanted);
    expect("grep -c '^Taskbox-Tree: ' ../mbox; grep -c '^Subject: .PATCH ./3' ../mbox", "3\n3");
}
END_TEST

/* Messages that look like parts of a mail, names that a header cannot hold as they are, line ends,
 * binary files, a file that becomes a directory. */
START_TEST(test_odd_mails)
{
    in_box("git config user.name 'J\303\266rg \"Q\", (x)'; "
           "printf 'a\\r\\nb\\r\\n' >crlf; printf 'a\\0b' >bin; ln -s /x link; git add .; "
           "printf 'S\303\274bject, with\\ttwo lines\\nand =?utf-8?q?=41?=\\n\\nFrom: me "
           "<m@x>\\n---\\n"
           "diff --git a/text b/text\\n--- a/text\\n+++ b/text\\n@@ -1 +1 @@\\n-one\\n+evil\\n"
           "From x Mon Sep 17 00:00:00 2001\\n----\\n -- \\nend\\n' | "
           "GIT_AUTHOR_DATE='1000000000 +0530' git commit -q --cleanup=verbatim -F -; "
           "git commit -q --allow-empty -m nothing; git rm -q text; mkdir text; echo x >text/in; "
           "git add text; git commit -q --allow-empty-message -m ''");
    g_autoptr(GPtrArray) series = series_of_box();
    ck_assert_uint_eq(series->len, 3);
    g_autofree char *out = by_git_am("%an <%ae>%n%B");
    g_autofree char *wanted = g_strconcat(
        "J\303\266rg Q, (x) <agent@box>\nno message\n\nJ\303\266rg Q, (x) <agent@box>\n"
        "S\303\274bject, with two lines and =?utf-8?q?=41?=\n\n From: me <m@x>\n ---\n"
        " diff --git a/text b/text\n --- a/text\n+++ b/text\n @@ -1 +1 @@\n-one\n+evil\n"
        " From x Mon Sep 17 00:00:00 2001\n----\n --\nend\n\n",
        task->result_tree, NULL);
    ck_assert_str_eq(out, wanted);
    expect("git -C ../clone log --format=%ad -1 HEAD^", "Sun Sep 9 07:16:40 2001 +0530");
}
END_TEST

START_TEST(test_no_mails)
{
    g_autoptr(GError) error = NULL;
    take_result();
    ck_assert_int_eq(tb_task_series_mails(task, &error), -1);
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_NOT_FOUND);
}
END_TEST

/* Without a commit no git is started: there is none. */
START_TEST(test_not_moved)
{
    ck_assert_int_eq(ask_only("/nonexistent"), 10);
    in_box("git status >/dev/null; printf 'two\\n' >text; git add text");
    ck_assert_int_eq(ask_only("/nonexistent"), 10);
    in_box("git switch -q --detach");
    ck_assert_int_eq(ask_only("/nonexistent"), 10);
    in_box("git switch -q main; git pack-refs --all");
    ck_assert_int_eq(ask_only(NULL), 10);
    in_box("git reset -q --hard HEAD^");
    ck_assert_int_eq(ask_only(NULL), 10);
}
END_TEST

START_TEST(test_no_answer)
{
    in_box(TWO_COMMITS);
    ck_assert_int_eq(ask_only("/nonexistent"), 11);
    in_box("cp -a .git ../git; echo 'ref: refs/heads/../../../x' >.git/HEAD");
    ck_assert_int_eq(ask_only(NULL), 12);
    in_box("git init -q .; rm -r .git/refs .git/objects; mkdir .git/refs .git/objects");
    ck_assert_int_eq(ask_only(NULL), 12);
    in_box("rm -r .git");
    ck_assert_int_eq(ask_only(NULL), 12);
}
END_TEST

/* Commits that were the project's before are nobody's work. */
START_TEST(test_known)
{
    DO("git switch -q old; echo y >side; git add side; git commit -q -m Side; git switch -q main");
    g_free(sh("rm -rf ../box; cp -a . ../box"));
    in_box("git switch -q old");
    g_autoptr(GPtrArray) none = series_of_box();
    ck_assert_uint_eq(none->len, 0);
    ck_assert_uint_eq(task->commits, 0);
    in_box("echo z >side; git commit -q -a -m Mine");
    g_autoptr(GPtrArray) one = series_of_box();
    ck_assert_uint_eq(task->commits, 1);
    expect_step(one, 0, "Mine\n", "side");
}
END_TEST

START_TEST(test_shapes)
{
    in_box("printf 'two\\n' >text; git commit -q -a --amend -m 'Second, again'; "
           "git commit -q --allow-empty -m Empty; git switch -q -c side; echo s >side; "
           "git add side; git commit -q -m Side; git switch -q main; git merge -q --no-ff -m Merge "
           "side; rm text; mkdir text; echo in >text/in; git add -A text; "
           "git commit -q -m 'A directory'; git rm -q -r text; git commit -q -m 'And gone'");
    g_autoptr(GPtrArray) series = series_of_box();
    ck_assert_uint_eq(task->commits, 5);
    expect_step(series, 0, "Second, again\n", "text");
    expect_step(series, 1, "Empty\n", "");
    expect_step(series, 2, "Merge\n", "side");
    expect_step(series, 3, "A directory\n", "text text/in");
    expect_step(series, 4, "And gone\n", "text/in");
    ck_assert_uint_eq(series->len, 5);
}
END_TEST

START_TEST(test_cut)
{
    g_autoptr(GError) error = NULL;
    in_box("for i in 1 2 3 4; do echo $i >text; git commit -q -a -m $i; done");
    take_result();
    ck_assert_msg(store_answer("3", 0, &error), "%s", error ? error->message : "");
    ck_assert_uint_eq(task->commits, 3);
    ck_assert_str_eq(task->notes->pdata[0],
                     "only the first 3 of 4 commits came along; the rest is in the last step");
    g_autoptr(GPtrArray) series = tb_task_series(task, NULL);
    ck_assert_uint_eq(series->len, 4);
    ck_assert_str_eq(step_of(series, 3)->tree, task->result_tree);
}
END_TEST

/* What the patch does not carry no step carries. */
START_TEST(test_not_carried)
{
    in_box(
        "git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),sub; "
        "printf 'two\\n' >text; git add text; git commit -q -m Submodule; git rm -q --cached sub");
    g_autoptr(GPtrArray) series = series_of_box();
    expect_step(series, 0, "Submodule\n", "text");
    ck_assert_str_eq(task->result_tree, step_of(series, 0)->tree);
    ck_assert_uint_eq(task->notes->len, 1);
    ck_assert_ptr_nonnull(strstr(task->notes->pdata[0], "'sub' of commit"));
}
END_TEST

#define TREE_OF(entry) "tree=$(printf '" entry "' | git mktree --missing); "
#define COMMIT_TREE    "git reset -q --soft $(git commit-tree -p HEAD -m x $tree)"
#define COMMIT_TEXT(text)                                                                          \
    "git update-ref HEAD $(printf 'tree '$(git write-tree)'\\nparent '$(git rev-parse "            \
    "HEAD)'\\n" text "' | git hash-object -t commit -w --literally --stdin)"

static const struct {
    const char *plant, *text;
} hostile[] = {
    {"b=$(git hash-object -w text); " TREE_OF("100644 blob '$b'\\t.git\\n") COMMIT_TREE, "git"},
    {"b=$(git hash-object -w text); " TREE_OF("100644 blob '$b'\\t..\\n") COMMIT_TREE, "git"},
    {COMMIT_TEXT("author A\\033[2J <a> 1 +0000\\ncommitter A <a> 1 +0000\\n\\nx"), "author"},
    {COMMIT_TEXT("author A <a> x +0000\\ncommitter A <a> 1 +0000\\n\\nx"), "git"},
    {COMMIT_TEXT("author A <a> 1 +0000\\ncommitter A <a> 1 +0000\\n\\nx\\000y"), ""},
    {COMMIT_TEXT("author A <a> 1 +0000\\ncommitter A <a> 1 +0000\\n\\n'\"$(seq 1 20000)\"'"),
     "larger than 64 KiB"},
};

START_TEST(test_hostile)
{
    in_box(hostile[_i].plant);
    refused(hostile[_i].text);
}
END_TEST

static bool store_bytes(const void *bytes, size_t length)
{
    int fd = memfd_create("answer", 0);
    ck_assert_int_eq(write(fd, bytes, length), (ssize_t)length);
    bool done = tb_task_commits_store(task, git, index_path, fd, 0, NULL);
    close(fd);
    return done;
}

/* The answer cut at many places, and with bytes changed. */
START_TEST(test_broken_answer)
{
    in_box(TWO_COMMITS);
    take_result();
    int fd = -1;
    ck_assert_int_eq(ask(NULL, "200", &fd), 0);
    static char answer[1 << 20];
    ssize_t length = pread(fd, answer, sizeof answer, 0);
    ck_assert_int_gt(length, 200);
    for (ssize_t cut = 0; cut < length; cut += 137)
        ck_assert(!store_bytes(answer, (size_t)cut));
    for (ssize_t at = 0; at < length; at += 173) {
        answer[at] ^= 0x55;
        (void)store_bytes(answer, (size_t)length);
        ck_assert_uint_eq(task->commits, 0);
        answer[at] ^= 0x55;
    }
    close(fd);
}
END_TEST

/* A few kilobytes that stand for a tree of millions of files. */
START_TEST(test_bomb)
{
    in_box(
        "b=$(git hash-object -w text); t=$(for i in 0 1 2 3 4 5 6 7 8 9; do "
        "printf '100644 blob %s\\tf%s\\n' $b $i; done | git mktree); for n in 1 2 3 4 5 6 7 8; do "
        "t=$(for i in 0 1 2 3 4 5 6 7 8 9; do printf '040000 tree %s\\td%s\\n' $t $i; done | "
        "git mktree); done; git update-ref HEAD $(git commit-tree -p HEAD -m x $t)");
    g_autoptr(GError) error = NULL;
    task->result_tree = g_strdup(task->base_tree);
    int64_t start = g_get_monotonic_time();
    ck_assert(!store_answer("200", 2, &error));
    ck_assert_int_lt(g_get_monotonic_time() - start, 30 * G_USEC_PER_SEC);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("commits");
    tcase_set_timeout(cases, 300);
    tcase_add_checked_fixture(cases, set_up, NULL);
    tcase_add_checked_fixture(cases, begin, end);
    tcase_add_test(cases, test_series);
    tcase_add_test(cases, test_words);
    tcase_add_test(cases, test_mails);
    tcase_add_test(cases, test_odd_mails);
    tcase_add_test(cases, test_no_mails);
    tcase_add_test(cases, test_not_moved);
    tcase_add_test(cases, test_no_answer);
    tcase_add_test(cases, test_known);
    tcase_add_test(cases, test_shapes);
    tcase_add_test(cases, test_cut);
    tcase_add_test(cases, test_not_carried);
    tcase_add_loop_test(cases, test_hostile, 0, G_N_ELEMENTS(hostile));
    tcase_add_test(cases, test_broken_answer);
    tcase_add_test(cases, test_bomb);
    return suite_run_case("task commits", cases);
}
