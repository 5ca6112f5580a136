/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The base tree is what git itself would make of the project, and the project stays untouched. */
#include "repo.h"

/* A repository with some of everything. */
#define START                                                                                      \
    "cd p; git init -q; mkdir -p d/e; echo one >a; echo two >d/b; echo three >d/e/c; "             \
    "echo x >run; chmod +x run; ln -s a link; printf 'bin\\0\\r\\n' >bin; "                        \
    "printf '*.o\\n/ignored/\\n' >.gitignore; git add -A; git commit -qm x; "

/* `git add -A; git write-tree` in a copy. */
static char *wanted_tree(const char *name)
{
    return shell("rm -rf copy; cp -a %s copy; cd copy; git add -A >&2; git write-tree", name);
}

static void check_same(const char *name)
{
    g_autofree char *before = fingerprint(name);
    g_autofree char *tree = base_tree(name, NULL);
    g_autofree char *after = fingerprint(name);
    ck_assert_str_eq(before, after);
    g_autofree char *wanted = wanted_tree(name);
    ck_assert_str_eq(tree, wanted);
}

/* The id that the tree has for a path: "MODE blob ID". */
static char *tree_entry(const char *tree, const char *path)
{
    return shell("d=$(ls -d git[0-9]* | sort -V | tail -1); "
                 "GIT_DIR=$d git ls-tree -r %s -- '%s' | cut -f1",
                 tree, path);
}

START_TEST(clean)
{
    run(START);
    check_same("p");
}
END_TEST

START_TEST(all_kinds_of_changes)
{
    run(START
        "echo more >>a; rm d/b; chmod -x run; chmod +x bin; ln -sf d link; echo n >new; "
        "mkdir -p x/y/z; echo deep >x/y/z/f; echo o >x/t.o; mkdir ignored; echo i >ignored/f; "
        "echo staged >staged; git add staged; echo again >>staged; : >empty; mkdir nothing; "
        "git rm -q --cached d/e/c");
    check_same("p");
}
END_TEST

START_TEST(kinds_swap)
{
    run(START "rm a link; rm -r d; mkdir a; echo in >a/f; echo file >link; ln -s nowhere d");
    check_same("p");
}
END_TEST

START_TEST(odd_names)
{
    run(START "printf x >' a b '; printf x >$'new\\nline'; printf x >'q\"uo\\te'; printf x "
              ">$'\\377\\376'; "
              "printf x >-n; printf x >'*'; printf x >':(top)x'; printf x >$'tab\\there'; "
              "printf x >'\303\274'; git add ' a b ' '*'; printf y >' a b '");
    check_same("p");
}
END_TEST

START_TEST(from_a_subdirectory_and_a_fresh_repository)
{
    run("cd p; git init -q; mkdir s; echo f >s/f; echo g >g");
    check_same("p");
    g_autofree char *from_sub = base_tree("p/s", NULL);
    g_autofree char *wanted = wanted_tree("p");
    ck_assert_str_eq(from_sub, wanted);
}
END_TEST

START_TEST(no_repository)
{
    run("cd p; mkdir -p s/t; echo f >s/f; echo '*.log' >s/.gitignore; echo l >s/t/x.log; ln -s f "
        "s/l");
    g_autofree char *tree = base_tree("p", NULL);
    g_autofree char *wanted =
        shell("cp -a p copy; cd copy; git init -q; git add -A; git write-tree");
    ck_assert_str_eq(tree, wanted);
}
END_TEST

