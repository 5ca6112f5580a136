/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The promise, with random edits: what the box holds becomes a tree (as plain git makes it), the
 * tree a patch that proves itself and that git apply and git am turn into the same tree again, and
 * apply makes of the project just that, or a part, and undo what was there before.
 *
 * TB_ROUNDS=500 TB_SEED=1000 for a long run or to have a failure again.
 */
#include "../suite.h"
#include "fixture.h"
#include "patch/overlay.h"
#include "review/apply.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"

#define ROUNDS     40
#define EDITS      15
#define NAME_BYTES 7 /* times ROUNDS: more than there are */

static const char *const names[] = {
    "a",           "b.txt", "with space", "new\nline", "quote\"s",     "tab\t",
    "back\\slash", "ü",     "\xff\xfe",   "日本",      "-dash",        ":(top)x",
    "it's",        "~",     "...",        ".hidden",   "$HOME",        "%s",
    "*",           "[x]",   "a b/c",      "d/e/f/g/h", "{arrow} => x", "\x1b[31m",
};

static const char *const dirs[] = {"", "src/", "src/deep/er/", "lib x/", "d\n/", "q\"/ü/"};

/* Any bytes but '/' and NUL. Too short for a name that is git's own, and never "." or "..". */
static char *random_bytes(GRand *random)
{
    char bytes[4] = {0};
    int length = g_rand_int_range(random, 1, 4);
    for (int i = 0; i < length; i++) {
        int byte = g_rand_int_range(random, 1, 255);
        bytes[i] = (char)(byte >= '/' ? byte + 1 : byte);
    }
    return strcmp(bytes, ".") && strcmp(bytes, "..") ? g_strdup(bytes) : g_strnfill(255, 'n');
}

/* Paths of this round: half of the time one that was had before, so that edits meet files. */
static GPtrArray *used;

static char *random_path(GRand *random)
{
    if (used->len && g_rand_boolean(random))
        return g_strdup(used->pdata[g_rand_int_range(random, 0, (gint32)used->len)]);
    const char *dir = dirs[g_rand_int_range(random, 0, G_N_ELEMENTS(dirs))];
    g_autofree char *bytes = random_bytes(random);
    bool known = g_rand_int_range(random, 0, 3) > 0;
    const char *name = known ? names[g_rand_int_range(random, 0, G_N_ELEMENTS(names))] : bytes;
    g_ptr_array_add(used, g_strconcat(dir, name, NULL));
    return g_strdup(used->pdata[used->len - 1]);
}

static GString *random_text(GRand *random)
{
    static const char *const lines[] = {
        "one\n",
        "two\n",
        "\n",
        "From x Mon Sep 17 00:00:00 2001\n",
        "--- a/x\n",
        "+++ b/x\n",
        "-- \n",
        "diff --git a/x b/x\n",
        "crlf\r\n",
        "trailing \t\n",
        "\xc3\xbc\n",
        "\xff\xfe\n",
        "---\n",
        "@@ -1 +1 @@\n",
        "\x1b]0;t\x07\n",
        "GIT binary patch\n",
        "\\ No newline\n",
    };
    GString *text = g_string_new(NULL);
    int count = g_rand_int_range(random, 0, 40);
    for (int i = 0; i < count; i++)
        g_string_append(text, lines[g_rand_int_range(random, 0, G_N_ELEMENTS(lines))]);
    switch (g_rand_int_range(random, 0, 6)) {
    case 0:
        for (int i = 0; i < 300; i++)
            g_string_append_c(text, (char)g_rand_int_range(random, 0, 256));
        break;
    case 1:
        g_string_append(text, "no newline at the end");
        break;
    default:
        break;
    }
    return text;
}

/* Makes room for a path: parents that are files go. */
static void clear_way(const char *dir, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    g_autofree char *at = g_strdup(dir);
    for (int i = 0; parts[i + 1]; i++) {
        char *next = g_build_filename(at, parts[i], NULL);
        g_free(at);
        at = next;
        struct stat st;
        if (lstat(at, &st) == 0 && !S_ISDIR(st.st_mode))
            unlink(at);
    }
    g_free(RUN(dir, "rm", "-rf", "--", path));
}

static void write_random(GRand *random, const char *dir, const char *path)
{
    g_autoptr(GString) text = random_text(random);
    static const int modes[] = {0644, 0644, 0644, 0755, 0600, 0700, 0655, 04755};
    clear_way(dir, path);
    put_file(dir, path, text->str, (gssize)text->len,
             modes[g_rand_int_range(random, 0, G_N_ELEMENTS(modes))]);
}

static void link_random(GRand *random, const char *dir, const char *path)
{
    static const char *const targets[] = {"/etc/passwd", "..", "a", "no such\nfile", "\xff"};
    clear_way(dir, path);
    PUT(dir, path, "");
    g_autofree char *full = g_build_filename(dir, path, NULL);
    unlink(full);
    ck_assert_int_eq(symlink(targets[g_rand_int_range(random, 0, 5)], full), 0);
}

