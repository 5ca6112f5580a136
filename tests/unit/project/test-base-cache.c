/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kept base tree: taken when nothing changed, never when anything did. What is right is what
 * tb_project_base_tree makes from nothing.
 */
#include "../suite.h"
#include "repo.h"

#define SETTLED "sleep 0.05" /* longer than a change counts as recent */

/* One run's answer: the tree, its index as text, the notes. Its git directory is top/gitN. */
typedef struct {
    char *tree, *index;
    GPtrArray *notes;
    unsigned nested;
} Answer;

static unsigned runs;
static const char *scan_begins_with; /* at the change of this file */

static void answer_clear(Answer *answer)
{
    g_free(answer->tree);
    g_free(answer->index);
    g_ptr_array_unref(answer->notes);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Answer, answer_clear)

static TbGit *new_git(TbProject *project, char **path)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) alternates = tb_project_alternates(project, &error);
    g_autofree char *name = g_strdup_printf("git%u", ++runs);
    *path = in_top(name);
    TbGit *git =
        tb_git_create(*path, tb_project_sha256(project), (const char *const *)alternates, &error);
    ck_assert_msg(git != NULL, "%s", error ? error->message : "");
    return git;
}

static Answer ask(bool with_cache)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    Answer answer = {.notes = g_ptr_array_new_with_free_func(g_free)};
    g_autoptr(TbProject) project = open_project("p");
    g_autoptr(TbProjectImage) image = tb_project_image_open(project, "erofs", &error);
    ck_assert_ptr_nonnull(image);
    g_autoptr(TbScan) scan = scan_project(project);
    if (scan_begins_with)
        scan->started = tb_scan_find(scan, scan_begins_with)->ctime;
    g_autoptr(TbGit) git = new_git(project, &path);
    g_autofree char *index = g_build_filename(path, "base-index", NULL);
    answer.tree = with_cache
                      ? tb_project_base(image, scan, git, index, answer.notes, &error)
                      : tb_project_base_tree(project, scan, git, index, answer.notes, &error);
    ck_assert_msg(answer.tree != NULL, "%s", error ? error->message : "");
    answer.index = shell("GIT_INDEX_FILE=%s git --git-dir=%s ls-files -s", index, path);
    answer.nested = tb_scan_nested(scan)->len;
    ck_assert(tb_project_image_fill(image, scan, &error));
    return answer;
}

/* With the cache as without it. */
static void check_answer(void)
{
    g_auto(Answer) got = ask(true);
    g_auto(Answer) right = ask(false);
    ck_assert_str_eq(got.tree, right.tree);
    ck_assert_str_eq(got.index, right.index);
    ck_assert_uint_eq(got.nested, right.nested);
    ck_assert_uint_eq(got.notes->len, right.notes->len);
    for (guint i = 0; i < got.notes->len; i++)
        ck_assert_str_eq(got.notes->pdata[i], right.notes->pdata[i]);
}

static bool is_kept(void)
{
    g_autofree char *found = shell("ls -d cache/taskbox/projects/*/base 2>/dev/null || true");
    return found[0] != '\0';
}

/* Swaps the kept index for an empty one: whoever takes what is kept then gets that. */
static void poison(void)
{
    run("cd cache/taskbox/projects/*/base; rm index; GIT_INDEX_FILE=$PWD/index git "
        "--git-dir=%s/p/.git read-tree --empty",
        top);
}

static bool next_takes_it(void)
{
    poison();
    g_auto(Answer) answer = ask(true);
    return answer.index[0] == '\0';
}

static void make_project(void)
{
    run("cd p; git init -q; mkdir a; for i in 1 2 3; do echo $i >a/$i; done; echo '*.o' "
        ">.gitignore; "
        "ln -s a/1 link; git add -A; git commit -qm one; echo changed >>a/2; echo new >untracked; "
        "echo object >a.o; " SETTLED);
}

START_TEST(unchanged_is_taken)
{
    make_project();
    check_answer();
    ck_assert(is_kept());
    check_answer();
    run("touch p/.git/index.lock p/a/.swap; rm p/.git/index.lock p/a/.swap"); /* as git status does
                                                                               */
    ck_assert(next_takes_it());
}
END_TEST

START_TEST(all_objects_come_along)
{
    make_project();
    g_auto(Answer) first = ask(true);
    g_auto(Answer) second = ask(true);
    ck_assert_str_eq(first.tree, second.tree);
    g_autofree char *text = shell("export GIT_DIR=git%u; git show %s:untracked; git show %s:a/2; "
                                  "git fsck --no-dangling %s",
                                  runs, second.tree, second.tree, second.tree);
    ck_assert_str_eq(text, "new\n2\nchanged");
}
END_TEST

