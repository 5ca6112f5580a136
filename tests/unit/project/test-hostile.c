/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Projects that try to run something on the host, or to have something of the host handed out,
 * before any box exists. Each vector plants its payload in a fresh repository with uncommitted
 * changes. A payload that runs leaves a mark. For the vectors that git itself falls for that is
 * shown first: a vector that has gone blunt would prove nothing.
 */
#include "repo.h"

#include <sys/time.h>

typedef struct {
    const char *name;
    const char *plant; /* in the project, $P is the payload */
    const char *fires; /* a git command line that runs it; NULL: none is known here */
} Vector;

#define ATTRIBUTE(text) "echo '* " text "' >>.gitattributes; "
#define DROP_OBJECT                                                                                \
    "o=$(git rev-parse HEAD:a.txt); rm -f .git/objects/${o:0:2}/${o:2}; "                          \
    "git config core.repositoryformatversion 1; git config extensions.partialClone origin; "       \
    "git config remote.origin.promisor true; "
#define SUBMODULE                                                                                  \
    "git init -q sm; echo q >sm/q; git -C sm add q; git -C sm commit -qm q; "                      \
    "git update-index --add --cacheinfo 160000,$(git -C sm rev-parse HEAD),sm; "                   \
    "git commit -qm sm; printf 'z\\n' >sm/q; touch -d 2030-01-01 sm/q; "

static const Vector vectors[] = {
    {"core.fsmonitor", "git config core.fsmonitor $P", "git status"},
    {"hooks",
     "for h in pre-commit post-index-change post-checkout reference-transaction; do "
     "cp $P .git/hooks/$h; done",
     "git add -A"},
    {"core.hooksPath", "mkdir .hk; cp $P .hk/post-index-change; git config core.hooksPath $PWD/.hk",
     "git add -A"},
    {"config hooks", "git config hook.x.command $P; git config hook.x.event post-index-change",
     NULL},
    {"diff.external", "git config diff.external $P", "git diff"},
    {"diff driver", "git config diff.e.command $P; " ATTRIBUTE("diff=e"), "git diff"},
    {"textconv", "git config diff.e.textconv $P; " ATTRIBUTE("diff=e"), "git diff"},
    {"textconv by info/attributes",
     "git config diff.e.textconv $P; echo '* diff=e' >.git/info/attributes", "git diff"},
    {"filter.clean", "git config filter.e.clean $P; " ATTRIBUTE("filter=e"), "git add -A"},
    {"filter.process", "git config filter.e.process $P; " ATTRIBUTE("filter=e"), "git add -A"},
    {"filter.smudge", "git config filter.e.smudge $P; " ATTRIBUTE("filter=e"), "git stash"},
    {"filter by core.attributesFile",
     "git config filter.e.clean $P; echo '* filter=e' >.git/at; "
     "git config core.attributesFile $PWD/.git/at",
     "git add -A"},
    {"promisor, ssh",
     DROP_OBJECT "git config core.sshCommand $P; "
                 "git config remote.origin.url ssh://x@127.0.0.1/x",
     "git diff"},
    {"promisor, ext",
     DROP_OBJECT "git config protocol.ext.allow always; "
                 "git config remote.origin.url \"ext::$P x\"",
     "git diff"},
    {"promisor, upload-pack",
     DROP_OBJECT "git config remote.origin.uploadpack $P; "
                 "git config remote.origin.url $PWD",
     "git diff"},
    {"include.path",
     "printf '[core]\\n\\tfsmonitor = %s\\n' $P >.git/inc; "
     "git config include.path inc",
     "git status"},
    {"config.worktree",
     "git config extensions.worktreeConfig true; "
     "printf '[core]\\n\\tfsmonitor = %s\\n' $P >.git/config.worktree",
     "git status"},
    {".git file",
     "mv .git real.git; echo 'gitdir: real.git' >.git; "
     "git config core.fsmonitor $P",
     "git status"},
    {"commondir",
     "cp -r .git evil.git; git --git-dir=evil.git config core.fsmonitor $P; "
     "echo ../evil.git >.git/commondir",
     "git status"},
    {"submodule, fsmonitor", SUBMODULE "git -C sm config core.fsmonitor $P", "git status"},
    {"submodule, filter",
     SUBMODULE "git -C sm config filter.e.clean $P; mkdir -p sm/.git/info; "
               "echo '* filter=e' >sm/.git/info/attributes",
     "git add -A"},
    {"submodule, .git file",
     SUBMODULE "mv sm/.git sm/g2; echo 'gitdir: g2' >sm/.git; "
               "git -C sm config core.fsmonitor $P",
     "git status"},
    {"untracked repository",
     "git init -q sm; echo q >sm/q; git -C sm add q; git -C sm commit -qm q; "
     "echo r >>sm/q; git -C sm config core.fsmonitor $P",
     NULL},
    {"bare repository",
     "git init -q --bare sub; git -C sub config core.bare false; "
     "git -C sub config core.worktree .; git -C sub config core.fsmonitor $P",
     "git -C sub status"},
    {"pager and gpg",
     "git config core.pager $P; git config gpg.program $P; "
     "git config log.showSignature true; git config commit.gpgSign true",
     "git commit -qam x"},
    {"alternate refs", "git config core.alternateRefsCommand $P", NULL},
    {"aliases", "git config alias.ls-files \"!$P\"; git config alias.status \"!$P\"", NULL},
    {"auto gc", "git config gc.auto 1; cp $P .git/hooks/pre-auto-gc", NULL},
};