START_TEST(empty_directory)
{
    g_autofree char *tree = base_tree("p", NULL);
    ck_assert_str_eq(tree, "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
}
END_TEST

START_TEST(sha256)
{
    run("cd p; git init -q --object-format=sha256; echo a >a; git add a; git commit -qm x; echo b "
        ">>a; "
        "echo n >n");
    check_same("p");
}
END_TEST

START_TEST(worktree_and_its_own_excludes)
{
    run(START "echo '*.mine' >.git/info/exclude; git worktree add -q ../w; cd ../w; echo x >>a; "
              "echo m >y.mine; echo n >n");
    check_same("w");
}
END_TEST

START_TEST(user_excludes)
{
    run(START
        "mkdir -p ../home/.config/git; echo '*.swp' >../home/.config/git/ignore; echo s >a.swp; "
        "echo '!keep.swp' >.git/info/exclude; echo k >keep.swp");
    check_same("p");
    run("echo '*.bak' >home/rules; git config --global core.excludesFile '~/rules'; echo b "
        ">p/a.bak");
    g_autofree char *root = in_top("p");
    g_autoptr(TbProject) project = tb_project_open(root, NULL);
    const char *excludes = tb_project_user_excludes(project);
    g_autofree char *wanted = in_top("home/rules");
    ck_assert_pstr_eq(excludes, wanted);
    check_same("p");
}
END_TEST

/* Whether git was asked for the user's ignore file, and what came of it. */
static void check_asked(const char *config, bool asked, const char *wanted)
{
    run("rm -rf asked home/.config home/.gitconfig; mkdir -p home/.config/git; "
        "echo >home/.config/git/ignore; %s",
        config);
    g_autofree char *path = g_strdup(g_getenv("PATH")), *fake = in_top("fake");
    g_autofree char *first = g_strconcat(fake, ":", path, NULL);
    g_autofree char *root = in_top("p"), *mark = in_top("asked"), *file = in_top(wanted);
    g_autoptr(TbProject) project = tb_project_open(root, NULL);
    g_setenv("PATH", first, TRUE);
    ck_assert_pstr_eq(tb_project_user_excludes(project), file);
    g_setenv("PATH", path, TRUE);
    ck_assert_int_eq(g_file_test(mark, G_FILE_TEST_EXISTS), asked);
}

/* The repository's word counts before the user's. */
START_TEST(line_ends)
{
    static const struct {
        const char *config;
        bool converts;
    } cases[] = {
        {":", false},
        {"git config --global core.autocrlf input", true},
        {"git config --global core.autocrlf TRUE", true},
        {"git config --global core.autocrlf false", false},
        {"git config --global core.autocrlf true; git -C p config core.autocrlf false", false},
        {"git config --global core.autocrlf false; git -C p config core.autocrlf input", true},
        {"printf '[core]\nautocrlf\n' >more; printf '[include]\npath = ../more\n' >home/.gitconfig",
         true},
    };
    run(START);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        run("rm -rf home/.config home/.gitconfig; mkdir -p home; git -C p config --unset "
            "core.autocrlf || :; %s",
            cases[i].config);
        g_autofree char *root = in_top("p");
        g_autoptr(TbProject) project = tb_project_open(root, NULL);
        ck_assert_msg(tb_project_autocrlf(project) == cases[i].converts, "%s", cases[i].config);
    }
}
END_TEST

START_TEST(git_is_asked_for_excludes_only_when_something_is_said)
{
    run(START "cd ..; mkdir fake; echo >rules; mkdir -p home; "
              "printf '#!/bin/sh\\ntouch %%s/asked\\nexec %%s \"$@\"\\n' \"$PWD\" "
              "\"$(command -v git)\" >fake/git; chmod +x fake/git");
    check_asked(":", false, "home/.config/git/ignore");
    check_asked("printf '[user]\\nname = x\\n' >home/.gitconfig", false, "home/.config/git/ignore");
    check_asked("printf \"[CORE]\\nexcludesFILE = $PWD/rules\\n\" >home/.gitconfig", true, "rules");
    check_asked("printf \"[core]\\nexcludesfile = $PWD/rules\\n\" >home/.config/git/config", true,
                "rules");
    check_asked("printf \"[core]\\nexcludesfile = $PWD/rules\\n\" >more; "
                "printf \"[include]\\npath = $PWD/more\\n\" >home/.gitconfig",
                true, "rules");
    check_asked("printf '[user]\\nname = x\\n' >home/.gitconfig; "
                "printf \"[core]\\nexcludesfile = $PWD/rules\\n\" >home/.config/git/config",
                true, "rules");
    check_asked("printf '# \\000\\n[core]\\nexcludesfile = %s/rules\\n' \"$PWD\" >home/.gitconfig",
                true, "rules");
}
END_TEST

