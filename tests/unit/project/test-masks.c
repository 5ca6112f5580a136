/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is masked is nowhere in what the box gets: not by its path, not by another name, not in
 * git's objects, not in any block of the image. */
#include "box.h"

typedef struct {
    const char *exclude[4], *include[4];
    TbHistory history;
} Rules;

static const Rules no_rules;

typedef struct {
    TbProject *project;
    TbGit *git;
    TbProjectImage *image;
    TbScan *scan;
    TbDelta *delta;
    char *tree, *commit, *words, *image_path;
    uint64_t entries;
} Box;

static void box_free(Box *box)
{
    tb_delta_free(box->delta);
    tb_scan_free(box->scan);
    tb_project_image_free(box->image);
    tb_git_free(box->git);
    tb_project_free(box->project);
    g_free(box->tree);
    g_free(box->commit);
    g_free(box->words);
    g_free(box->image_path);
    *box = (Box){0};
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Box, box_free)

static bool box_read(Box *box, const char *index, GError **error)
{
    g_autoptr(GPtrArray) notes = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *head = tb_project_head(box->project, 40);
    box->image = tb_project_image_open(box->project, "erofs", error);
    box->scan = box->image ? tb_scan_new(box->project, error) : NULL;
    if (!box->scan || !tb_project_image_mask(box->image, box->scan, box->git, error))
        return false;
    if (tb_project_image_outgrown(box->image, box->scan) &&
        !tb_project_image_renew(box->image, error))
        return false;
    box->tree = tb_project_base(box->image, box->scan, box->git, index, notes, error);
    return box->tree &&
           tb_scan_make_history(box->scan, box->git, index, head, &box->commit, &box->words,
                                error) &&
           tb_project_image_fill(box->image, box->scan, error) &&
           (box->delta = tb_delta_new(box->image, box->scan, error));
}

/* All of a run up to the box, which is at top/x then. NULL: fine, else the error. */
static GError *try_box(Box *box, const Rules *rules)
{
    static unsigned count;
    g_autoptr(GError) error = NULL;
    *box = (Box){.project = open_project("p")};
    TbMasking masking = {rules->exclude, rules->include, rules->history};
    g_autofree char *name = g_strdup_printf("box-git%u", count++);
    g_autofree char *path = in_top(name);
    g_autofree char *index = g_build_filename(path, "base-index", NULL);
    g_auto(GStrv) alternates = tb_project_alternates(box->project, NULL);
    box->git = tb_git_create(path, tb_project_sha256(box->project), (const char *const *)alternates,
                             &error);
    if (!box->git || !tb_project_set_masking(box->project, &masking, &error) ||
        !box_read(box, index, &error))
        return g_steal_pointer(&error);
    box->image_path = g_strdup(tb_project_image_path(box->image));
    box->entries = tb_delta_entries(box->delta);
    enter_box(box->image_path, box->delta);
    return NULL;
}

static void make_box(Box *box, const Rules *rules)
{
    g_autoptr(GError) error = try_box(box, rules);
    ck_assert_msg(!error, "%s", error ? error->message : "");
}

/* Every block of the image that is no hole. */
static bool image_holds(const char *path, const char *text)
{
    int fd = open(path, O_RDONLY);
    ck_assert_int_ge(fd, 0);
    bool found = false;
    for (off_t at = 0; !found && (at = lseek(fd, at, SEEK_DATA)) >= 0;) {
        off_t end = lseek(fd, at, SEEK_HOLE);
        g_autofree char *block = g_malloc((gsize)(end - at));
        ck_assert_int_eq(pread(fd, block, (size_t)(end - at), at), end - at);
        found = memmem(block, (size_t)(end - at), text, strlen(text));
        at = end;
    }
    close(fd);
    return found;
}

/* "SECRET" is the mark of what no box may see. git's objects are looked through one by one. */
static void has_no_secret(const Box *box)
{
    run("! grep -r SECRET x");
    run("cd x; test ! -d .git || ! git cat-file --batch-all-objects --batch 2>/dev/null | "
        "grep -a SECRET");
    ck_assert(!image_holds(box->image_path, "SECRET"));
}

