/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is left of a box that was frozen: its directory was a jail's, so in the place of each file
 * anything may lie. And the library that opens a template's memory read-only.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "golden.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "vm/box-private.h"

#define PAGE 4096

static char top[] = "/tmp/taskbox-test-freeze-XXXXXX";
static const char *opener, *preload;
static int from, to;

static void set_up(void)
{
    ck_assert(mkdirat(AT_FDCWD, "from", 0700) == 0 && mkdirat(AT_FDCWD, "to", 0700) == 0);
    from = open("from", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    to = open("to", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert(from >= 0 && to >= 0);
}

static void tear_down(void)
{
    close(from);
    close(to);
    ck_assert(tb_remove_tree(AT_FDCWD, "from", NULL) && tb_remove_tree(AT_FDCWD, "to", NULL));
}

static void put(const char *name, const char *text)
{
    tb_autofd fd = openat(from, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static bool is_refused(uid_t owner)
{
    g_autoptr(GError) error = NULL;
    bool ok = tb_freeze_take(from, owner, "state", to, "state", &error);
    if (ok)
        return false;
    ck_assert_msg(strstr(error->message, "something else in the place of its 'state'") != NULL,
                  "%s", error->message);
    ck_assert_int_ne(faccessat(to, "state", F_OK, AT_SYMLINK_NOFOLLOW), 0);
    return true;
}

START_TEST(a_plain_file_is_taken)
{
    g_autoptr(GError) error = NULL;
    struct stat before, after;
    put("state", "devices");
    ck_assert_int_eq(fstatat(from, "state", &before, 0), 0);
    ck_assert_msg(tb_freeze_take(from, geteuid(), "state", to, "kept", &error), "%s",
                  error ? error->message : "");
    ck_assert_int_eq(fstatat(to, "kept", &after, AT_SYMLINK_NOFOLLOW), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    ck_assert_uint_eq(after.st_mode, S_IFREG | 0444);
    ck_assert_uint_eq(after.st_uid, geteuid());
    ck_assert_int_ne(faccessat(from, "state", F_OK, 0), 0);
}
END_TEST

/* What a link points to stays as it is. */
START_TEST(links_are_not_followed)
{
    struct stat before, after;
    put("victim", "of somebody");
    ck_assert_int_eq(fstatat(from, "victim", &before, 0), 0);
    ck_assert_int_eq(symlinkat("victim", from, "state"), 0);
    ck_assert(is_refused(geteuid()));
    ck_assert_int_eq(unlinkat(from, "state", 0), 0);
    ck_assert_int_eq(symlinkat("/etc/passwd", from, "state"), 0);
    ck_assert(is_refused(geteuid()));
    ck_assert_int_eq(fstatat(from, "victim", &after, 0), 0);
    ck_assert(before.st_mode == after.st_mode && before.st_ctim.tv_nsec == after.st_ctim.tv_nsec);
}
END_TEST

START_TEST(a_second_name_is_refused)
{
    put("state", "devices");
    ck_assert_int_eq(linkat(from, "state", from, "other", 0), 0);
    ck_assert(is_refused(geteuid()));
    ck_assert_int_eq(unlinkat(from, "other", 0), 0);
    ck_assert(!is_refused(geteuid()));
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
    ck_assert(is_refused(geteuid())); /* nothing at all */
    ck_assert_int_eq(mkfifoat(from, "state", 0600), 0);
    ck_assert(is_refused(geteuid()));
    ck_assert_int_eq(unlinkat(from, "state", 0), 0);
    ck_assert_int_eq(mkdirat(from, "state", 0700), 0);
    ck_assert(is_refused(geteuid()));
    ck_assert_int_eq(unlinkat(from, "state", AT_REMOVEDIR), 0);
    put("state", "");
    ck_assert(is_refused(geteuid()));
}
END_TEST

START_TEST(a_file_of_somebody_else_is_refused)
{
    put("state", "devices");
    ck_assert(is_refused(geteuid() + 1));
}
END_TEST

/* Everything reads as before; only where zeros were, there is nothing. */
START_TEST(pages_of_zeros_take_no_room)
{
    enum { PAGES = 700 }; /* more than one chunk */
    g_autofree char *wanted = g_malloc0(PAGES * PAGE);
    g_autofree char *got = g_malloc0(PAGES * PAGE);
    tb_autofd fd = openat(from, "memory", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (int page = 0; page < PAGES; page++)
        if (page % 7 == 0 || page == PAGES - 1)
            wanted[page * PAGE + page % PAGE] = 'x';
    ck_assert_int_eq(pwrite(fd, wanted, PAGES * PAGE, 0), PAGES * PAGE);
    struct stat before, after;
    ck_assert_int_eq(fstat(fd, &before), 0);
    tb_freeze_thin_out(fd);
    ck_assert_int_eq(fstat(fd, &after), 0);
    ck_assert_int_eq(after.st_size, before.st_size);
    ck_assert_int_eq(pread(fd, got, PAGES * PAGE, 0), PAGES * PAGE);
    ck_assert(memcmp(wanted, got, PAGES * PAGE) == 0);
    ck_assert_int_le(after.st_blocks * 512, (PAGES / 7 + 2) * PAGE);
}
END_TEST

START_TEST(a_file_that_ends_in_the_middle_of_a_page)
{
    char bytes[PAGE + 100] = {[PAGE + 99] = 'x'}, got[sizeof bytes];
    tb_autofd fd = openat(from, "memory", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(pwrite(fd, bytes, sizeof bytes, 0), sizeof bytes);
    tb_freeze_thin_out(fd);
    ck_assert_int_eq(pread(fd, got, sizeof got, 0), sizeof got);
    ck_assert(memcmp(bytes, got, sizeof got) == 0);
    ck_assert_int_eq(lseek(fd, 0, SEEK_END), sizeof bytes);
}
END_TEST

/* The library, loaded into a program of its own that has the memory's path before it. */
START_TEST(the_memory_is_opened_read_only)
{
    g_autofree char *variable = g_strconcat("LD_PRELOAD=", preload, NULL);
    pid_t pid = fork();
    if (pid == 0) {
        char *const argv[] = {(char *)opener, (char *)top, NULL};
        char *const env[] = {variable, NULL};
        execve(opener, argv, env);
        _exit(127);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        return; /* no mount namespace to be had */
    ck_assert_int_eq(status, 0);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 3 || !mkdtemp(top) || chdir(top) < 0)
        return 99;
    opener = argv[1];
    preload = argv[2];
    Suite *suite = suite_create("vm-freeze");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 60); /* a busy disk, and fsync */
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_plain_file_is_taken);
    tcase_add_test(tests, links_are_not_followed);
    tcase_add_test(tests, a_second_name_is_refused);
    tcase_add_test(tests, what_is_no_file_is_refused);
    tcase_add_test(tests, a_file_of_somebody_else_is_refused);
    tcase_add_test(tests, pages_of_zeros_take_no_room);
    tcase_add_test(tests, a_file_that_ends_in_the_middle_of_a_page);
    tcase_add_test(tests, the_memory_is_opened_read_only);
    suite_add_tcase(suite, tests);
    int status = suite_run(suite);
    g_autoptr(GError) error = NULL;
    return tb_remove_tree(AT_FDCWD, top, &error) ? status : 99;
}