static bool marked(void)
{
    g_autofree char *mark = in_top("mark");
    bool there = g_file_test(mark, G_FILE_TEST_EXISTS);
    unlink(mark);
    return there;
}

/* The payload answers nothing, so the command itself may well fail or hang; it is given a while. */
static void plant(const Vector *vector)
{
    run("rm -rf p; mkdir p; P=$PWD/payload; printf '#!/bin/sh\\nexit 0\\n' >$P; chmod +x $P; cd p; "
        "git init -q; echo one >a.txt; echo 'int x;' >b.c; git add .; git commit -qm base; "
        "echo two >>a.txt; echo new >new.txt; echo 'int y;' >>b.c; %s",
        vector->plant);
    run("printf '#!/bin/sh\\necho >>%s/mark\\nexit 1\\n' >payload; chmod +x payload; "
        "for f in p/.git/hooks/* p/.hk/*; do test ! -s $f || cp payload $f; done; rm -f mark",
        top);
}

/* All that happens on the host before a box starts; errors are fine, running something is not. */
static void take_in(const char *name)
{
    g_autofree char *path = in_top(name), *git_path = in_top("git"), *index = in_top("git/index0");
    g_autoptr(GError) error = NULL;
    ck_assert(tb_remove_tree(AT_FDCWD, git_path, NULL));
    g_autoptr(TbProject) project = tb_project_open(path, &error);
    g_autoptr(TbProjectImage) image =
        project ? tb_project_image_open(project, "erofs", &error) : NULL;
    g_autoptr(TbScan) scan = image ? tb_scan_new(project, &error) : NULL;
    if (!scan)
        return;
    g_auto(GStrv) alternates = tb_project_alternates(project, NULL);
    g_autoptr(TbGit) git = tb_git_create(git_path, false, (const char *const *)alternates, &error);
    ck_assert_msg(git != NULL, "%s", error ? error->message : "");
    g_autoptr(GPtrArray) notes = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *tree = tb_project_base_tree(project, scan, git, index, notes, &error);
    ck_assert_msg(tree != NULL, "%s", error ? error->message : "");
    ck_assert(tb_project_image_fill(image, scan, NULL));
    g_autoptr(TbDelta) delta = tb_delta_new(image, scan, NULL);
    TbEntry entry;
    bool done = false;
    while (tb_delta_next(delta, &entry, &done, NULL) && !done)
        continue;
    g_autofree char *patch = shell("GIT_DIR=git git diff-tree --binary --full-index "
                                   "4b825dc642cb6eb9a060e54bf8d69288fbee4904 %s | wc -l",
                                   tree);
}

START_TEST(nothing_runs)
{
    for (size_t i = 0; i < G_N_ELEMENTS(vectors); i++) {
        const Vector *vector = &vectors[i];
        plant(vector);
        if (vector->fires) {
            run("cp -a p q; cd q; GIT_PAGER=cat timeout 20 %s >/dev/null 2>&1 || true; cd ..; "
                "rm -rf q",
                vector->fires);
            ck_assert_msg(marked(), "the payload of '%s' does not work", vector->name);
        }
        g_autofree char *before = fingerprint("p");
        take_in("p");
        ck_assert_msg(!marked(), "'%s' ran code", vector->name);
        g_autofree char *after = fingerprint("p");
        ck_assert_msg(strcmp(before, after) == 0, "'%s' changed the project", vector->name);
    }
}
END_TEST