/* What no tree can hold, or not as what it is: a fifo, an empty directory, a second name. */
static void make_odd(GRand *random, const char *dir, bool fifos, const char *path,
                     const char *other)
{
    g_autofree char *full = g_build_filename(dir, path, NULL);
    g_autofree char *full_other = g_build_filename(dir, other, NULL);
    clear_way(dir, path);
    PUT(dir, path, "");
    unlink(full);
    switch (g_rand_int_range(random, fifos ? 0 : 1, 3)) {
    case 0:
        ck_assert_int_eq(mkfifo(full, 0644), 0);
        break;
    case 1:
        ck_assert_int_eq(mkdir(full, 0755), 0);
        break;
    default:
        if (link(full_other, full) != 0)
            ck_assert_int_eq(mkdir(full, 0700), 0);
        break;
    }
}

/* A project has no fifos here: they never get into a box, and stay in the way of what it has there.
 */
static void edit(GRand *random, const char *dir, bool fifos)
{
    g_autofree char *path = random_path(random);
    g_autofree char *full = g_build_filename(dir, path, NULL);
    g_autofree char *other = random_path(random);
    g_autofree char *full_other = g_build_filename(dir, other, NULL);
    struct stat st;
    bool there = lstat(full, &st) == 0;
    switch (g_rand_int_range(random, 0, 10)) {
    case 0:
    case 1:
    case 2:
        write_random(random, dir, path);
        break;
    case 3:
        g_free(RUN(dir, "rm", "-rf", "--", path));
        break;
    case 4:
        if (there && !S_ISLNK(st.st_mode) && !S_ISDIR(st.st_mode))
            ck_assert_int_eq(chmod(full, st.st_mode ^ 0111), 0);
        break;
    case 5:
        link_random(random, dir, path);
        break;
    case 6: /* rename; what cannot be renamed stays */
        if (rename(full, full_other) == 0)
            break;
        G_GNUC_FALLTHROUGH;
    case 7: /* a directory becomes a file, or a file a directory */
        if (!there || !S_ISDIR(st.st_mode)) {
            g_autofree char *below = g_strconcat(path, "/below", NULL);
            write_random(random, dir, below);
        } else {
            write_random(random, dir, path);
        }
        break;
    case 8:
        make_odd(random, dir, fifos, path, other);
        break;
    default: /* one byte more */
        if (there && S_ISREG(st.st_mode)) {
            FILE *file = fopen(full, "a");
            fputc('x', file);
            fclose(file);
        }
        break;
    }
}

/* Names with the next few of all bytes, so that a run of all rounds has had each. */
static void put_all_bytes(const char *dir, guint32 seed)
{
    for (guint32 i = 0; i < NAME_BYTES; i++) {
        char name[] = {'b', (char)(1 + (seed * NAME_BYTES + i) % 255), '\0'};
        if (name[1] == '/')
            continue;
        clear_way(dir, name);
        PUT(dir, name, "all bytes\n");
    }
}

static void fill_project(Fixture *f, GRand *random)
{
    PUT(f->project, ".gitignore", "*.log\n/build/\n!keep.log\n");
    PUT(f->project, ".gitattributes", "* text eol=crlf ident\n*.txt -diff\n* filter=evil\n");
    PUT(f->project, "out.log", "ignored before");
    PUT(f->project, "build/product", "ignored before");
    for (int i = 0; i < 25; i++)
        edit(random, f->project, false);
}

/* plain git obeys attributes; the base tree does not. So plain git's trees are made without. */
static void hide_attributes(Fixture *f)
{
    PUT(f->repository, "info/attributes", PLAIN_ATTRIBUTES);
}

/* The file as it lies there is what it says, and no longer so once one byte is another. */
static void check_verify(Fixture *f, GRand *random, const char *patch)
{
    g_autoptr(GError) error = NULL;
    tb_autofd fd = open(patch, O_RDWR | O_CLOEXEC);
    g_autoptr(TbPatchInfo) info = tb_patch_info_read(fd, NULL, &error);
    ck_assert_msg(info != NULL, "%s", error ? error->message : "");
    ck_assert_msg(tb_patch_prove(f->git, f->base_index, info, fd, &error), "%s",
                  error ? error->message : "");
    if (info->length == 0)
        return;
    off_t at = (off_t)(info->offset + g_rand_int(random) % info->length);
    uint8_t byte = 0;
    ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
    byte ^= (uint8_t)(1 << g_rand_int_range(random, 0, 8));
    ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    ck_assert_ptr_null(tb_patch_info_read(fd, NULL, NULL));
}

typedef struct {
    Fixture *f;
    char *copy, *scratch;
} Target;

static void apply(const Target *target, const char *from, const char *to, TbUndo *record,
                  const TbUndo *restore, TbApplyOutcome expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) drift = NULL;
    TbApplyOutcome outcome = (TbApplyOutcome)-1;
    TbApplyOptions options = {
        .check = expected == TB_APPLY_CLEAN, .record = record, .restore = restore};
    bool ok = tb_apply_with(target->f->git, from, to, target->copy, target->scratch, &options,
                            &outcome, &drift, &error);
    ck_assert_msg(ok, "%s: %s", error ? error->message : "",
                  drift ? (const char *)drift->pdata[0] : "");
    ck_assert_int_eq(outcome, expected);
}

