/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../suite.h"
#include "builder/scratch.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"

static char root[] = "/tmp/tb-scratch-XXXXXX";
static int dir;

static void setup(void)
{
    ck_assert_ptr_nonnull(g_mkdtemp(root));
    dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void teardown(void)
{
    tb_autofd tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    close(dir);
    ck_assert(tb_remove_tree(tmp, root + strlen("/tmp/"), NULL));
}

static void note(const char *path)
{
    ck_assert(tb_write_atomic(dir, "note", path, strlen(path), 0600, NULL));
}

/* As an ordinary user mmdebstrap removes what is in it: that needs subordinate ids. */
START_TEST(what_a_killed_build_left_is_removed_by_the_next)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *first = tb_scratch_make(dir, "note", &error);
    ck_assert_msg(first != NULL, "%s", error ? error->message : "");
    struct stat st;
    ck_assert_int_eq(stat(first, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0755);
    g_autofree char *deep = g_build_filename(first, "a", "b", NULL);
    ck_assert_int_eq(g_mkdir_with_parents(deep, 0500), 0);
    g_autofree char *second = tb_scratch_make(dir, "note", &error);
    ck_assert_msg(second != NULL, "%s", error ? error->message : "");
    ck_assert_str_ne(first, second);
    ck_assert_int_ne(access(first, F_OK), 0);
    ck_assert(tb_scratch_remove(dir, "note", NULL));
    ck_assert_int_ne(access(second, F_OK), 0);
    ck_assert_int_ne(faccessat(dir, "note", F_OK, 0), 0);
    ck_assert(tb_scratch_remove(dir, "note", NULL));
}
END_TEST

START_TEST(nothing_but_such_a_directory_is_removed)
{
    g_autofree char *victim = g_build_filename(root, "victim", NULL);
    ck_assert_int_eq(g_mkdir(victim, 0700), 0);
    note(victim);
    ck_assert(tb_scratch_remove(dir, "note", NULL));
    g_autofree char *up = g_strconcat("/var/tmp/taskbox-bootstrap-x/../../..", victim, NULL);
    note(up);
    ck_assert(tb_scratch_remove(dir, "note", NULL));
    ck_assert_int_eq(access(victim, F_OK), 0);
    char link[] = "/var/tmp/taskbox-bootstrap-XXXXXX";
    ck_assert_ptr_nonnull(g_mkdtemp(link));
    ck_assert_int_eq(rmdir(link), 0);
    ck_assert_int_eq(symlink(victim, link), 0);
    note(link);
    ck_assert(tb_scratch_remove(dir, "note", NULL));
    ck_assert_int_eq(access(victim, F_OK), 0);
    unlink(link);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("builder-scratch");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, setup, teardown);
    if (geteuid() == 0)
        tcase_add_test(tcase, what_a_killed_build_left_is_removed_by_the_next);
    tcase_add_test(tcase, nothing_but_such_a_directory_is_removed);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
