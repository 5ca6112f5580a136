/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../suite.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/git.h"

static char *dir;

static void setup(void)
{
    dir = g_dir_make_tmp("tb-git-XXXXXX", NULL);
    ck_assert_ptr_nonnull(dir);
}

static void teardown(void)
{
    ck_assert(tb_remove_tree(AT_FDCWD, dir, NULL));
    g_free(dir);
}

static TbGit *create(const char *name, bool sha256, const char *const *alternates)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autoptr(GError) error = NULL;
    TbGit *git = tb_git_create(path, sha256, alternates, &error);
    ck_assert_msg(git != NULL, "%s", error ? error->message : "");
    return git;
}

static void put_blob(TbBlobWriter *writer, const void *data, size_t length, uint32_t mark)
{
    uint32_t got = 0;
    ck_assert(tb_blob_writer_begin(writer, length, NULL));
    ck_assert(tb_blob_writer_data(writer, data, length / 2, NULL));
    ck_assert(
        tb_blob_writer_data(writer, (const char *)data + length / 2, length - length / 2, NULL));
    ck_assert(tb_blob_writer_end(writer, &got, NULL));
    ck_assert_uint_eq(got, mark);
}

/* What git itself says the id of these bytes is. */
static char *hash(TbGit *git, const void *data, size_t length)
{
    g_autoptr(TbCommand) command = tb_git_command(git, "hash-object", NULL, NULL);
    tb_command_add(command, "--stdin", "--no-filters", NULL);
    tb_command_set_stdin_bytes(command, data, length);
    char *oid = tb_git_run_oid(git, command, NULL);
    ck_assert_ptr_nonnull(oid);
    return oid;
}

static void check_blobs(bool sha256)
{
    g_autoptr(TbGit) git = create("g", sha256, NULL);
    ck_assert_uint_eq(tb_git_oid_length(git), sha256 ? 64 : 40);
    g_autoptr(TbBlobWriter) writer = tb_blob_writer_new(git, NULL);
    ck_assert_ptr_nonnull(writer);
    g_autofree char *large = g_malloc(3000000);
    for (size_t i = 0; i < 3000000; i++)
        large[i] = (char)(i * 2654435761u >> 13);
    const char *tricks = "done\nblob\nmark :1\ndata 3\nfeature done\nreset refs/heads/x\n";
    put_blob(writer, "", 0, 0);
    put_blob(writer, tricks, strlen(tricks), 1);
    put_blob(writer, large, 3000000, 2);
    put_blob(writer, "\0\r\n", 3, 3);
    put_blob(writer, "", 0, 4);
    g_autoptr(GPtrArray) oids = NULL;
    g_autoptr(GError) error = NULL;
    ck_assert_msg(tb_blob_writer_finish(writer, &oids, &error), "%s", error ? error->message : "");
    ck_assert_uint_eq(oids->len, 5);
    g_autofree char *a = hash(git, "", 0), *b = hash(git, tricks, strlen(tricks));
    g_autofree char *c = hash(git, large, 3000000), *d = hash(git, "\0\r\n", 3);
    const char *expected[] = {a, b, c, d, a};
    for (unsigned i = 0; i < 5; i++)
        ck_assert_str_eq(oids->pdata[i], expected[i]);
    g_autoptr(TbCommand) read = tb_git_command(git, "cat-file", NULL, NULL);
    tb_command_add(read, "blob", c, NULL);
    g_autoptr(GBytes) back = NULL;
    ck_assert(tb_command_run(read, &back, NULL));
    ck_assert_uint_eq(g_bytes_get_size(back), 3000000);
    ck_assert_int_eq(memcmp(g_bytes_get_data(back, NULL), large, 3000000), 0);
    g_autofree char *refs = g_build_filename(tb_git_path(git), "refs/heads/x", NULL);
    ck_assert(!g_file_test(refs, G_FILE_TEST_EXISTS));
}

START_TEST(blobs_sha1)
{
    check_blobs(false);
}
END_TEST

START_TEST(blobs_sha256)
{
    check_blobs(true);
}
END_TEST

START_TEST(no_blobs)
{
    g_autoptr(TbGit) git = create("g", false, NULL);
    g_autoptr(TbBlobWriter) writer = tb_blob_writer_new(git, NULL);
    g_autoptr(GPtrArray) oids = NULL;
    ck_assert(tb_blob_writer_finish(writer, &oids, NULL));
    ck_assert_uint_eq(oids->len, 0);
}
END_TEST