/* What lies in the git directory for nobody else's eyes. */
START_TEST(secrets_stay)
{
    run("cd p; git init -q; echo a >a; git add a; git commit -qm x; "
        "git config http.extraheader 'Authorization: TOPSECRET'; echo TOPSECRET >.git/FETCH_HEAD; "
        "echo TOPSECRET >.git/credentials; mkdir -p .git/lfs .git/logs/refs .git/worktrees/x; "
        "echo TOPSECRET >.git/lfs/x; echo TOPSECRET >.git/logs/refs/stash; "
        "echo TOPSECRET >.git/worktrees/x/gitdir; echo TOPSECRET >.git/hooks/pre-push; "
        "echo TOPSECRET >.git/config.worktree; git init -q n; "
        "git -C n config http.proxy http://TOPSECRET; echo TOPSECRET >n/.git/hooks/x; "
        "mkdir -p n/.git/modules/m; echo TOPSECRET >n/.git/modules/m/config");
    take_in("p");
    run("! grep -q TOPSECRET cache/taskbox/projects/*/image-*; "
        "grep -q 'ref: refs/heads' cache/taskbox/projects/*/image-*");
}
END_TEST

/* Links are carried as links; what they lead to is not. */
START_TEST(links_are_not_followed)
{
    run("echo TOPSECRET >secret; mkdir dir; echo TOPSECRET >dir/f; cd p; git init -q; "
        "ln -s ../secret l; ln -s ../dir d; ln -s / root; mkdir .git/x; "
        "rm -r .git/info; ln -s ../../dir .git/info; ln -s ../../secret .git/packed-refs");
    take_in("p");
    run("! grep -q TOPSECRET cache/taskbox/projects/*/image-*");
}
END_TEST

/* A forged index: entries that point out of the project or into .git, contents that the stat data
 * vouches for. */
START_TEST(forged_indexes)
{
    run("cd p; git init -q; echo good >f; git add f; git commit -qm x; "
        "evil=$(echo evil | git hash-object -w --stdin); printf 'good\\n' >f; "
        "git update-index --cacheinfo 100644,$evil,f; "
        "for n in .git/hooks/x ../escape; do printf '100644 %%s\\t%%s\\n' $evil $n; done | "
        "git update-index --index-info 2>/dev/null || true");
    take_in("p");
    g_autofree char *tree = shell("GIT_DIR=git GIT_INDEX_FILE=git/index0 git ls-files -s");
    g_autofree char *wanted = shell("cd p; printf '100644 %%s 0\\tf' $(git hash-object f)");
    ck_assert_str_eq(tree, wanted);
}
END_TEST

/* 10^9 files in a few kilobytes of tree objects, as HEAD. */
START_TEST(a_bomb_as_head)
{
    run("cd p; git init -q; o=$(echo x | git hash-object -w --stdin); "
        "t=$(for i in {0..9}; do printf '100644 blob %%s\\tf%%s\\n' $o $i; done | git mktree); "
        "for l in {1..8}; do t=$(for i in {0..9}; do printf '040000 tree %%s\\td%%s\\n' $t $i; "
        "done | "
        "git mktree); done; git update-ref HEAD $(git commit-tree -m bomb $t); echo real >real");
    gint64 start = g_get_monotonic_time();
    take_in("p");
    ck_assert_int_lt(g_get_monotonic_time() - start, INT64_C(120000000));
}
END_TEST

START_TEST(large_and_sparse)
{
    run("cd p; truncate -s 1T huge; truncate -s 3G large; echo 1 >f");
    g_autoptr(TbProject) project = open_project("p");
    g_autoptr(TbScan) scan = scan_project(project);
    ck_assert(has_line(tb_scan_left_out(scan), "huge: larger than"));
    g_autoptr(GPtrArray) notes = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *tree = base_tree_at(project, scan, "git", notes);
    ck_assert(has_line(notes, "large: larger than"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        nothing_runs,   secrets_stay,   links_are_not_followed,
        forged_indexes, a_bomb_as_head, large_and_sparse,
    };
    return run_suite("hostile", tests, G_N_ELEMENTS(tests));
}