/* Bits and times that tell git not to look. */
START_TEST(hidden_changes_are_seen)
{
    run(START
        "sleep 0.1; git update-index --assume-unchanged a; git update-index --skip-worktree d/b; "
        "echo ONE >a; echo TWO >d/b; t=$(stat -c %%y run); echo y >run; touch -d \"$t\" run; "
        "git config core.trustctime false; git config core.checkStat minimal");
    g_autofree char *before = fingerprint("p");
    g_autofree char *tree = base_tree("p", NULL);
    g_autofree char *after = fingerprint("p");
    ck_assert_str_eq(before, after);
    g_autofree char *wanted =
        shell("cp -a p copy; cd copy; rm .git/index; git add -A; git write-tree");
    ck_assert_str_eq(tree, wanted);
}
END_TEST

/* The same size, the same moment: only racy entries' contents tell. */
START_TEST(racy_entries)
{
    run("cd p; git init -q; for i in $(seq 40); do echo a$i >f; git add f; echo b$i >f; "
        "cp f g; git add g; done");
    check_same("p");
}
END_TEST

START_TEST(intent_to_add_and_unmerged)
{
    run(START "echo intent >i; git add -N i; echo gone >j; git add -N j; rm j; "
              "git checkout -q -b side; echo side >a; git commit -qam s; git checkout -q main; "
              "echo main >a; git commit -qam m; git merge -q side >/dev/null || true; "
              "test -n \"$(git ls-files -u)\"");
    check_same("p");
}
END_TEST

START_TEST(sparse_checkout)
{
    run(START "git sparse-checkout set d >/dev/null; test ! -e a || true; echo more >>d/b");
    check_same("p");
    run("cd p; git sparse-checkout set --cone --sparse-index d/e >/dev/null");
    check_same("p");
}
END_TEST

START_TEST(split_index_and_versions)
{
    run(START "git update-index --split-index; echo x >>a; git add a; echo n >n; "
              "ls .git/sharedindex.* >/dev/null");
    check_same("p");
    run("cd p; git update-index --no-split-index --index-version 4 --untracked-cache");
    check_same("p");
}
END_TEST

/* What the box sees is what the base tree holds: bytes of the disk, not of the filters. */
START_TEST(filters_do_not_apply)
{
    run(START "printf '*.txt text eol=crlf\\n*.id ident\\n*.up filter=up\\n*.u16 "
              "working-tree-encoding=UTF-16LE text\\n' >.gitattributes; "
              "git config filter.up.clean 'tr a-z A-Z'; git config filter.up.smudge 'tr A-Z a-z'; "
              "printf 'l1\\r\\nl2\\r\\n' >x.txt; printf '$Id$\\n' >x.id; echo same size >x.up; "
              "printf 'h\\0i\\0' >x.u16; git add -A; git commit -qm f; rm x.*; "
              "git checkout -q -- .; sleep 0.1; touch .git/index");
    const char *names[] = {"x.txt", "x.id", "x.up", "x.u16", "a", ".gitattributes"};
    g_autofree char *tree = base_tree("p", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *got = tree_entry(tree, names[i]);
        g_autofree char *raw =
            shell("cd p; echo 100644 blob $(git hash-object --no-filters %s)", names[i]);
        ck_assert_msg(strcmp(got, raw) == 0, "%s: %s, not %s", names[i], got, raw);
    }
    /* Filters that only the git directory names. */
    run("cd p; git rm -q --cached .gitattributes; mv .gitattributes .git/info/attributes; "
        "git commit -qm g; sleep 0.1; touch .git/index");
    g_autofree char *again = base_tree("p", NULL);
    g_autofree char *got = tree_entry(again, "x.up");
    g_autofree char *raw = shell("cd p; echo 100644 blob $(git hash-object --no-filters x.up)");
    ck_assert_str_eq(got, raw);
    g_autofree char *left = shell("ls git*/info/attributes 2>/dev/null || true");
    ck_assert_str_eq(left, "");
}
END_TEST