static void expect_tree(const Target *target, const char *tree)
{
    g_autofree char *now = tree_of(target->f, target->copy);
    ck_assert_str_eq(now, tree);
}

/* There and back: the second time to the last permission bit and empty directory. */
static void check_apply(const Target *target, const char *result)
{
    const char *base = target->f->base_tree;
    g_autofree char *before = snapshot(target->copy);
    g_autoptr(TbUndo) record = tb_undo_new(base, result);
    bool same = strcmp(result, base) == 0;
    apply(target, base, result, NULL, NULL, same ? TB_APPLY_ALREADY : TB_APPLY_CLEAN);
    g_autofree char *checked = snapshot(target->copy);
    ck_assert_str_eq(before, checked);
    apply(target, base, result, record, NULL, same ? TB_APPLY_ALREADY : TB_APPLY_DONE);
    expect_tree(target, result);
    apply(target, base, result, NULL, NULL, TB_APPLY_ALREADY);
    apply(target, result, base, NULL, record, same ? TB_APPLY_ALREADY : TB_APPLY_DONE);
    expect_tree(target, base);
    g_autofree char *after = snapshot(target->copy);
    ck_assert_str_eq(before, after);
}

/* A random part of the change, if it can be had alone; applied and taken back. */
static void check_part(const Target *target, GRand *random, const char *result)
{
    g_autoptr(GError) error = NULL;
    const char *base = target->f->base_tree;
    g_autoptr(GPtrArray) files = tb_patch_files(target->f->git, base, result, &error);
    g_autoptr(GPtrArray) paths = g_ptr_array_new();
    for (guint i = 0; i < files->len; i++)
        if (g_rand_int_range(random, 0, 3) == 0)
            g_ptr_array_add(paths, ((TbPatchFile *)files->pdata[i])->path);
    if (paths->len == 0)
        return;
    g_ptr_array_add(paths, NULL);
    g_autofree char *tree = NULL;
    g_autoptr(GPtrArray) chosen = tb_tree_select(target->f->git, base, result,
                                                 (const char *const *)paths->pdata, &tree, &error);
    if (!chosen) {
        ck_assert_msg(tb_error_code(error) == TB_ERROR_CONFLICT, "%s", error->message);
        return;
    }
    check_apply(target, tree);
}

/* git add stops at a fifo where a file was. */
static char *tree_without_fifos(Fixture *f)
{
    g_autofree char *copy = g_build_filename(f->dir, "expected", NULL);
    copy_dir(f->box, copy);
    g_free(RUN(copy, "find", ".", "-type", "p", "-delete"));
    return tree_of(f, copy);
}

static void one_round(guint32 seed)
{
    Fixture f = {.sha256 = seed % 4 == 3};
    GRand *random = g_rand_new_with_seed(seed);
    used = g_ptr_array_new_with_free_func(g_free);
    fixture_start(&f);
    hide_attributes(&f);
    fill_project(&f, random);
    fixture_base(&f);
    for (int i = 0; i < EDITS; i++)
        edit(random, f.box, true);
    put_all_bytes(f.box, seed);
    PUT(f.box, "new.log", "ignored");
    PUT(f.box, "build/product", "ignored and changed");
    g_autofree char *expected = tree_without_fifos(&f);
    g_autofree char *result = result_of_walk(&f, random);
    ck_assert_msg(strcmp(result, expected) == 0, "seed %u: tree %s, plain git %s", seed, result,
                  expected);
    TbPatchStat stat;
    g_autofree char *patch = write_patch_file(&f, result, "a random edit", &stat);
    if (stat.files) {
        g_autofree char *applied = tree_by_git_apply(&f, patch);
        ck_assert_msg(strcmp(applied, result) == 0, "seed %u: git apply", seed);
        g_autofree char *mailed = tree_by_git_am(&f, patch, NULL);
        ck_assert_msg(strcmp(mailed, result) == 0, "seed %u: git am", seed);
    }
    check_verify(&f, random, patch);
    Target target = {.f = &f,
                     .copy = g_build_filename(f.dir, "target", NULL),
                     .scratch = g_build_filename(f.dir, "scratch", NULL)};
    copy_dir(f.project, target.copy);
    check_part(&target, random, result);
    check_apply(&target, result);
    g_free(target.copy);
    g_free(target.scratch);
    g_rand_free(random);
    g_ptr_array_unref(used);
    fixture_stop(&f);
}

static guint32 first_seed;

START_TEST(random_edits)
{
    /* Check prints the number of a failing round, too; this one stands before any of its output. */
    printf("seed %u\n", first_seed + (guint32)_i);
    fflush(stdout);
    one_round(first_seed + (guint32)_i);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("roundtrip");
    TCase *tests = tcase_create("roundtrip");
    const char *rounds = g_getenv("TB_ROUNDS"), *seed = g_getenv("TB_SEED");
    first_seed = seed ? (guint32)g_ascii_strtoull(seed, NULL, 10) : 0;
    tcase_set_timeout(tests, 300);
    tcase_add_loop_test(tests, random_edits, 0, rounds ? atoi(rounds) : ROUNDS);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
