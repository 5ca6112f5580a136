/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The patch file: what git am and git apply make of it, whatever the prompt and the content. */
#include "../suite.h"
#include "fixture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"

static Fixture f;

static void setup(void)
{
    f = (Fixture){0};
    fixture_start(&f);
    /* Plain git obeys attributes; base trees hold the bytes as they are. */
    PUT(f.repository, "info/attributes", PLAIN_ATTRIBUTES);
    PUT(f.project, "a", "one\ntwo\nthree\n");
    PUT(f.project, "script", "#!/bin/sh\n");
    PUT(f.project, "crlf.txt", "one\r\ntwo\r\n");
    PUT(f.project, "bin", "");
    put_file(f.project, "bin", "a\0b\0c", 5, 0644);
    PUT(f.project, "old name", "content that moves\n");
    PUT(f.project, "dir/file", "x\n");
    PUT(f.project, "turn", "file to directory\n");
    PUT(f.project, ".gitattributes", "*.c -diff\n*.txt text eol=crlf\n* ident\n");
    fixture_base(&f);
}

static void teardown(void)
{
    fixture_stop(&f);
}

static void edit_box(void)
{
    PUT(f.box, "a", "one\nTWO\nthree");
    g_autofree char *script = g_build_filename(f.box, "script", NULL);
    ck_assert_int_eq(chmod(script, 0755), 0);
    PUT(f.box, "crlf.txt", "one\r\nTWO\r\nmixed\n");
    put_file(f.box, "bin", "a\0b\0d\xff\n", 7, 0644);
    g_free(RUN(f.box, "mv", "old name", "new \"name\"\n"));
    g_free(RUN(f.box, "rm", "-r", "dir", "turn"));
    PUT(f.box, "turn/into/a/deep/directory/x", "deep\n");
    PUT(f.box, "dir", "directory to file\n");
    PUT(f.box, "empty", "");
    PUT(f.box, "\xff\xfe", "invalid UTF-8 name\n");
    PUT(f.box, "b\xc3\xbc", "caf\xe9, no newline");
    PUT(f.box, "hidden.c", "$Id$\n\x1b[31m evil\n");
    PUT(f.box, "blank line at the end", "text\n\n\n");
    PUT(f.box, "mail", "From x Mon Sep 17 00:00:00 2001\n---\n-- \ndiff --git a/y b/y\n");
    g_autofree char *link = g_build_filename(f.box, "link", NULL);
    ck_assert_int_eq(symlink("../../etc/passwd", link), 0);
}

