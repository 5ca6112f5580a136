/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each in a child, for it cannot be taken back; with the kernel's landlock and without. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../suite.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/landlock.h"

static int error_of(long result)
{
    return result < 0 ? errno : 0;
}

static int listen_tcp(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    tb_autofd fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return error_of(bind(fd, (struct sockaddr *)&address, sizeof address));
}

static int connect_abstract(const struct sockaddr_un *address)
{
    tb_autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return error_of(connect(fd, (const struct sockaddr *)address, sizeof *address));
}

/* What came of each, one character: '.' worked. */
static void try_all(unsigned version, const char *path, const struct sockaddr_un *ear, int report)
{
    char said[6] = "......";
    if (tb_landlock_enter(version, NULL) != 0)
        _exit(1);
    said[0] = error_of(open("/etc/passwd", O_RDONLY | O_CLOEXEC)) ? 'x' : '.';
    said[1] = error_of(open(path, O_WRONLY | O_CLOEXEC)) == EACCES ? 'x' : '.';
    said[2] = error_of(unlink(path)) == EACCES ? 'x' : '.';
    said[3] = listen_tcp() == EACCES ? 'x' : '.';
    said[4] = connect_abstract(ear) == EPERM ? 'x' : '.';
    said[5] = error_of(kill(getppid(), 0)) == EPERM ? 'x' : '.';
    _exit(write(report, said, sizeof said) == sizeof said ? 0 : 1);
}

static void check_version(unsigned version, const char *wanted)
{
    char path[] = "/tmp/taskbox-test-landlock-XXXXXX", said[7] = "";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "taskbox-landlock-%d", getpid());
    tb_autofd file = mkstemp(path);
    tb_autofd ear = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int ends[2];
    ck_assert_int_eq(bind(ear, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(ear, 4), 0);
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0)
        try_all(version, path, &address, ends[1]);
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(read(ends[0], said, 6), 6);
    ck_assert_str_eq(said, wanted);
    close(ends[0]);
    close(ends[1]);
    unlink(path);
}

START_TEST(without)
{
    check_version(0, "......");
}
END_TEST

START_TEST(as_the_kernel_has_it)
{
    unsigned version = tb_landlock_version();
    check_version(version, version >= 6   ? ".xxxxx"
                           : version >= 4 ? ".xxx.."
                           : version >= 1 ? ".xx..."
                                          : "......");
}
END_TEST

/* One directory stays writable, one file in another, and nothing else. */
static void try_below(const char *dir, const char *file, const char *other, int report)
{
    const char *const writable[] = {dir, file, "/nonexistent/taskbox", NULL};
    char said[6] = "......";
    g_autofree char *inside = g_strconcat(dir, "/new", NULL);
    g_autofree char *moved = g_strconcat(dir, "/moved", NULL);
    if (tb_landlock_enter(tb_landlock_version(), writable) != 0)
        _exit(1);
    said[0] = error_of(open(inside, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) ? 'x' : '.';
    said[1] = error_of(rename(inside, moved)) ? 'x' : '.';
    said[2] = error_of(open(file, O_WRONLY | O_TRUNC | O_CLOEXEC)) ? 'x' : '.';
    said[3] = error_of(unlink(file)) == EACCES ? 'x' : '.';
    said[4] = error_of(open(other, O_WRONLY | O_CLOEXEC)) == EACCES ? 'x' : '.';
    said[5] = error_of(link(moved, other)) ? 'x' : '.';
    _exit(write(report, said, sizeof said) == sizeof said ? 0 : 1);
}

START_TEST(writable_below)
{
    char root[] = "/tmp/taskbox-test-landlock-XXXXXX", said[7] = "";
    int ends[2];
    ck_assert_ptr_nonnull(mkdtemp(root));
    g_autofree char *dir = g_strconcat(root, "/dir", NULL);
    g_autofree char *file = g_strconcat(root, "/file", NULL);
    g_autofree char *other = g_strconcat(root, "/other", NULL);
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    ck_assert(g_file_set_contents(file, "x", 1, NULL) && g_file_set_contents(other, "x", 1, NULL));
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0)
        try_below(dir, file, other, ends[1]);
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(read(ends[0], said, 6), 6);
    ck_assert_str_eq(said, tb_landlock_version() ? "...xxx" : ".....x");
    close(ends[0]);
    close(ends[1]);
    ck_assert(tb_remove_tree(AT_FDCWD, root, NULL));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("util-landlock");
    TCase *tests = tcase_create("landlock");
    tcase_add_test(tests, without);
    tcase_add_test(tests, as_the_kernel_has_it);
    tcase_add_test(tests, writable_below);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