static void is_masked(const Box *box, const char *line)
{
    const GPtrArray *masked = tb_scan_masked(box->scan);
    for (guint i = 0; i < masked->len; i++)
        if (g_str_has_prefix(masked->pdata[i], line))
            return;
    ck_abort_msg("not masked: %s", line);
}

/* ---- the list */

static char *example(const char *pattern, const char *star)
{
    g_auto(GStrv) parts = g_strsplit(pattern, "*", -1);
    g_autofree char *name = g_strjoinv(strcmp(pattern, "core.*") == 0 ? "4711" : star, parts);
    return g_strconcat(name, g_str_has_suffix(name, "/") ? "below/it" : "", NULL);
}

START_TEST(every_row_matches)
{
    TbMaskList *list = tb_mask_list_new();
    for (guint i = 0; i < tb_mask_list_rows(); i++) {
        const char *pattern = tb_mask_list_pattern(i);
        g_autofree char *name = example(pattern, "x");
        g_autofree char *deep = g_strconcat("a/b.c/", name, NULL);
        g_autofree char *upper = g_ascii_strup(deep, -1);
        ck_assert_msg(tb_mask_list_match(list, name), "%s: %s", pattern, name);
        ck_assert_msg(tb_mask_list_match(list, deep), "%s: %s", pattern, deep);
        ck_assert_msg(tb_mask_list_match(list, upper), "%s: %s", pattern, upper);
    }
    tb_mask_list_free(list);
}
END_TEST

