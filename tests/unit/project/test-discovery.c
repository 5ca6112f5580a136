/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repo.h"

static void check_project(const char *dir, const char *root, const char *subdir,
                          const char *git_dir, const char *common_dir)
{
    g_autoptr(TbProject) project = open_project(dir);
    g_autofree char *wanted = in_top(root);
    ck_assert_str_eq(tb_project_root(project), wanted);
    ck_assert_str_eq(tb_project_subdir(project), subdir);
    ck_assert(tb_project_is_git(project) == (git_dir != NULL));
    if (git_dir) {
        g_autofree char *git = in_top(git_dir), *common = in_top(common_dir);
        ck_assert_str_eq(tb_project_git_dir(project), git);
        ck_assert_str_eq(tb_project_common_dir(project), common);
    }
}

static void check_refused(const char *dir, TbErrorCode code)
{
    g_autofree char *path = in_top(dir);
    g_autoptr(GError) error = NULL;
    g_autoptr(TbProject) project = tb_project_open(path, &error);
    ck_assert_msg(project == NULL, "'%s' was taken as a project", dir);
    ck_assert_msg(tb_error_code(error) == code, "%s", error->message);
}

START_TEST(plain_and_subdirectory)
{
    run("cd p; git init -q; mkdir -p a/b");
    check_project("p", "p", "", "p/.git", "p/.git");
    check_project("p/a/b", "p", "a/b", "p/.git", "p/.git");
    run("ln -s p/a link");
    check_project("link", "p", "a", "p/.git", "p/.git");
}
END_TEST

START_TEST(no_repository)
{
    run("mkdir -p p/x p/.git");
    check_project("p/x", "p/x", "", NULL, NULL);
    check_project("p", "p", "", NULL, NULL);
}
END_TEST

START_TEST(linked_worktree)
{
    run("cd p; git init -q; git commit -q --allow-empty -m x; git worktree add -q ../w; mkdir "
        "../w/d");
    check_project("w/d", "w", "d", "p/.git/worktrees/w", "p/.git");
}
END_TEST

START_TEST(submodule)
{
    run("git init -q s; git -C s commit -q --allow-empty -m x; cd p; git init -q; "
        "git submodule -q add ../s sub; git commit -qm x");
    check_project("p/sub", "p/sub", "", "p/.git/modules/sub", "p/.git/modules/sub");
    check_project("p", "p", "", "p/.git", "p/.git");
}
END_TEST

START_TEST(separate_git_dir)
{
    run("git init -q --separate-git-dir=elsewhere p; mkdir q; git init -q "
        "--separate-git-dir=q/real q");
    check_project("q", "q", "", "q/real", "q/real");
    /* Nothing in it says that it belongs to p. */
    check_refused("p", TB_ERROR_DENIED);
    run("git --git-dir=elsewhere config core.worktree \"$PWD/p\"");
    check_project("p", "p", "", "elsewhere", "elsewhere");
}
END_TEST

/* An archive cannot have another repository of the user's handed out. */
START_TEST(foreign_repositories_are_refused)
{
    run("git init -q secret; git -C secret commit -q --allow-empty -m x; "
        "git -C secret worktree add -q ../w");
    run("echo \"gitdir: $PWD/secret/.git\" >p/.git");
    check_refused("p", TB_ERROR_DENIED);
    run("echo \"gitdir: $PWD/secret/.git/worktrees/w\" >p/.git");
    check_refused("p", TB_ERROR_DENIED);
    run("rm p/.git; ln -s ../secret/.git p/.git");
    check_refused("p", TB_ERROR_DENIED);
    run("rm p/.git; mkdir -p p/real; cd p/real; echo 'ref: refs/heads/main' >HEAD; "
        "echo ../../secret/.git >commondir; echo \"$PWD/../.git\" >gitdir; "
        "echo 'gitdir: real' >../.git");
    check_refused("p", TB_ERROR_DENIED);
    run("echo nonsense >p/.git");
    check_refused("p", TB_ERROR_CONFIG);
    /* An ordinary .git with a commondir: it is not believed. */
    run("rm -r p; git init -q p; echo ../../secret/.git >p/.git/commondir");
    check_project("p", "p", "", "p/.git", "p/.git");
}
END_TEST

