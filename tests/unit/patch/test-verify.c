/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The proof of a patch file: what taskbox wrote holds, and nothing that was altered does. */
#include "../suite.h"
#include "fixture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "patch/files.h"
#include "util/auto.h"
#include "util/error.h"

static Fixture f;
static char *result, *text;
static gsize size;

static void setup(void)
{
    f = (Fixture){0};
    fixture_start(&f);
    PUT(f.repository, "info/attributes", PLAIN_ATTRIBUTES);
    PUT(f.project, "a", "one\ntwo\nthree\n");
    g_free(RUN(f.project, "ln", "-s", "/tmp", "link"));
    fixture_base(&f);
    PUT(f.box, "a", "one\nTWO\nthree\n");
    PUT(f.box, "new", "-- \ntaskbox 0.1.0\n\n");
    put_file(f.box, "bin", "a\0b\xff", 4, 0755);
    result = result_of_walk(&f, NULL);
    g_autofree char *patch = write_patch_file(&f, result, "Change it\nand more", NULL);
    ck_assert(g_file_get_contents(patch, &text, &size, NULL));
}

static void teardown(void)
{
    g_clear_pointer(&result, g_free);
    g_clear_pointer(&text, g_free);
    fixture_stop(&f);
}

static TbPatchInfo *read_info(const char *data, gsize length, int *fd, GError **error)
{
    put_file(f.dir, "altered.patch", data, (gssize)length, 0644);
    g_autofree char *path = g_build_filename(f.dir, "altered.patch", NULL);
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(*fd, 0);
    return tb_patch_info_read(*fd, NULL, error);
}

static TbErrorCode code_of(const char *data, gsize length)
{
    tb_autofd fd = -1;
    g_autoptr(GError) error = NULL;
    g_autoptr(TbPatchInfo) info = read_info(data, length, &fd, &error);
    bool ok = info && tb_patch_prove(f.git, f.base_index, info, fd, &error);
    ck_assert(ok == (error == NULL));
    /* By the files that differ it is as right or wrong as by the whole tree. */
    g_autoptr(GPtrArray) files =
        info ? tb_patch_raw(f.git, info->base_tree, info->result_tree, NULL) : NULL;
    g_autoptr(GError) again = NULL;
    if (files) {
        ck_assert(tb_patch_prove_files(f.git, info, fd, files, &again) == ok);
        ck_assert(ok || tb_error_code(again) == tb_error_code(error));
    }
    return ok ? (TbErrorCode)-1 : tb_error_code(error);
}

#define FINE ((TbErrorCode)-1)

START_TEST(what_was_written)
{
    tb_autofd fd = -1;
    g_autoptr(TbPatchInfo) info = read_info(text, size, &fd, NULL);
    ck_assert_ptr_nonnull(info);
    ck_assert_str_eq(info->task_id, "abc123");
    ck_assert_str_eq(info->image_digest, "sha256:0123");
    ck_assert_str_eq(info->base_tree, f.base_tree);
    ck_assert_str_eq(info->result_tree, result);
    ck_assert_int_eq(code_of(text, size), FINE);
}
END_TEST

START_TEST(cut_anywhere)
{
    for (gsize length = 0; length < size; length++) {
        tb_autofd fd = -1;
        g_autoptr(GError) error = NULL;
        g_autoptr(TbPatchInfo) info = read_info(text, length, &fd, &error);
        ck_assert_msg(!info, "cut at %zu of %zu", length, size);
        ck_assert_int_eq(tb_error_code(error), TB_ERROR_VERIFY);
    }
}
END_TEST

/* Is this a byte that nobody can check: author, date, subject, prompt, task, image? */
static bool is_claim(gsize at)
{
    const char *ends[] = {"\nMIME-Version", "\nTaskbox-Base-Tree"};
    const char *starts[] = {"From: ", "    Change it"};
    for (int i = 0; i < 2; i++)
        if (text + at >= strstr(text, starts[i]) && text + at < strstr(text, ends[i]))
            return true;
    return false;
}