START_TEST(autocrlf)
{
    run("git config --global core.autocrlf true; cd p; git init -q; printf 'a\\r\\nb\\r\\n' >t; "
        "git add t 2>/dev/null; git commit -qm x; sleep 0.1; touch .git/index");
    g_autofree char *tree = base_tree("p", NULL);
    g_autofree char *got = tree_entry(tree, "t");
    g_autofree char *raw = shell("cd p; echo 100644 blob $(git hash-object --no-filters t)");
    ck_assert_str_eq(got, raw);
}
END_TEST

START_TEST(submodules_and_nested_repositories)
{
    run(START "git init -q ../s; git -C ../s commit -q --allow-empty -m x; "
              "git submodule -q add ../s sub; git commit -qm s; git init -q nested; "
              "echo n >nested/n; git -C nested add n; git -C nested commit -qm n");
    g_autoptr(GPtrArray) notes = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *tree = base_tree("p", notes);
    g_autofree char *wanted = shell("cd p; git write-tree");
    ck_assert_str_eq(tree, wanted);
    ck_assert(has_line(notes, "sub: "));
    ck_assert(has_line(notes, "nested: "));
}
END_TEST

/* A directory whose files the project tracks is the project's, whatever else lies in it. */
START_TEST(tracked_files_beside_a_nested_git)
{
    run(START
        "git init -q d; git -C d add -A; git -C d commit -qm d; git init -q n; echo more >>d/b");
    g_autoptr(TbProject) project = open_project("p");
    g_autoptr(TbScan) scan = scan_project(project);
    ck_assert_uint_eq(tb_scan_nested(scan)->len, 2);
    g_autoptr(GPtrArray) notes = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *tree = base_tree_at(project, scan, "git0", notes);
    g_autofree char *wanted = shell("cd p; rm -rf d/.git n; git add -A; git write-tree");
    ck_assert_str_eq(tree, wanted);
    ck_assert_uint_eq(tb_scan_nested(scan)->len, 1);
    ck_assert_str_eq(tb_scan_nested(scan)->pdata[0], "n");
}
END_TEST

START_TEST(names_git_refuses_are_noted)
{
    run(START "mkdir '.GIT '; echo x >'.GIT /config'; mkdir git~1; echo x >git~1/y; echo fine >ok");
    g_autoptr(GPtrArray) notes = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *tree = base_tree("p", notes);
    g_autofree char *wanted = shell("cp -a p copy; cd copy; rm -r '.GIT ' git~1; git add -A; "
                                    "git write-tree");
    ck_assert_str_eq(tree, wanted);
    ck_assert(has_line(notes, ".GIT /config: "));
    ck_assert(has_line(notes, "git~1/y: "));
}
END_TEST

START_TEST(borrowed_objects)
{
    run(START "cd ..; git clone -q --shared p c; echo x >>c/a; echo n >c/n");
    check_same("c");
    g_autoptr(TbProject) project = open_project("c");
    g_auto(GStrv) alternates = tb_project_alternates(project, NULL);
    ck_assert_uint_eq(g_strv_length(alternates), 2);
    g_autoptr(TbScan) scan = scan_project(project);
    ck_assert(has_line(tb_scan_left_out(scan), ".git/objects/info/alternates: "));
}
END_TEST

START_TEST(missing_objects_are_no_failure)
{
    run(START "o=$(git rev-parse HEAD:a); rm -f .git/objects/${o:0:2}/${o:2}; "
              "o=$(git rev-parse HEAD^{tree}); rm -f .git/objects/${o:0:2}/${o:2}; echo y >>bin");
    g_autofree char *tree = base_tree("p", NULL);
    g_autofree char *wanted = wanted_tree("p");
    ck_assert_str_eq(tree, wanted);
}
END_TEST