START_TEST(home_and_root_are_refused)
{
    check_refused("home", TB_ERROR_DENIED);
    check_refused("", TB_ERROR_DENIED);
    run("git init -q home; mkdir -p home/some/where");
    check_refused("home/some/where", TB_ERROR_DENIED);
    run("git init -q home/some");
    check_project("home/some/where", "home/some", "where", "home/some/.git", "home/some/.git");
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_project_open("/", &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_DENIED);
}
END_TEST

START_TEST(what_is_no_directory)
{
    run("echo >p/file");
    check_refused("p/file", TB_ERROR_USAGE);
    check_refused("p/missing", TB_ERROR_NOT_FOUND);
}
END_TEST

START_TEST(names_and_owner)
{
    run("mkdir 'p/-we ird.na/me' -p; mkdir \"p/$(printf '%%0300d' 1 | cut -c1-200)\"");
    g_autoptr(TbProject) odd = open_project("p/-we ird.na");
    ck_assert_str_eq(tb_project_name(odd), "_we_ird.na");
    g_autoptr(TbProject) plain = open_project("p");
    ck_assert_str_eq(tb_project_name(plain), "p");
    ck_assert_uint_eq(tb_project_uid(plain), getuid() ? getuid() : 1000);
}
END_TEST

START_TEST(object_formats)
{
    run("cd p; git init -q --object-format=sha256");
    g_autoptr(TbProject) project = open_project("p");
    ck_assert(tb_project_sha256(project));
    run("cd p; git config extensions.objectformat sha512");
    check_refused("p", TB_ERROR_UNSUPPORTED);
}
END_TEST

START_TEST(config_values)
{
    const char *text = "; comment\n[core] bare = false\n\tworktree = \"a b\\\" ; c\"  # x\n"
                       "[Remote \"o.\\\"x\"]\n url=u\\\n v\n[core \"sub\"]\nworktree=no\n"
                       "[EXTENSIONS]\nobjectFormat = sha1\nobjectformat\t=sha256 \r\nflag\n";
    struct {
        const char *section, *key, *value;
    } cases[] = {
        {"core", "bare", "false"},
        {"core", "worktree", "a b\" ; c"},
        {"core.sub", "worktree", "no"},
        {"remote.o.\"x", "url", "u v"},
        {"extensions", "objectformat", "sha256"},
        {"extensions", "flag", "true"},
        {"core", "missing", NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *value = tb_git_config_value(text, cases[i].section, cases[i].key);
        ck_assert_pstr_eq(value, cases[i].value);
    }
    const char *broken[] = {"[", "[a",      "[a \"", "[core]\nx = \"", "[core]\nx = \\",
                            "=", "\\\n[a]b"};
    for (size_t i = 0; i < G_N_ELEMENTS(broken); i++)
        g_free(tb_git_config_value(broken[i], "core", "x"));
}
END_TEST

/* What git reads from the same file. */
START_TEST(config_as_git_reads_it)
{
    run("git config --file c core.worktree '../a \"b\" ;#\\x  '");
    g_autofree char *text = shell("cat c");
    g_autofree char *ours = tb_git_config_value(text, "core", "worktree");
    ck_assert_str_eq(ours, "../a \"b\" ;#\\x  ");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        plain_and_subdirectory,
        no_repository,
        linked_worktree,
        submodule,
        separate_git_dir,
        foreign_repositories_are_refused,
        home_and_root_are_refused,
        what_is_no_directory,
        names_and_owner,
        object_formats,
        config_values,
        config_as_git_reads_it,
    };
    return run_suite("discovery", tests, G_N_ELEMENTS(tests));
}