START_TEST(altered_anywhere)
{
    for (gsize at = 0; at < size; at++) {
        g_autofree char *copy = g_memdup2(text, size);
        copy[at] ^= 1;
        tb_autofd fd = -1;
        g_autoptr(GError) error = NULL;
        g_autoptr(TbPatchInfo) info = read_info(copy, size, &fd, &error);
        if (!info) {
            ck_assert_int_eq(tb_error_code(error), TB_ERROR_VERIFY);
            continue;
        }
        /* The reader let it through: a claim, the version, or a tree id that the proof refuses
         * (a few of its digits will do). */
        bool tree = strcmp(info->base_tree, f.base_tree) || strcmp(info->result_tree, result);
        ck_assert_msg(tree || is_claim(at) || text + at > g_strrstr(text, "taskbox "), "byte %zu",
                      at);
        if (tree && at % 8 == 0)
            ck_assert(!tb_patch_prove(f.git, f.base_index, info, fd, &error));
    }
}
END_TEST

static char *replaced(const char *from, const char *to)
{
    g_auto(GStrv) parts = g_strsplit(text, from, 2);
    ck_assert_msg(parts[0] && parts[1], "no '%s'", from);
    return g_strjoinv(to, parts);
}

START_TEST(other_heads)
{
    static const char *const changes[][2] = {
        {"Taskbox-Task: abc123\n", "Taskbox-Task: abc123\nTaskbox-Task: abc123\n"},
        {"Taskbox-Task: abc123\n", ""},
        {"Taskbox-Task: abc123\n", "Taskbox-Task: \n"},
        {"Taskbox-Task: abc123\n", "Taskbox-Task: \x1b[31m\n"},
        {"Taskbox-Task: ", "taskbox-task: "},
        {"Taskbox-Task: ", "Taskbox-Tusk: "},
        {"Taskbox-Base-Tree: ", "Taskbox-Base-Tree: 00"},
        {"Taskbox-Base-Tree: ", "Taskbox-Result-Tree: "},
        {"Taskbox-Diff-SHA256: ", "Taskbox-Diff-SHA256: 0"},
        {"Taskbox-Diff-SHA256: ", "Signed-off-by: evil\nTaskbox-Diff-SHA256: "},
        {"\n---\n", "\n---\n---\n"},
        {"\n---\n", "\n--- \n"},
        {"MIME-Version", "X-Evil: 1\nMIME-Version"},
        {"Subject: ", "Subject: [PATCH] other\nSubject: "},
        {"From: AI", "From: a\r\nFrom: AI"},
        {"From 0", "From 1"},
        {"    Change it\n", "Change it\n"},
        {"\n-- \ntaskbox ", "\n--\ntaskbox "},
        {"\n-- \ntaskbox ", "\n-- \nother "},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autofree char *other = replaced(changes[i][0], changes[i][1]);
        ck_assert_msg(code_of(other, strlen(other)) == TB_ERROR_VERIFY, "%s", changes[i][1]);
    }
}
END_TEST

/* A patch file with a right hash around any diff. */
static char *forged(const char *diff, const char *to)
{
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, diff, -1);
    const char *sum = strstr(text, "Taskbox-Result-Tree: ");
    return g_strdup_printf("%.*sTaskbox-Result-Tree: %s\nTaskbox-Diff-SHA256: %s\n---\n%s"
                           "-- \ntaskbox 0.1.0\n\n",
                           (int)(sum - text), text, to, hash, diff);
}

#define NEW_FILE(path)                                                                             \
    "diff --git a/" path " b/" path "\nnew file mode 100644\nindex " ZERO ".." ONE                 \
    "\n--- /dev/null\n+++ b/" path "\n@@ -0,0 +1 @@\n+x\n"