START_TEST(a_file_that_changes_is_an_error)
{
    run(START "echo new >new");
    g_autoptr(TbProject) project = open_project("p");
    g_autoptr(TbScan) scan = scan_project(project);
    run("echo NEW >p/new");
    g_autofree char *path = in_top("g");
    g_autofree char *index = in_top("g/base-index");
    g_autoptr(TbGit) git = tb_git_create(path, false, NULL, NULL);
    g_autoptr(GPtrArray) notes = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    g_autofree char *tree = tb_project_base_tree(project, scan, git, index, notes, &error);
    ck_assert_ptr_null(tree);
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_BUSY);
    ck_assert_ptr_nonnull(strstr(error->message, "'new'"));
}
END_TEST

/* The index left behind says the same as the tree. */
START_TEST(index_is_left)
{
    run(START "echo x >>a; echo n >n; git add -N n; git update-index --assume-unchanged bin");
    g_autofree char *tree = base_tree("p", NULL);
    g_autofree char *list = shell("d=$(ls -d git[0-9]* | sort -V | tail -1); GIT_DIR=$d "
                                  "GIT_INDEX_FILE=$d/base-index git ls-files -s");
    g_autofree char *wanted =
        shell("d=$(ls -d git[0-9]* | sort -V | tail -1); GIT_DIR=$d git ls-tree "
              "-r --format='%%(objectmode) %%(objectname) 0%%x09%%(path)' %s",
              tree);
    ck_assert_str_eq(list, wanted);
}
END_TEST

START_TEST(a_hundred_thousand_files)
{
    run("cd p; git init -q; { printf 'commit refs/heads/main\\ncommitter a <a> 1 +0000\\ndata "
        "0\\n'; "
        "for d in {1..200}; do for f in {1..500}; do "
        "printf 'M 100644 inline %%s/%%s\\ndata 3\\n%%03d\\n' $d $f $f; done; done; } | "
        "git fast-import --quiet; git reset -q --hard; sleep 0.1; touch .git/index; echo x >>7/7");
    g_autoptr(TbProject) project = open_project("p");
    gint64 start = g_get_monotonic_time();
    g_autoptr(TbScan) scan = scan_project(project);
    gint64 scanned = g_get_monotonic_time();
    g_autoptr(GPtrArray) notes = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *tree = base_tree_at(project, scan, "git0", notes);
    gint64 done = g_get_monotonic_time();
    fprintf(stderr, "%" G_GUINT64_FORMAT " files: scan %.2f s, base tree %.2f s\n",
            tb_scan_files(scan), (double)(scanned - start) / 1e6, (double)(done - scanned) / 1e6);
    g_autofree char *objects = shell("GIT_DIR=git0 git count-objects -v | "
                                     "sed -n 's/^count: //p;s/^in-pack: //p'");
    g_autofree char *wanted = shell("cd p; git add -A; git write-tree");
    ck_assert_str_eq(tree, wanted);
    /* Two new trees and the one changed blob; nothing else was stored, so nothing else was read. */
    ck_assert_str_eq(objects, "2\n1");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        clean,
        all_kinds_of_changes,
        kinds_swap,
        odd_names,
        from_a_subdirectory_and_a_fresh_repository,
        no_repository,
        empty_directory,
        sha256,
        worktree_and_its_own_excludes,
        user_excludes,
        line_ends,
        git_is_asked_for_excludes_only_when_something_is_said,
        hidden_changes_are_seen,
        racy_entries,
        intent_to_add_and_unmerged,
        sparse_checkout,
        split_index_and_versions,
        filters_do_not_apply,
        autocrlf,
        submodules_and_nested_repositories,
        tracked_files_beside_a_nested_git,
        names_git_refuses_are_noted,
        borrowed_objects,
        missing_objects_are_no_failure,
        a_file_that_changes_is_an_error,
        index_is_left,
        a_hundred_thousand_files,
    };
    return run_suite("base-tree", tests, G_N_ELEMENTS(tests));
}
