/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the box will see is what the scan saw: the image as fsck.erofs unpacks it, with the delta
 * applied to it by the rules of channel/entry.h, compared file by file with the disk.
 */
#include "box.h"

typedef struct {
    TbProject *project;
    TbScan *scan;
    TbProjectImage *image;
    TbDelta *delta;
    uint64_t entries, bytes;
} Box;

static bool same_content(const TbProject *project, const TbItem *item, const char *path)
{
    g_autofree char *got = NULL;
    gsize length = 0;
    ck_assert(g_file_get_contents(path, &got, &length, NULL));
    if (length != item->size)
        return false;
    if (item->ours)
        return memcmp(got, item->text, length) == 0;
    struct stat st;
    int fd = tb_item_open(project, item, &st, NULL);
    ck_assert_int_ge(fd, 0);
    g_autofree char *wanted = g_malloc(length + 1);
    ssize_t n = read(fd, wanted, length + 1);
    close(fd);
    return n == (ssize_t)length && memcmp(got, wanted, length) == 0;
}

/* The scan and top/x are the same. */
static void compare(Box *box)
{
    for (guint i = 0; i < box->scan->items->len; i++) {
        const TbItem *item = tb_scan_item(box->scan, i);
        g_autofree char *path = g_strdup_printf("%s/x/%s", top, item->path);
        struct stat st;
        ck_assert_msg(lstat(path, &st) == 0, "missing: %s", item->path);
        ck_assert_msg((st.st_mode & S_IFMT) == (item->mode & S_IFMT), "kind: %s", item->path);
        if (item->kind == TB_ENTRY_SYMLINK) {
            char target[4097] = "";
            ck_assert_int_ge(readlink(path, target, 4096), 0);
            ck_assert_str_eq(target, item->text);
            continue;
        }
        ck_assert_msg((st.st_mode & 07777) == (item->mode & 07777), "mode %o, not %o: %s",
                      st.st_mode, item->mode, item->path);
        if (item->kind != TB_ENTRY_FILE)
            continue;
        ck_assert_msg(same_content(box->project, item, path), "content: %s", item->path);
        ck_assert_msg(item->ours || (st.st_mtim.tv_sec == item->mtime.tv_sec &&
                                     st.st_mtim.tv_nsec == item->mtime.tv_nsec),
                      "mtime: %s", item->path);
    }
    g_autofree char *count = shell("find x -printf 'x\\n' | wc -l");
    ck_assert_uint_eq(g_ascii_strtoull(count, NULL, 10), box->scan->items->len);
}

static void box_open(Box *box, const char *name)
{
    g_autoptr(GError) error = NULL;
    *box = (Box){.project = open_project(name)};
    box->image = tb_project_image_open(box->project, "squashfs,erofs", &error);
    ck_assert_msg(box->image != NULL, "%s", error ? error->message : "");
    box->scan = scan_project(box->project);
    if (tb_project_image_outgrown(box->image, box->scan))
        ck_assert_msg(tb_project_image_renew(box->image, &error), "%s", error->message);
}