static const char *const changes[] = {
    "touch -r a/1 ../mark; echo 9 >a/1; touch -r ../mark a/1", /* size, mtime, inode stay */
    "echo 9 >b; touch -r a/1 b; mv b a/1",
    "chmod +x a/1",
    "mv a/1 a/0",
    "rm a/1",
    "rm -r a",
    "ln -sfn a/2 link",
    "echo more >fresh",
    "echo more >fresh.o", /* ignored: no other tree, but the walk saw it */
    "echo a/3 >>.gitignore; git rm -q --cached a/3",
    "echo untracked >>.git/info/exclude",
    "echo untracked >%s/home/rules; git config --global core.excludesFile %s/home/rules",
    "git add -A",
    "git rm -q --cached a/1",
    "git commit -qam two",
    "git update-index --assume-unchanged a/2; echo again >>a/2",
    "echo '*.txt text eol=crlf' >.gitattributes",
    "git init -q sub; echo x >sub/y",
    "git gc -q --prune=now",
};

START_TEST(a_change_is_seen)
{
    make_project();
    g_auto(Answer) before = ask(true);
    ck_assert(is_kept());
    poison();
    g_autofree char *format = g_strdup_printf("cd p; %s; " SETTLED, changes[_i]);
    g_auto(GStrv) parts = g_strsplit(format, "%s", -1);
    g_autofree char *script = g_strjoinv(top, parts);
    run("%s", script);
    check_answer();
}
END_TEST

START_TEST(users_rules_are_seen)
{
    make_project();
    run("echo nothing >home/rules; git config --global core.excludesFile ~/rules");
    g_auto(Answer) first = ask(true);
    ck_assert(is_kept());
    poison();
    run("echo untracked >home/rules");
    check_answer();
}
END_TEST

/* The walk begins in the moment in which a file was changed: it can change again unseen. */
START_TEST(what_is_recent_is_not_kept)
{
    make_project();
    scan_begins_with = "a/3";
    g_auto(Answer) first = ask(true);
    ck_assert(!is_kept());
    scan_begins_with = NULL;
    g_auto(Answer) second = ask(true);
    ck_assert(is_kept());
}
END_TEST

static const char *const damages[] = {
    "rm record",
    "truncate -s 40 record",
    "truncate -s 0 record",
    "rm index",
    "rm -r objects",
    "tr '[a-f]' '[b-fa]' <record >r; mv r record",
    "rm -r objects; ln -s / objects",
    "rm index; ln -s /etc/passwd index",
    "rm record; mkfifo record",
};

START_TEST(damage_makes_it_anew)
{
    make_project();
    g_auto(Answer) first = ask(true);
    run("cd cache/taskbox/projects/*/base; %s", damages[_i]);
    check_answer();
}
END_TEST

START_TEST(too_much_is_not_kept)
{
    make_project();
    run("cd p; head -c 70000000 /dev/urandom >large; " SETTLED);
    g_auto(Answer) first = ask(true);
    ck_assert(!is_kept());
}
END_TEST

START_TEST(no_repository)
{
    run("cd p; echo one >one; mkdir d; echo two >d/two; " SETTLED);
    check_answer();
    ck_assert(is_kept());
    check_answer();
}
END_TEST

START_TEST(notes_and_nested_repositories)
{
    run("cd p; git init -q; git init -q inner; echo x >inner/x; echo y >y; git add y; "
        "git commit -qm one; mkdir -p 'odd/git~1'; echo z >'odd/git~1/z'; " SETTLED);
    check_answer();
    check_answer();
}
END_TEST

START_TEST(gc_takes_it_along)
{
    unsigned count = 0;
    uint64_t bytes = 0;
    make_project();
    g_auto(Answer) first = ask(true);
    ck_assert(is_kept());
    ck_assert(tb_project_images_gc(0, true, &count, &bytes, NULL));
    ck_assert(!is_kept());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base-cache");
    TCase *tcase = tcase_create("base-cache");
    tcase_set_timeout(tcase, 240);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, unchanged_is_taken);
    tcase_add_test(tcase, all_objects_come_along);
    tcase_add_loop_test(tcase, a_change_is_seen, 0, G_N_ELEMENTS(changes));
    tcase_add_test(tcase, users_rules_are_seen);
    tcase_add_test(tcase, what_is_recent_is_not_kept);
    tcase_add_loop_test(tcase, damage_makes_it_anew, 0, G_N_ELEMENTS(damages));
    tcase_add_test(tcase, too_much_is_not_kept);
    tcase_add_test(tcase, no_repository);
    tcase_add_test(tcase, notes_and_nested_repositories);
    tcase_add_test(tcase, gc_takes_it_along);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