__attribute__((noinline)) static char *read_text(const char *path)
{
    char *text = NULL;
    ck_assert(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

/* SHA-256 of what stands between the first `from` and the last `to`. */
static char *hash_between(const char *text, const char *from, const char *to)
{
    const char *start = strstr(text, from) + strlen(from);
    const char *end = g_strrstr(text, to);
    return g_compute_checksum_for_string(G_CHECKSUM_SHA256, start, end - start);
}

START_TEST(every_kind_of_change)
{
    edit_box();
    g_autofree char *expected = result_of_walk(&f, NULL);
    TbPatchStat stat;
    g_autofree char *patch = write_patch_file(&f, expected, "Change everything", &stat);
    ck_assert_uint_eq(stat.files, 17);
    ck_assert_uint_eq(stat.binary, 1);
    struct stat st;
    ck_assert_int_eq(lstat(patch, &st), 0);
    ck_assert_uint_eq(stat.bytes, (uint64_t)st.st_size);
    g_autofree char *applied = tree_by_git_apply(&f, patch);
    g_autofree char *boxed = tree_of(&f, f.box);
    ck_assert_str_eq(expected, boxed);
    ck_assert_str_eq(applied, expected);
    g_autofree char *message = NULL;
    g_autofree char *mailed = tree_by_git_am(&f, patch, &message);
    ck_assert_str_eq(mailed, expected);
    g_autofree char *text = read_text(patch);
    g_autofree char *hash = hash_between(text, "\n---\n", "-- \ntaskbox ");
    g_autofree char *wanted = g_strdup_printf("AI Agent <agent@internal.sandbox> 1700000000\n"
                                              "Change everything\n\n"
                                              "Taskbox-Task: abc123\nTaskbox-Image: sha256:0123\n"
                                              "Taskbox-Base-Tree: %s\nTaskbox-Result-Tree: %s\n"
                                              "Taskbox-Diff-SHA256: %s\n",
                                              f.base_tree, expected, hash);
    ck_assert_str_eq(message, wanted);
    /* Shown as text in spite of "-diff", with a stat that names it. */
    ck_assert_ptr_nonnull(strstr(text, "+$Id$\n"));
    ck_assert_ptr_nonnull(strstr(text, " hidden.c "));
    ck_assert_ptr_nonnull(strstr(text, " create mode 120000 link\n"));
}
END_TEST

/* The patch's message, after it went through git am. */
static char *message_for(const char *subject)
{
    PUT(f.box, "a", "changed\n");
    g_autofree char *tree = result_of_walk(&f, NULL);
    g_autofree char *patch = write_patch_file(&f, tree, subject, NULL);
    g_autofree char *applied = tree_by_git_apply(&f, patch);
    ck_assert_str_eq(applied, tree);
    char *message = NULL;
    g_autofree char *mailed = tree_by_git_am(&f, patch, &message);
    ck_assert_str_eq(mailed, tree);
    ck_assert(g_str_has_prefix(message, "AI Agent <agent@internal.sandbox> 1700000000\n"));
    return message;
}

static void check_message(const char *subject, const char *expected_head)
{
    g_autofree char *message = message_for(subject);
    const char *body = strchr(message, '\n') + 1;
    g_autofree char *expected = g_strconcat(expected_head, "\n\nTaskbox-Task: abc123\n", NULL);
    ck_assert_msg(g_str_has_prefix(body, expected), "for '%s' got:\n%s", subject, body);
}

START_TEST(subjects)
{
    check_message("Fix the test", "Fix the test");
    check_message("  spaces   in\tbetween  ", "spaces in\\x09between");
    check_message("Grüße, 世界 \xf0\x9f\x98\x80", "Grüße, 世界 \xf0\x9f\x98\x80");
    check_message("a=b?c_d é ?= =?UTF-8?q?x?=", "a=b?c_d é ?= =?UTF-8?q?x?=");
    check_message("", "changes of task abc123");
    check_message("\n \n", "changes of task abc123");
    check_message("\x1b[31mred\x07", "\\x1B[31mred\\x07");
    check_message("From: evil <evil@example.invalid>", "From: evil <evil@example.invalid>");
}
END_TEST

START_TEST(long_subjects)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (int i = 0; i < 72; i++)
        g_string_append(text, "ü");
    g_autofree char *full = g_strdup(text->str);
    check_message(full, full);
    g_string_append(text, "more");
    g_autofree char *expected = g_strconcat(full, "...\n\n    ", text->str, NULL);
    check_message(text->str, expected);
}
END_TEST

START_TEST(prompts_that_look_like_mail)
{
    check_message("First line\n---\nFrom x Mon Sep 17 00:00:00 2001\nFrom: evil <e@e>\n\n"
                  "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-one\n+two\n-- \n2.0\n"
                  "Index: x\nSubject: other\n>From x\n",
                  "First line\n\n    First line\n    ---\n    From x Mon Sep 17 00:00:00 2001\n"
                  "    From: evil <e@e>\n\n"
                  "    diff --git a/a b/a\n    --- a/a\n    +++ b/a\n    @@ -1 +1 @@\n    -one\n"
                  "    +two\n    --\n    2.0\n"
                  "    Index: x\n    Subject: other\n    >From x");
    check_message("x\r\nFrom: evil\r\n", "x\n\n    x\n    From: evil");
    check_message("bidi\n\xe2\x80\xae evil \xff", "bidi\n\n    bidi\n    \\u{202E} evil \\xFF");
}
END_TEST

START_TEST(huge_prompt)
{
    g_autofree char *prompt = g_strnfill(1 << 20, 'p');
    g_autofree char *message = message_for(prompt);
    ck_assert_uint_lt(strlen(message), 20000);
    ck_assert_ptr_nonnull(strstr(message, "[...]"));
}
END_TEST

START_TEST(no_change)
{
    TbPatchStat stat;
    g_autofree char *patch = write_patch_file(&f, f.base_tree, "Nothing", &stat);
    g_autofree char *text = read_text(patch);
    ck_assert_uint_eq(stat.files, 0);
    ck_assert_uint_eq(stat.bytes, strlen(text));
    ck_assert_ptr_null(strstr(text, "diff --git"));
}
END_TEST

static bool write_limited(const char *result, uint64_t limit, GError **error)
{
    TbPatchLimits limits = {.max_patch = limit};
    TbPatchHeader header = {.subject = "x",
                            .task_id = "t",
                            .image_digest = "d",
                            .base_tree = f.base_tree,
                            .result_tree = result,
                            .author = "A \"B\" <a@b>"};
    tb_autofd dirfd = open(f.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return tb_patch_write(f.git, &header, &limits, dirfd, "limited.patch", NULL, error);
}

static bool is_in_dir(const char *part)
{
    g_autofree char *names = RUN(f.dir, "ls", "-A");
    return strstr(names, part) != NULL;
}

START_TEST(too_large)
{
    edit_box();
    g_autofree char *tree = result_of_walk(&f, NULL);
    g_autoptr(GError) error = NULL;
    ck_assert(!write_limited(tree, 1500, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_LIMIT);
    ck_assert(!is_in_dir("limited.patch"));
    g_clear_error(&error);
    ck_assert(write_limited(tree, 1 << 20, &error));
    ck_assert(is_in_dir("limited.patch"));
}
END_TEST

/* What if a path had come through all that went before? */
START_TEST(git_refuses_names_of_its_own)
{
    static const char *const bad[] = {".git/config", "../x", "d/.GIT/x", "git~1/x"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *blob = GIT(&f, f.project, NULL, "hash-object", "-w", "a");
        const TbTreeEntry entry = {bad[i], g_strchomp(blob), 0100644};
        g_autofree char *tree = tb_git_change_tree(f.git, f.base_tree, &entry, 1, &error);
        ck_assert_msg(tree != NULL, "%s", error ? error->message : "");
        ck_assert(!write_limited(tree, 1 << 20, &error));
        ck_assert_int_eq(tb_error_code(error), TB_ERROR_VERIFY);
        ck_assert(!is_in_dir("limited.patch"));
    }
}
END_TEST

START_TEST(counts)
{
    edit_box();
    g_autoptr(GError) error = NULL;
    g_autofree char *tree = result_of_walk(&f, NULL);
    g_autoptr(GPtrArray) files = tb_patch_files(f.git, f.base_tree, tree, &error);
    ck_assert_ptr_nonnull(files);
    unsigned seen = 0;
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        if (strcmp(file->path, "a") == 0) {
            ck_assert(file->added == 2 && file->removed == 2);
            seen++;
        } else if (strcmp(file->path, "bin") == 0) {
            ck_assert(file->added == -1 && file->removed == -1);
            seen++;
        } else if (strcmp(file->path, "script") == 0) {
            ck_assert(file->old_mode == 0100644 && file->new_mode == 0100755);
            ck_assert_str_eq(file->old_oid, file->new_oid);
            seen++;
        } else if (strcmp(file->path, "old name") == 0) {
            ck_assert(file->old_mode == 0100644 && file->new_mode == 0 && file->removed == 1);
            seen++;
        }
    }
    ck_assert_uint_eq(seen, 4);
}
END_TEST

/* A file that becomes a link is one change, counted once. */
START_TEST(kind_changes)
{
    g_autofree char *a = g_build_filename(f.box, "a", NULL);
    unlink(a);
    ck_assert_int_eq(symlink("target", a), 0);
    PUT(f.box, "zz", "after\n");
    g_autoptr(GError) error = NULL;
    g_autofree char *tree = result_of_walk(&f, NULL);
    g_autofree char *patch = write_patch_file(&f, tree, "link", NULL);
    g_autofree char *applied = tree_by_git_apply(&f, patch);
    ck_assert_str_eq(applied, tree);
    g_autoptr(GPtrArray) files = tb_patch_files(f.git, f.base_tree, tree, &error);
    ck_assert_msg(files != NULL, "%s", error ? error->message : "");
    ck_assert_uint_eq(files->len, 2);
    const TbPatchFile *file = files->pdata[0];
    ck_assert(file->old_mode == 0100644 && file->new_mode == 0120000);
    ck_assert(file->added == 1 && file->removed == 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("patch-write");
    TCase *tests = tcase_create("write");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, every_kind_of_change);
    tcase_add_test(tests, subjects);
    tcase_add_test(tests, long_subjects);
    tcase_add_test(tests, prompts_that_look_like_mail);
    tcase_add_test(tests, huge_prompt);
    tcase_add_test(tests, no_change);
    tcase_add_test(tests, too_large);
    tcase_add_test(tests, git_refuses_names_of_its_own);
    tcase_add_test(tests, counts);
    tcase_add_test(tests, kind_changes);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