static void box_fill(Box *box)
{
    g_autoptr(GError) error = NULL;
    struct stat before, after;
    ck_assert_int_eq(stat(tb_project_image_path(box->image), &before), 0);
    ck_assert_int_eq(before.st_size, INT64_C(64) << 30);
    ck_assert_msg(tb_project_image_fill(box->image, box->scan, &error), "%s",
                  error ? error->message : "");
    ck_assert_str_eq(tb_project_image_filesystem(box->image), "erofs");
    ck_assert_int_eq(stat(tb_project_image_path(box->image), &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    ck_assert_int_eq(after.st_size, before.st_size);
    box->delta = tb_delta_new(box->image, box->scan, &error);
    ck_assert_ptr_nonnull(box->delta);
    box->entries = tb_delta_entries(box->delta);
    box->bytes = tb_delta_bytes(box->delta);
}

static void box_enter(Box *box)
{
    enter_box(tb_project_image_path(box->image), box->delta);
}

static void box_free(Box *box)
{
    tb_delta_free(box->delta);
    tb_scan_free(box->scan);
    tb_project_image_free(box->image);
    tb_project_free(box->project);
}

/* One whole run; the delta's size comes back. */
static uint64_t enter(const char *name, const char *git)
{
    Box box;
    box_open(&box, name);
    box_fill(&box);
    box_enter(&box);
    compare(&box);
    if (git)
        run("cd x; test -z \"$(git status --porcelain)\"; git fsck --no-progress --strict >&2; "
            "git log --oneline | grep -q '%s'; test -z \"$(git remote)\"; "
            "test -d .git/hooks; test -z \"$(ls .git/hooks)\"",
            git);
    uint64_t entries = box.entries;
    box_free(&box);
    return entries;
}

#define START                                                                                      \
    "cd p; git init -q; mkdir -p d/e; echo one >a; echo two >d/b; echo three >d/e/c; "             \
    "echo x >run; chmod 755 run; ln -s a link; echo '*.o' >.gitignore; git add -A; "               \
    "git commit -qm first; git config remote.up.url https://u:token@127.0.0.1/x; "                 \
    "echo secret >.git/FETCH_HEAD; git gc -q; echo o >t.o; "

START_TEST(first_run)
{
    run(START);
    g_autofree char *before = fingerprint("p");
    ck_assert_uint_eq(enter("p", "first"), 0);
    g_autofree char *after = fingerprint("p");
    ck_assert_str_eq(before, after);
    run("cd x; ! grep -r token .; test ! -e .git/FETCH_HEAD; test -e t.o");
}
END_TEST

START_TEST(all_sizes)
{
    run("cd p; for s in 0 1 2047 2048 2049 4031 4032 4033 4095 4096 4097 6143 6144 6145 8192 65536 "
        "1048575 1048576 1048577 3000001; do head -c $s /dev/urandom >f$s; done; "
        "head -c 5000000 /dev/zero >zeros; printf tail >>zeros; "
        "for l in 1 100 2048 2049 4000 4031 4032 4033 4095; do "
        "ln -s \"$(printf '%%0'$l'd' 0)\" l$l; done");
    ck_assert_uint_eq(enter("p", NULL), 0);
}
END_TEST

START_TEST(many_names)
{
    run("cd p; for n in {1..2500}; do : >$(printf '%%0'$((n %% 250 + 5))'d' $n); done; mkdir e; "
        "cd e; for n in '!' '-' '+' ',' '--' ' ' '.a' '..a' '...' a a.b a-b 'a b' $'\\n' $'\\377'; "
        "do "
        "mkdir -- \"$n\"; echo x >\"./$n/f\"; done; : >\"$(printf '%%0255d' 0)\"; "
        "p=.; for i in {1..100}; do p=$p/d; done; mkdir -p $p; echo deep >$p/f");
    ck_assert_uint_eq(enter("p", NULL), 0);
}
END_TEST

START_TEST(later_runs_send_what_changed)
{
    run(START "sleep 0.1");
    ck_assert_uint_eq(enter("p", "first"), 0);
    g_autofree char *kept = shell("ls cache/taskbox/projects/*/image-*");
    ck_assert_uint_eq(enter("p", NULL), 0);
    /* .git and .git/config, which is ours, when it is to say something else */
    run("cp p/.git/config c; printf '[extensions]\nrefstorage = reftable\n' >>p/.git/config");
    ck_assert_uint_eq(enter("p", NULL), 2);
    run("cp c p/.git/config");
    ck_assert_uint_eq(enter("p", "first"), 0);
    run("cd p; echo more >>a; rm -r d; mkdir d; echo b >d/new; rm link; mkdir link; echo i "
        ">link/in; "
        "rm t.o; mkdir -p x/y; echo z >x/y/z; chmod 600 run; ln -s q s; rm .gitignore; "
        "ln -s r .gitignore");
    enter("p", NULL);
    /* A directory becomes a file, a file goes, a mode of a directory changes. */
    run("cd p; rm -r x; echo file >x; rm s; chmod 711 d; git add -A; git commit -qm second");
    enter("p", "second");
    g_autofree char *still = shell("ls cache/taskbox/projects/*/image-*");
    ck_assert_str_eq(kept, still);
}
END_TEST

START_TEST(only_the_top_of_what_is_gone)
{
    run("cd p; mkdir -p gone/a/b go; echo 1 >gone/a/b/c; echo 2 >gone/d; echo 3 >go/n; echo 4 "
        ">gone.x; sleep 0.1");
    ck_assert_uint_eq(enter("p", NULL), 0);
    run("rm -r p/gone");
    ck_assert_uint_eq(enter("p", NULL), 1);
}
END_TEST

/* Same size, same times set back: the change time tells. */
START_TEST(forged_times)
{
    run("cd p; echo aaaa >f; sleep 0.1");
    enter("p", NULL);
    run("cd p; t=$(stat -c %%y f); echo bbbb >f; touch -d \"$t\" f");
    ck_assert_uint_eq(enter("p", NULL), 1);
}
END_TEST

START_TEST(large_delta_makes_a_new_image)
{
    run("cd p; echo 1 >f");
    enter("p", NULL);
    g_autofree char *first = shell("ls cache/taskbox/projects/*/image-*");
    run("cd p; for n in {1..2100}; do echo $n >g$n; done");
    ck_assert_uint_eq(enter("p", NULL), 0);
    g_autofree char *second = shell("ls cache/taskbox/projects/*/image-*");
    ck_assert_str_ne(first, second);
    ck_assert_ptr_null(strchr(second, '\n'));
}
END_TEST

START_TEST(linked_worktree)
{
    run(START "git worktree add -q ../w; cd ../w; echo w >w; git add w; git commit -qm third; "
              "echo \"$PWD\" >&2");
    enter("w", "third");
    run("cd x; test \"$(git symbolic-ref HEAD)\" = refs/heads/w; test ! -e .git/worktrees; "
        "git rev-parse main >&2");
}
END_TEST

START_TEST(submodules)
{
    run("git init -q s; echo s >s/s; git -C s add s; git -C s commit -qm s; " START
        "git submodule -q add $PWD/../s sub; git submodule -q add $PWD/../s deep/er; git commit "
        "-qm subs; "
        "git -C sub config credential.helper '!evil'; cp -r ../s nested; "
        "echo nested/ >>.git/info/exclude");
    enter("p", "subs");
    run("cd x; for m in sub deep/er nested; do git -C $m log >&2; "
        "test -z \"$(git -C $m status --porcelain)\"; done; ! grep -r evil .; "
        "test -d nested/.git/hooks; test -z \"$(ls nested/.git/hooks)\"");
    /* The submodule as a project of its own. */
    enter("p/sub", "s");
}
END_TEST

START_TEST(sha256_repository)
{
    run("cd p; git init -q --object-format=sha256; echo a >a; git add a; git commit -qm shaped");
    enter("p", "shaped");
}
END_TEST

START_TEST(odd_things_are_named)
{
    run("cd p; mkfifo fifo; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"s\")'; "
        "p=.; for i in {1..140}; do p=$p/d; done; mkdir -p $p; echo >secret; chmod 0 secret; "
        "mkdir dark; chmod 0 dark; echo fine >fine");
    Box box;
    box_open(&box, "p");
    const GPtrArray *left = tb_scan_left_out(box.scan);
    ck_assert(has_line(left, "fifo: a named pipe"));
    ck_assert(has_line(left, "s: a socket"));
    ck_assert(has_line(left, "d/d/d/"));
    ck_assert(geteuid() == 0 || has_line(left, "secret: cannot be read"));
    ck_assert(geteuid() == 0 || has_line(left, "dark: cannot be read"));
    box_fill(&box);
    box_enter(&box);
    if (geteuid() == 0)
        compare(&box);
    box_free(&box);
}
END_TEST

START_TEST(a_pipe_where_git_reads_is_refused)
{
    run("cd p; git init -q; mkdir d; mkfifo d/.gitignore");
    g_autoptr(TbProject) project = open_project("p");
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_scan_new(project, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_DENIED);
    ck_assert_ptr_nonnull(strstr(error->message, "d/.gitignore"));
}
END_TEST

/* Files that move while the image is written are sent as they are then, or not at all. */
START_TEST(changes_behind_the_scan)
{
    run("cd p; for f in log gone grown same; do echo $f >$f; done");
    Box box;
    box_open(&box, "p");
    run("cd p; echo LOG >log; rm gone; echo more >>grown");
    box_fill(&box);
    ck_assert_uint_eq(box.entries, 3);
    box_enter(&box);
    box_free(&box);
    run("cmp p/log x/log; cmp p/grown x/grown; cmp p/same x/same; test ! -e x/gone");
    ck_assert_uint_ge(enter("p", NULL), 2);
}
END_TEST

START_TEST(what_the_base_tree_holds_must_not_change)
{
    run("cd p; echo 1 >f");
    Box box;
    box_open(&box, "p");
    g_autoptr(GPtrArray) notes = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *tree = base_tree_at(box.project, box.scan, "g", notes);
    run("echo 2 >p/f");
    box_fill(&box);
    TbEntry entry;
    bool done;
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_delta_next(box.delta, &entry, &done, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_BUSY);
    box_free(&box);
}
END_TEST

START_TEST(no_image_everything_by_delta)
{
    run(START);
    Box box = {.project = open_project("p")};
    box.image = tb_project_image_open(box.project, "ext4", NULL);
    ck_assert_ptr_nonnull(box.image);
    ck_assert_str_eq(tb_project_image_filesystem(box.image), "none");
    box.scan = scan_project(box.project);
    ck_assert(tb_project_image_fill(box.image, box.scan, NULL));
    box.delta = tb_delta_new(box.image, box.scan, NULL);
    run("mkdir x; chmod 700 x; chmod $(stat -c %%a p) x");
    g_autofree char *path = in_top("x");
    int x = open(path, O_RDONLY | O_DIRECTORY);
    TbEntry entry;
    bool done = false;
    while (tb_delta_next(box.delta, &entry, &done, NULL) && !done)
        receive(box.delta, &entry, x);
    close(x);
    compare(&box);
    box_free(&box);
}
END_TEST

/* Links are not followed, and nobody looks further than was asked. */
START_TEST(how_large_it_is)
{
    run("mkdir -p m/a/b; cd m; printf 12345 >a/one; printf 123 >a/b/two; ln -s /usr link; ln -s . "
        "loop");
    g_autoptr(TbProject) project = open_project("m");
    uint64_t files = 0, bytes = 0;
    tb_project_measure(project, 100, 100, &files, &bytes);
    ck_assert_uint_eq(files, 6);
    ck_assert_uint_eq(bytes, 8);
    tb_project_measure(project, 2, 100, &files, &bytes);
    ck_assert_uint_eq(files, 3);
    tb_project_measure(project, 100, 2, &files, &bytes);
    ck_assert_uint_gt(bytes, 2);
    ck_assert_uint_lt(files, 6);
}
END_TEST

/* A shared directory: the delta covers what was left out and brings .git. */
START_TEST(live_directory)
{
    run(START "mkfifo pipe");
    Box box = {.project = open_project("p")};
    box.image = tb_project_image_live(box.project, "9p");
    box.scan = scan_project(box.project);
    ck_assert(tb_project_image_fill(box.image, box.scan, NULL));
    box.delta = tb_delta_new(box.image, box.scan, NULL);
    run("cp -a p x");
    g_autofree char *path = in_top("x");
    int x = open(path, O_RDONLY | O_DIRECTORY);
    TbEntry entry;
    bool done = false;
    while (tb_delta_next(box.delta, &entry, &done, NULL) && !done)
        receive(box.delta, &entry, x);
    close(x);
    compare(&box);
    box_free(&box);
    run("! grep -r token x");
}
END_TEST

/* A verification scans the project once more, by the same descriptors. */
START_TEST(scanned_again)
{
    run("mkdir -p twice/a; echo x >twice/a/f; echo y >twice/g; git init -q twice");
    g_autoptr(TbProject) project = open_project("twice");
    g_autoptr(TbScan) first = scan_project(project);
    g_autoptr(TbScan) second = scan_project(project);
    ck_assert_uint_gt(first->items->len, 5);
    ck_assert_uint_eq(first->items->len, second->items->len);
}
END_TEST

/* A share must not show: all git directories, wherever they are, and what is mounted. */
START_TEST(unshared)
{
    run("mkdir -p q/a/clone q/b 'q/a b'; git init -q q; git init -q q/a/clone; git init -q q/b;"
        "git init -q 'q/a b'; mkdir -p q/.git/modules/m/.git q/no; ln -s ../.git q/no/.git;"
        "mkdir -p w; git init -q --separate-git-dir w/inside w; echo x >w/f");
    g_autoptr(GError) error = NULL;
    Box box = {.project = open_project("q")};
    box.image = tb_project_image_live(box.project, "9p");
    box.scan = scan_project(box.project);
    g_auto(GStrv) paths = tb_project_unshared(box.image, box.scan, 4, &error);
    ck_assert_msg(paths != NULL, "%s", error ? error->message : "");
    g_autofree char *text = g_strjoinv(" ", paths);
    ck_assert_str_eq(text, ".git a/clone/.git a b/.git b/.git");
    ck_assert_ptr_null(tb_project_unshared(box.image, box.scan, 3, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "4 git directories"));
    box_free(&box);
    box = (Box){.project = open_project("w")};
    box.image = tb_project_image_live(box.project, "9p");
    box.scan = scan_project(box.project);
    g_auto(GStrv) other = tb_project_unshared(box.image, box.scan, 4, NULL);
    g_autofree char *its = g_strjoinv(" ", other);
    ck_assert_str_eq(its, "inside");
    box_free(&box);
}
END_TEST

/* Two runs at once, a new image while an old one is in use, and the collector. */
START_TEST(runs_beside_each_other)
{
    run("cd p; echo 1 >f");
    Box one, two;
    box_open(&one, "p");
    box_open(&two, "p");
    ck_assert_str_ne(tb_project_image_path(one.image), tb_project_image_path(two.image));
    box_fill(&one);
    box_fill(&two);
    box_enter(&one);
    compare(&one);
    box_enter(&two);
    compare(&two);
    unsigned count = 0;
    uint64_t bytes = 0;
    ck_assert(tb_project_images_gc(0, true, &count, &bytes, NULL));
    ck_assert_uint_eq(count, 0);
    box_free(&two);
    box_free(&one);
    Box three;
    box_open(&three, "p"); /* sweeps the one that no manifest names */
    g_autofree char *left = shell("ls cache/taskbox/projects/*/image-* | wc -l");
    ck_assert_str_eq(left, "1");
    box_free(&three);
    ck_assert(tb_project_images_gc(3600, true, &count, &bytes, NULL));
    ck_assert_uint_eq(count, 0);
    ck_assert(tb_project_images_gc(0, false, &count, &bytes, NULL));
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_gt(bytes, 0);
    ck_assert(tb_project_images_gc(0, true, &count, &bytes, NULL));
    ck_assert_uint_eq(count, 1);
    g_autofree char *none = shell("ls cache/taskbox/projects/*/image-* 2>/dev/null | wc -l");
    ck_assert_str_eq(none, "0");
}
END_TEST

START_TEST(damaged_manifests_are_not_believed)
{
    run("cd p; echo 1 >f; sleep 0.1");
    enter("p", NULL);
    const char *damages[] = {
        ": >manifest",
        "truncate -s -1 manifest",
        "printf x | dd of=manifest bs=1 seek=3 conv=notrunc 2>/dev/null",
        "printf '\\377\\377\\377' | dd of=manifest bs=1 seek=162 conv=notrunc 2>/dev/null",
        "i=$(ls image-*); rm $i; : >$i",
        "rm image-*",
        "i=$(ls image-*); mv $i y; ln -s y $i",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(damages); i++) {
        run("cd cache/taskbox/projects/*/; chmod u+w image-*; %s", damages[i]);
        ck_assert_uint_eq(enter("p", NULL), 0);
    }
    /* An image that never reached the disk before the host went down. */
    Box box;
    run("rm -r cache");
    box_open(&box, "p");
    box_fill(&box);
    g_autofree char *fresh = shell("cd cache/taskbox/projects/*/; strings manifest | head -3");
    g_autofree char *boot = shell("cat /proc/sys/kernel/random/boot_id");
    ck_assert_ptr_nonnull(strstr(fresh, boot));
    box_free(&box);
    g_autofree char *settled = shell("cd cache/taskbox/projects/*/; strings manifest | head -3");
    ck_assert_ptr_null(strstr(settled, boot));
}
END_TEST

START_TEST(order_of_paths)
{
    const char *sorted[] = {"", "a", "a/b", "a/b/c", "a/b.c", "a b", "a.b", "ab", "b", "\377"};
    for (size_t i = 0; i < G_N_ELEMENTS(sorted); i++)
        for (size_t j = 0; j < G_N_ELEMENTS(sorted); j++) {
            int order = tb_path_order(sorted[i], sorted[j]);
            ck_assert_int_eq((order > 0) - (order < 0), (i > j) - (i < j));
        }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        order_of_paths,
        first_run,
        all_sizes,
        many_names,
        later_runs_send_what_changed,
        only_the_top_of_what_is_gone,
        forged_times,
        large_delta_makes_a_new_image,
        linked_worktree,
        submodules,
        sha256_repository,
        odd_things_are_named,
        a_pipe_where_git_reads_is_refused,
        changes_behind_the_scan,
        what_the_base_tree_holds_must_not_change,
        no_image_everything_by_delta,
        live_directory,
        unshared,
        scanned_again,
        how_large_it_is,
        runs_beside_each_other,
        damaged_manifests_are_not_believed,
    };
    g_autofree char *fsck = g_find_program_in_path("fsck.erofs");
    if (!fsck) {
        fprintf(stderr, "skipped: no fsck.erofs (package erofs-utils)\n");
        return 77;
    }
    return run_suite("image", tests, G_N_ELEMENTS(tests));
}