START_TEST(copies_match_and_others_do_not)
{
    static const char *const yes[] = {".env~",
                                      "..env.swp",
                                      ".#.env",
                                      "#server.key#",
                                      "d/server.pem.bak",
                                      "d/.id_rsa.swo",
                                      ".npmrc.orig",
                                      "x/.netrc.save",
                                      "core.1",
                                      ".aws/credentials~",
                                      "a/.kube/config",
                                      ".env.production",
                                      "terraform.TFSTATE"};
    static const char *const no[] = {
        "main.c",       ".main.c.swp",  "core.js",        "core/x",     "id_rsa.pub",
        ".env.example", "environment",  ".envoy.yaml",    "key.c",      "a/certifi/cacert.pem",
        "keys/list",    "pem",          "monkey",         "x.keys",     "d/secrets/readme",
        "aws/config",   "credentials/", "envelope.envlp", "scorecore.", "secrets.pyc"};
    TbMaskList *list = tb_mask_list_new();
    for (size_t i = 0; i < G_N_ELEMENTS(yes); i++)
        ck_assert_msg(tb_mask_list_match(list, yes[i]), "%s", yes[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(no); i++)
        ck_assert_msg(!tb_mask_list_match(list, no[i]), "%s", no[i]);
    tb_mask_list_free(list);
}
END_TEST

/* ---- files */

#define REPOSITORY                                                                                 \
    "cd p; git init -q; echo one >a; mkdir -p d/e; echo two >d/b; echo public >tls.pem; "          \
    "printf '.env\\n*.log\\n' >.gitignore; git add -A; git commit -qm first; "

START_TEST(untracked_ones_stand_empty_and_tracked_ones_are_shown)
{
    g_auto(Box) box = {0};
    run(REPOSITORY "echo SECRET >.env; echo SECRET >d/id_rsa; echo fine >x.log; chmod 600 .env; "
                   "echo SECRET >d/.ENV; sleep 0.1");
    g_autofree char *before = fingerprint("p");
    make_box(&box, &no_rules);
    g_autofree char *after = fingerprint("p");
    ck_assert_str_eq(before, after);
    has_no_secret(&box);
    run("cd x; for f in .env d/id_rsa d/.ENV; do test -f $f; test ! -s $f; done; "
        "test $(stat -c %%a .env) = 600; test \"$(cat tls.pem x.log)\" = $'public\\nfine'");
    ck_assert_uint_eq(tb_scan_masked(box.scan)->len, 3);
    is_masked(&box, ".env: an environment file");
    ck_assert_uint_eq(tb_scan_shown(box.scan)->len, 1);
    ck_assert_str_eq(tb_scan_shown(box.scan)->pdata[0], "tls.pem: a private key");
    /* The one that git does not ignore is not in the base tree either. */
    g_autofree char *names = shell("GIT_DIR=box-git0 git ls-tree -r --name-only %s || "
                                   "git -C p ls-tree -r --name-only HEAD",
                                   box.tree);
    ck_assert_ptr_null(strstr(names, "id_rsa"));
    ck_assert_str_eq(box.words, "full");
}
END_TEST

START_TEST(without_git_all_that_match_are_masked)
{
    g_auto(Box) box = {0};
    run("cd p; echo SECRET >.env; echo SECRET >x.pem; echo SECRET >ok.tfstate; echo x >y");
    make_box(&box, &no_rules);
    has_no_secret(&box);
    ck_assert_uint_eq(tb_scan_masked(box.scan)->len, 3);
}
END_TEST

START_TEST(project_masks_more_and_never_less)
{
    g_auto(Box) box = {0};
    run(REPOSITORY "mkdir -p data/x data/y; echo SECRET >data/x/s; echo SECRET >notes; echo SECRET "
                   ">.env; ln -s /etc/SECRET link; echo fine >keep.csv; echo SECRET >drop.csv; "
                   "printf '/data/\\nnotes\\nlink\\n*.csv\\n!keep.csv\\n!.env\\n' >.taskboxignore");
    make_box(&box, &no_rules);
    has_no_secret(&box);
    run("cd x; test -d data; test -z \"$(ls -A data)\"; test -f link; test ! -s link; test ! -L "
        "link; test \"$(cat keep.csv)\" = fine; test ! -s drop.csv; test -s .taskboxignore");
    is_masked(&box, "data/: .taskboxignore");
    is_masked(&box, ".env: an env");
    ck_assert_uint_eq(tb_scan_masked(box.scan)->len, 5);
}
END_TEST

START_TEST(flags)
{
    run(REPOSITORY
        "echo SECRET >.env; echo wanted >k.pem; echo SECRET >sub.txt; mkdir z; echo SECRET "
        ">z/K.PEM; echo SECRET >'#x'; echo SECRET >Upper; echo k.p8 >.taskboxignore; "
        "echo SECRET >k.p8");
    g_auto(Box) box = {0};
    make_box(&box, &(Rules){.exclude = {"/sub.txt", "#x", "upper"}, .include = {"k.pem", "k.p8"}});
    has_no_secret(&box);
    run("test \"$(cat x/k.pem)\" = wanted");
    is_masked(&box, "k.p8: .taskboxignore");
    is_masked(&box, "Upper: --exclude");
    ck_assert_uint_eq(tb_scan_shown(box.scan)->len, 1); /* tls.pem, and not what was let in */
    box_free(&box);
    /* A mask is stronger than a permission. */
    make_box(&box, &(Rules){.exclude = {"./k.pem"}, .include = {"*.pem"}});
    run("test ! -s x/k.pem");
    static const char *const bad[] = {"!x", "", "a\nb", "/"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        const char *patterns[] = {bad[i], NULL};
        TbMasking masking = {.exclude = patterns};
        g_autoptr(GError) error = NULL;
        g_autoptr(TbProject) project = open_project("p");
        ck_assert(!tb_project_set_masking(project, &masking, &error));
        ck_assert(g_error_matches(error, TB_ERROR, TB_ERROR_USAGE));
    }
}
END_TEST

START_TEST(other_names_of_a_masked_file)
{
    g_auto(Box) box = {0};
    run(REPOSITORY "echo SECRET >.env; ln .env d/copy.txt; ln -s .env soft; ln -s ../.env d/soft; "
                   "echo fine >f; ln f g; mkdir m; echo SECRET >m/x; ln m/x out");
    make_box(&box, &(Rules){.exclude = {"m/"}});
    has_no_secret(&box);
    run("cd x; test ! -s soft; test ! -s d/soft; test ! -s d/copy.txt; test ! -s out; "
        "test \"$(cat g)\" = fine");
    is_masked(&box, "d/copy.txt: a hard link of a masked file");
}
END_TEST

START_TEST(links_lead_nowhere)
{
    g_auto(Box) box = {0};
    run("mkdir outside; echo SECRET >outside/f; cd p; ln -s ../outside/f a; ln -s $PWD/../outside "
        "b; "
        "ln -s /proc/self/root c; echo 1 >d");
    make_box(&box, &no_rules);
    ck_assert(!image_holds(box.image_path, "SECRET"));
    run("cd x; test -L a; test -L b; test -L c; test $(find . -type f | wc -l) = 1");
}
END_TEST

START_TEST(odd_ignore_file_is_refused)
{
    static const char *const makes[] = {"ln -s a .taskboxignore", "mkdir .taskboxignore",
                                        "mkfifo .taskboxignore", "printf 'a\\0b' >.taskboxignore",
                                        "head -c 1100000 /dev/zero | tr '\\0' a >.taskboxignore"};
    run("echo x >p/a");
    for (size_t i = 0; i < G_N_ELEMENTS(makes); i++) {
        run("cd p; %s", makes[i]);
        g_autoptr(GError) error = NULL;
        g_autoptr(TbProject) project = open_project("p");
        ck_assert_msg(!tb_scan_new(project, &error), "%s", makes[i]);
        ck_assert_msg(g_error_matches(error, TB_ERROR, TB_ERROR_DENIED), "%s", error->message);
        run("rm -r p/.taskboxignore");
    }
}
END_TEST

/* ---- images that are there already */

START_TEST(a_secret_of_an_earlier_image_is_gone)
{
    static const struct {
        const char *then;
        Rules rules;
    } cases[] = {
        {"true", {{NULL}, {".env"}}},                        /* it is not let in any more */
        {"echo plain.txt >.taskboxignore", {{NULL}, {"*"}}}, /* the project's rules change */
        {"mv plain.txt plain.pem", {{NULL}, {".env"}}},      /* it gets a name of the list's */
        {"ln plain.txt x.key", {{NULL}, {".env"}}},          /* a second one */
        {"git rm -q --cached t.key", {{NULL}, {".env"}}},    /* it is no longer tracked */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(Box) box = {0};
        run("rm -rf p cache; mkdir p; cd p; git init -q; echo 1 >a; echo SECRET >t.key; git add "
            "-A; "
            "git commit -qm 1; echo SECRET >plain.txt; echo SECRET >.env; sleep 0.1");
        make_box(&box, &cases[i].rules);
        ck_assert(image_holds(box.image_path, "SECRET"));
        g_autofree char *first = g_strdup(box.image_path);
        box_free(&box);
        run("cd p; %s; sleep 0.1", cases[i].then);
        bool rm = strstr(cases[i].then, "rm") != NULL;
        make_box(&box, &(Rules){.exclude = {i == 0 ? "plain.txt" : NULL}});
        /* What git has in its objects is another question: t.key. */
        run("rm -rf x/.git");
        run("cd x; ! grep -rl SECRET . | grep -v -e t.key -e plain.txt | grep .");
        if (i == 0 || i == 1)
            run("test ! -s x/plain.txt; test ! -s x/.env");
        if (rm)
            run("test ! -s x/t.key");
        ck_assert_msg(strcmp(first, box.image_path) != 0, "kept: %s", cases[i].then);
        ck_assert(!g_file_test(first, G_FILE_TEST_EXISTS));
    }
}
END_TEST

START_TEST(an_image_without_it_is_kept_and_nothing_is_asked)
{
    Rules rules = {.exclude = {"data/"}};
    g_auto(Box) box = {0};
    run(REPOSITORY "echo SECRET >.env; mkdir data; echo SECRET >data/x; sleep 2.2");
    make_box(&box, &rules);
    g_autofree char *first = g_strdup(box.image_path);
    ck_assert_uint_eq(box.entries, 0);
    box_free(&box);
    run("echo SECRET2 >>p/.env; echo SECRET >p/data/y");
    make_box(&box, &rules);
    has_no_secret(&box);
    ck_assert_str_eq(first, box.image_path);
    ck_assert_uint_eq(box.entries, 0);
    box_free(&box);
    /* With no git there is nobody to ask. */
    TbMasking masking = {.exclude = rules.exclude};
    g_autoptr(GError) error = NULL;
    g_autoptr(TbProject) project = open_project("p");
    ck_assert(tb_project_set_masking(project, &masking, NULL));
    g_autoptr(TbProjectImage) image = tb_project_image_open(project, "erofs", &error);
    ck_assert_msg(image, "%s", error ? error->message : "");
    g_autoptr(TbScan) scan = tb_scan_new(project, NULL);
    ck_assert(!scan->masks_done);
    ck_assert_msg(tb_project_image_mask(image, scan, NULL, &error), "%s",
                  error ? error->message : "");
    ck_assert(!tb_project_image_outgrown(image, scan));
    ck_assert_uint_eq(tb_scan_masked(scan)->len, 2);
}
END_TEST

/* ---- history */

START_TEST(tracked_and_masked_means_no_history)
{
    Rules rules = {.exclude = {"d/", "tls.pem"}};
    g_auto(Box) box = {0};
    run(REPOSITORY
        "echo SECRET >tls.pem; echo SECRET >d/b; echo more >a; git add -A; git commit -qm "
        "second; echo uncommitted >>a; echo new >n; echo l >x.log; sleep 0.1");
    g_autofree char *blob = shell("git -C p rev-parse HEAD:tls.pem");
    make_box(&box, &rules);
    has_no_secret(&box);
    ck_assert_str_eq(box.words, "none: 2 masked and tracked");
    run("cd x; ! git cat-file -e %s; test -z \"$(git status --porcelain)\"; git fsck --strict >&2; "
        "test $(git log --oneline | wc -l) = 1; test $(git rev-parse HEAD) = %s; "
        "test $(git symbolic-ref HEAD) = refs/heads/main; git ls-files | grep -qx n; "
        "test -z \"$(git ls-files d)\"; test -e x.log",
        blob, box.commit);
    /* The base keeps what is there. */
    g_autofree char *kept = shell("git -C p ls-tree -r HEAD | grep -e tls -e d/b | wc -l");
    ck_assert_str_eq(kept, "2");
    g_autofree char *entry = shell("GIT_DIR=$(ls -d box-git* | tail -n1) git ls-tree -r %s | "
                                   "grep tls.pem | cut -c13-52",
                                   box.tree);
    ck_assert_str_eq(entry, blob);
    box_free(&box);
    rules.history.depth = 1;
    make_box(&box, &rules);
    ck_assert_str_eq(box.words, "none: 2 masked and tracked");
    box_free(&box);
    rules.history = (TbHistory){.kind = TB_HISTORY_FULL};
    g_autoptr(GError) error = try_box(&box, &rules);
    ck_assert(g_error_matches(error, TB_ERROR, TB_ERROR_DENIED));
}
END_TEST

#define MANY                                                                                       \
    "cd p; git init -q; for i in 1 2 3 4 5 6; do echo $i >f; git add f; git commit -qm c$i; "      \
    "done; "                                                                                       \
    "git checkout -q -b side HEAD~2; echo s >s; git add s; git commit -qm side; git checkout -q "  \
    "main; git merge -q -m merge side; echo staged >st; git add st; echo dirty >>f; "              \
    "echo u >untracked; "

START_TEST(history_of_some_commits)
{
    g_auto(Box) box = {0};
    run(MANY);
    g_autofree char *old = shell("git -C p rev-parse HEAD~4^{tree}");
    g_autofree char *status = shell("git -C p status --porcelain");
    make_box(&box, &(Rules){.history = {TB_HISTORY_DEPTH, 2}});
    g_autofree char *seen = shell("git -C x status --porcelain");
    ck_assert_str_eq(status, seen);
    ck_assert_str_eq(box.words, "2 commits deep");
    run("cd x; git fsck --strict >&2; test $(git log --oneline | wc -l) = 3; ! git cat-file -e %s; "
        "test \"$(git log -1 --format=%%s)\" = merge; test \"$(git show :st)\" = staged; "
        "git diff | grep -q dirty; test $(git branch | wc -l) = 1; "
        "test \"$(git rev-parse HEAD)\" = \"$(git -C ../p rev-parse HEAD)\"",
        old);
    box_free(&box);
    make_box(&box, &(Rules){.history = {TB_HISTORY_DEPTH, 200}});
    run("cd x; git fsck --strict >&2; test $(git log --oneline | wc -l) = 8; test ! -e "
        ".git/shallow");
    box_free(&box);
    make_box(&box, &(Rules){.history = {TB_HISTORY_NONE, 0}});
    run("cd x; git fsck --strict >&2; test $(git log --oneline | wc -l) = 1; "
        "test -z \"$(git status --porcelain)\"; ! git cat-file -e %s",
        old);
    ck_assert_str_eq(box.words, "none");
    box_free(&box);
    /* As a project asks for it: instead of all. */
    make_box(&box, &(Rules){.history = {TB_HISTORY_AUTO, 2}});
    run("cd x; test $(git log --oneline | wc -l) = 3");
    box_free(&box);
    /* An image with all of the history is none for a task without. */
    make_box(&box, &no_rules);
    run("cd x; test $(git log --oneline | wc -l) = 8");
    box_free(&box);
    run("git clone -q --depth 2 file://$PWD/p q; rm -rf p; mv q p");
    make_box(&box, &(Rules){.history = {TB_HISTORY_DEPTH, 5}});
    run("cd x; git fsck --strict >&2; git log --oneline >&2; test -z \"$(git status "
        "--porcelain)\"");
}
END_TEST

START_TEST(nested_repositories_have_no_history_either)
{
    g_auto(Box) box = {0};
    run(REPOSITORY
        "git init -q in; cd in; echo SECRET >key; echo 1 >x; git add -A; git commit -qm 1");
    make_box(&box, &(Rules){.exclude = {"in/key"}});
    has_no_secret(&box);
    run("test -e x/in/x; test ! -e x/in/.git; test -d x/.git");
}
END_TEST

/* ---- .git */

START_TEST(git_says_nothing_of_its_user)
{
    g_auto(Box) box = {0};
    run(REPOSITORY
        "git tag t; git update-ref refs/pull/1/head HEAD; git update-ref "
        "refs/remotes/o/m HEAD; echo SECRETWORK >>a; git stash -q; git notes add -m n; "
        "git tag -m annotated t2; git pack-refs --all; git update-ref refs/bisect/bad HEAD; "
        "echo '* filter=x' >.git/info/attributes; echo mine >.git/info/exclude; "
        "echo SECRET >.git/lfs-token; git config remote.o.url https://SECRET@x/; "
        "git config include.path SECRET; git config core.hooksPath SECRET; "
        "echo SECRET >.git/hooks/pre-commit; echo SECRET >.git/FETCH_HEAD; "
        "echo 'SECRET' >.git/COMMIT_EDITMSG");
    make_box(&box, &no_rules);
    run("cd x; ! grep -r SECRET .git; test ! -e .git/logs; test ! -e .git/info/attributes; "
        "test -z \"$(ls .git/hooks)\"; grep -q mine .git/info/exclude; test -z \"$(git remote)\"; "
        "test \"$(git for-each-ref --format='%%(refname)' | tr '\\n' ' ')\" = "
        "'refs/heads/main refs/remotes/o/m refs/tags/t refs/tags/t2 '; "
        "test \"$(git rev-parse t2^{commit})\" = \"$(git rev-parse HEAD)\"; git stash list | "
        "wc -l | grep -qx 0; test -z \"$(git reflog)\"; test -z \"$(git status --porcelain)\"");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        every_row_matches,
        copies_match_and_others_do_not,
        untracked_ones_stand_empty_and_tracked_ones_are_shown,
        without_git_all_that_match_are_masked,
        project_masks_more_and_never_less,
        flags,
        other_names_of_a_masked_file,
        links_lead_nowhere,
        odd_ignore_file_is_refused,
        a_secret_of_an_earlier_image_is_gone,
        an_image_without_it_is_kept_and_nothing_is_asked,
        tracked_and_masked_means_no_history,
        history_of_some_commits,
        nested_repositories_have_no_history_either,
        git_says_nothing_of_its_user,
    };
    return run_suite("masks", tests, G_N_ELEMENTS(tests));
}
