/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tree on top of the delta: whatever the project has become, the box has it as the tree says,
 * and what git does not know of it stays.
 */
#include "box.h"

#define ROUNDS 12

/* What differs between two trees, as tb_delta_put_tree takes it. */
static GArray *differences(const char *git, const char *from, const char *to, GPtrArray *texts)
{
    g_autofree char *out = shell("git --git-dir=%s diff-tree -r --no-renames %s %s", git, from, to);
    g_auto(GStrv) lines = g_strsplit(out, "\n", -1);
    GArray *entries = g_array_new(FALSE, FALSE, sizeof(TbTreeEntry));
    for (char **line = lines; *line && **line; line++) {
        char **words = g_strsplit_set(*line, " \t", 6);
        g_ptr_array_add(texts, words);
        TbTreeEntry entry = {words[5], words[3], (uint32_t)strtoul(words[1], NULL, 8)};
        g_array_append_val(entries, entry);
    }
    return entries;
}

static void free_words(void *words)
{
    g_strfreev(words);
}

/* The project p in a box, as the tree has it, at top/x. */
static void enter_with(const char *tree)
{
    static unsigned count;
    g_autoptr(GError) error = NULL;
    g_autoptr(TbProject) project = open_project("p");
    g_autoptr(TbProjectImage) image = tb_project_image_open(project, "erofs", &error);
    ck_assert_ptr_nonnull(image);
    g_autoptr(TbScan) scan = scan_project(project);
    if (tb_project_image_outgrown(image, scan))
        ck_assert(tb_project_image_renew(image, &error));
    g_autofree char *name = g_strdup_printf("git-%u", count++);
    g_autoptr(GPtrArray) notes = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *now = base_tree_at(project, scan, name, notes);
    ck_assert(tb_project_image_fill(image, scan, &error));
    g_autoptr(TbDelta) delta = tb_delta_new(image, scan, &error);
    ck_assert_ptr_nonnull(delta);
    g_autofree char *path = in_top(name);
    g_autoptr(TbGit) git = tb_git_open(path, &error);
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(free_words);
    g_autoptr(GArray) entries = differences(name, now, tree, texts);
    ck_assert_msg(tb_delta_put_tree(delta, git, (const TbTreeEntry *)(void *)entries->data,
                                    entries->len, &error),
                  "%s", error ? error->message : "");
    enter_box(tb_project_image_path(image), delta);
}

/* top/x without .git has the tree's files, with their kinds and modes, and no other that git would
 * take. */
static void check_box(const char *tree)
{
    run("rm -rf want got; mkdir want; git --git-dir=p/.git archive %s | tar -x -C want; "
        "cp -a x got; rm -rf got/.git; find got -name '*.o' -delete; find got -type d -empty "
        "-delete; mkdir -p "
        "got; "
        "for d in want got; do (cd $d; find . -type f -printf '%%p %%M\\n' -o -type d -printf '%%p "
        "d\\n' -o -type l -printf '%%p "
        "%%l\\n' | "
        "sed 's/-rw-.*/f/; s/-rwx.*/x/' | sort; find . -type f -print0 | sort -z | "
        "xargs -0r sha256sum) >$d.txt; done; diff want.txt got.txt >&2",
        tree);
}

START_TEST(back_to_what_it_was)
{
    run("cd p; git init -q; mkdir -p d/e; echo one >a; echo two >d/b; echo three >d/e/c; echo x "
        ">run; "
        "chmod 755 run; ln -s a link; echo '*.o' >.gitignore; git add -A; git commit -qm first; "
        "echo o >t.o; chmod 700 d");
    g_autofree char *tree = shell("git -C p rev-parse 'HEAD^{tree}'");
    enter_with(tree); /* makes the image */
    check_box(tree);
    run("cd p; rm -r d; echo now a file >d; rm a; mkdir a; echo deep >a/deep; chmod 644 run; "
        "rm link; echo 'no link' >link; echo new >new; mkdir -p n/m/k h/i; echo 1 >n/m/f; echo 2 "
        ">n/m/k/f; "
        "echo 3 >h/i/f; echo 4 >h/g.o; git add -A; git commit -qm second");
    enter_with(tree);
    check_box(tree);
    run("test \"$(cat x/t.o)\" = o"); /* git does not know it: as it is */
    run("test ! -e x/n; test -e x/h/g.o; test ! -e x/h/i");
}
END_TEST

START_TEST(modes_of_directories_stay)
{
    run("cd p; git init -q; mkdir -p d/e; echo one >d/e/f; chmod 750 d; chmod 711 d/e; git add -A; "
        "git commit -qm first; chmod 660 d/e/f");
    g_autofree char *tree = shell("git -C p rev-parse 'HEAD^{tree}'");
    run("cd p; echo two >d/e/f");
    enter_with(tree);
    check_box(tree);
    run("test \"$(stat -c %%a x/d x/d/e x/d/e/f | tr '\\n' ' ')\" = '750 711 660 '");
}
END_TEST

START_TEST(large_and_empty)
{
    run("cd p; git init -q; head -c 5000000 /dev/urandom >big; : >empty; git add -A; git commit "
        "-qm "
        "one");
    g_autofree char *tree = shell("git -C p rev-parse 'HEAD^{tree}'");
    run("cd p; rm big empty; echo >other");
    enter_with(tree);
    check_box(tree);
}
END_TEST

START_TEST(a_repository_of_its_own_is_left_alone)
{
    run("git init -q sub; cd sub; echo s >s; git add -A; git commit -qm s; cd ../p; git init -q; "
        "git submodule add -q ../sub sub; git commit -qm one");
    g_autofree char *tree = shell("git -C p rev-parse 'HEAD^{tree}'");
    run("cd p; git rm -q --cached sub; git commit -qm two; rm .gitmodules");
    enter_with(tree);
    run("test \"$(cat x/sub/s)\" = s");
}
END_TEST

/* Any two states of a few names that are now a file, now a directory, a link, nothing. */
START_TEST(any_tree_on_any_other)
{
    const char *seed_text = g_getenv("TASKBOX_TEST_SEED");
    guint32 seed = seed_text ? (guint32)strtoul(seed_text, NULL, 10) : g_random_int();
    g_test_message("seed %u", seed);
    fprintf(stderr, "TASKBOX_TEST_SEED=%u\n", seed);
    run("cd p; git init -q");
    static const char state[] =
        "cd p; RANDOM=%u; find . -mindepth 1 -maxdepth 1 ! -name .git -exec rm -rf {} +; "
        "make() { case $((RANDOM %% 5)) in "
        "0) ;; "
        "1) echo $RANDOM >$1;; "
        "2) echo $RANDOM >$1; chmod 755 $1;; "
        "3) ln -s to$((RANDOM %% 3)) $1;; "
        "4) mkdir $1; if [ $2 -gt 0 ]; then make $1/a $(($2 - 1)); make $1/b $(($2 - 1)); fi;; "
        "esac; }; make a 2; make b 2; make c 1; make d 0; git add -A; "
        "git commit -q --allow-empty -m x; git rev-parse 'HEAD^{tree}'";
    for (unsigned i = 0; i < ROUNDS; i++) {
        g_autofree char *wanted = shell(state, seed + 2 * i);
        g_autofree char *other = shell(state, seed + 2 * i + 1);
        enter_with(wanted);
        check_box(wanted);
        enter_with(other); /* nothing to put */
        check_box(other);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {back_to_what_it_was, modes_of_directories_stay, large_and_empty,
                                  a_repository_of_its_own_is_left_alone, any_tree_on_any_other};
    return run_suite("tree", tests, G_N_ELEMENTS(tests));
}