#define ZERO "0000000000000000000000000000000000000000"
#define ONE  "587be6b4c3f93f93c489c0111bba5596147a26cb"

START_TEST(hostile_diffs)
{
    static const char *const diffs[] = {
        NEW_FILE("../out"),
        NEW_FILE("/tmp/out"),
        NEW_FILE("x/../../out"),
        NEW_FILE(".git/hooks/pre-commit"),
        NEW_FILE(".GIT/config"),
        NEW_FILE("sub/git~1/config"),
        NEW_FILE("link/out"),
        NEW_FILE("a/below"),
        "diff --git a/a b/../a\nsimilarity index 100%\nrename from a\nrename to ../a\n",
        "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,99999999999999999999 +1 @@\n-one\n+two\n",
        "diff --git a/big b/big\nnew file mode 100644\nindex " ZERO ".." ONE
        "\nGIT binary patch\nliteral 99999999999999\nzcmV\n\nliteral 0\nHcmV?d00001\n\n",
        "no diff at all\n",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(diffs); i++) {
        g_autofree char *patch = forged(diffs[i], result);
        ck_assert_msg(code_of(patch, strlen(patch)) == TB_ERROR_VERIFY, "%s", diffs[i]);
    }
    g_autofree char *unchanged = forged("", f.base_tree), *nothing = forged("", result);
    ck_assert_int_eq(code_of(unchanged, strlen(unchanged)), FINE);
    ck_assert_int_eq(code_of(nothing, strlen(nothing)), TB_ERROR_VERIFY);
}
END_TEST

/* What is right but for a file too many, one too few, or a line. */
START_TEST(diffs_that_are_not_all)
{
    const char *from = strstr(text, "\n---\n") + 5, *to = g_strrstr(text, "-- \ntaskbox ");
    g_autofree char *diff = g_strndup(from, (gsize)(to - from));
    g_autofree char *same = forged(diff, result);
    ck_assert_int_eq(code_of(same, strlen(same)), FINE);
    g_autofree char *more = g_strconcat(diff, NEW_FILE("one-more"), NULL);
    g_autofree char *first = g_strdup(strstr(diff, "diff --git"));
    char *second = strstr(first + 1, "\ndiff --git");
    ck_assert_ptr_nonnull(second);
    second[1] = '\0';
    g_autofree char *other = g_strdup(diff);
    *(strstr(other, "\n+") + 2) ^= 1;
    const char *const wrong[] = {more, first, other};
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *patch = forged(wrong[i], result);
        ck_assert_msg(code_of(patch, strlen(patch)) == TB_ERROR_VERIFY, "%zu", i);
    }
}
END_TEST

START_TEST(sizes_and_kinds)
{
    g_autofree char *path = g_build_filename(f.dir, "sparse", NULL);
    tb_autofd fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    g_autoptr(GError) error = NULL;
    ck_assert_int_eq(ftruncate(fd, (off_t)1 << 40), 0);
    ck_assert_ptr_null(tb_patch_info_read(fd, NULL, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_LIMIT);
    g_clear_error(&error);
    tb_autofd dir = open(f.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_ptr_null(tb_patch_info_read(dir, NULL, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_USAGE);
    /* A head that does not end is given up on. */
    g_autoptr(GString) endless = g_string_new_len(text, strstr(text, "    Change it") - text);
    while (endless->len < 1 << 20)
        g_string_append(endless, "    more\n");
    g_string_append(endless, strstr(text, "Taskbox-Task"));
    ck_assert_int_eq(code_of(endless->str, endless->len), TB_ERROR_VERIFY);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("verify");
    TCase *tests = tcase_create("verify");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_was_written);
    tcase_add_test(tests, cut_anywhere);
    tcase_add_test(tests, altered_anywhere);
    tcase_add_test(tests, other_heads);
    tcase_add_test(tests, hostile_diffs);
    tcase_add_test(tests, diffs_that_are_not_all);
    tcase_add_test(tests, sizes_and_kinds);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