START_TEST(blob_sizes_are_held)
{
    g_autoptr(TbGit) git = create("g", false, NULL);
    g_autoptr(TbBlobWriter) writer = tb_blob_writer_new(git, NULL);
    g_autoptr(GError) error = NULL;
    uint32_t mark;
    ck_assert(tb_blob_writer_begin(writer, 3, NULL));
    ck_assert(!tb_blob_writer_data(writer, "four", 4, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_INTERNAL);
    g_clear_error(&error);
    ck_assert(tb_blob_writer_data(writer, "ab", 2, NULL));
    ck_assert(!tb_blob_writer_end(writer, &mark, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_INTERNAL);
    g_autoptr(GPtrArray) oids = NULL;
    ck_assert(!tb_blob_writer_finish(writer, &oids, NULL));
}
END_TEST

START_TEST(dead_writer_is_an_error)
{
    g_autoptr(TbGit) git = create("g", false, NULL);
    g_autoptr(TbBlobWriter) writer = tb_blob_writer_new(git, NULL);
    g_autofree char *objects = g_build_filename(tb_git_path(git), "objects", NULL);
    ck_assert(tb_remove_tree(AT_FDCWD, objects, NULL));
    g_autofree char *data = g_malloc0(1 << 20);
    g_autoptr(GError) error = NULL;
    bool fine = true;
    for (int i = 0; fine && i < 64; i++) {
        data[0] = (char)i;
        uint32_t mark;
        fine = tb_blob_writer_begin(writer, 1 << 20, &error) &&
               tb_blob_writer_data(writer, data, 1 << 20, &error) &&
               tb_blob_writer_end(writer, &mark, &error);
    }
    g_autoptr(GPtrArray) oids = NULL;
    fine = fine && tb_blob_writer_finish(writer, &oids, &error);
    ck_assert(!fine);
    ck_assert_ptr_nonnull(error);
}
END_TEST

START_TEST(exists_and_missing)
{
    g_autoptr(TbGit) git = create("g", false, NULL);
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_git_create(tb_git_path(git), false, NULL, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_EXISTS);
    g_clear_error(&error);
    g_autofree char *nothing = g_build_filename(dir, "nothing", NULL);
    ck_assert_ptr_null(tb_git_open(nothing, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_NOT_FOUND);
    g_autoptr(TbGit) again = tb_git_open(tb_git_path(git), NULL);
    ck_assert_ptr_nonnull(again);
    ck_assert_uint_eq(tb_git_oid_length(again), 40);
}
END_TEST

/* An odd name, borrowed objects that are read, and not a single mtime moved by writing one that is
 * there already. */
START_TEST(alternates_are_read_and_left_alone)
{
    g_autoptr(TbGit) lender = create("odd \"name\"\n\\x\377", false, NULL);
    g_autoptr(TbCommand) store = tb_git_command(lender, "hash-object", NULL, NULL);
    tb_command_add(store, "-w", "--stdin", NULL);
    tb_command_set_stdin_bytes(store, "lent", 4);
    g_autofree char *oid = tb_git_run_oid(lender, store, NULL);
    ck_assert_ptr_nonnull(oid);
    g_autofree char *objects = g_build_filename(tb_git_path(lender), "objects", NULL);
    g_autofree char *file = g_strdup_printf("%s/%.2s/%s", objects, oid, oid + 2);
    struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    ck_assert_int_eq(utimensat(AT_FDCWD, file, old, 0), 0);

    const char *alternates[] = {objects, NULL};
    {
        g_autoptr(TbGit) made = create("g", false, alternates);
    }
    g_autofree char *path = g_build_filename(dir, "g", NULL);
    g_autoptr(TbGit) git = tb_git_open(path, NULL);
    g_autoptr(TbCommand) read = tb_git_command(git, "cat-file", NULL, NULL);
    tb_command_add(read, "blob", oid, NULL);
    g_autoptr(GBytes) bytes = NULL;
    g_autoptr(GError) error = NULL;
    ck_assert_msg(tb_command_run(read, &bytes, &error), "%s", error ? error->message : "");
    ck_assert_uint_eq(g_bytes_get_size(bytes), 4);

    g_autoptr(TbCommand) again = tb_git_command(git, "hash-object", NULL, NULL);
    tb_command_add(again, "-w", "--stdin", NULL);
    tb_command_set_stdin_bytes(again, "lent", 4);
    g_autofree char *same = tb_git_run_oid(git, again, NULL);
    ck_assert_str_eq(same, oid);
    struct stat st;
    ck_assert_int_eq(stat(file, &st), 0);
    ck_assert_int_eq(st.st_mtim.tv_sec, 1000000000);
}
END_TEST

/* Neither the caller's environment nor a .git beside it reaches git. */
START_TEST(environment_is_ours)
{
    g_setenv("GIT_CONFIG_COUNT", "1", TRUE);
    g_setenv("GIT_CONFIG_KEY_0", "user.name", TRUE);
    g_setenv("GIT_CONFIG_VALUE_0", "mallory", TRUE);
    g_setenv("GIT_DIR", "/nonexistent", TRUE);
    g_autoptr(TbGit) git = create("g", false, NULL);
    g_autoptr(TbCommand) list = tb_git_command(git, "config", NULL, NULL);
    tb_command_add(list, "--list", NULL);
    g_autoptr(GBytes) out = NULL;
    ck_assert(tb_command_run(list, &out, NULL));
    const char *text = g_bytes_get_data(out, NULL);
    ck_assert_ptr_null(strstr(text, "mallory"));
    ck_assert_ptr_nonnull(strstr(text, "core.fsmonitor=false"));
    ck_assert_ptr_nonnull(strstr(text, "core.protectntfs=true"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("git");
    TCase *tcase = tcase_create("git");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, blobs_sha1);
    tcase_add_test(tcase, blobs_sha256);
    tcase_add_test(tcase, no_blobs);
    tcase_add_test(tcase, blob_sizes_are_held);
    tcase_add_test(tcase, dead_writer_is_an_error);
    tcase_add_test(tcase, exists_and_missing);
    tcase_add_test(tcase, alternates_are_read_and_left_alone);
    tcase_add_test(tcase, environment_is_ours);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
