/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../suite.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs-testing.h"
#include "util/fs.h"
#include "util/interrupt.h"

#define NOBODY 65534

static char *folder;
static int dir = -1;

static void set_up(void)
{
    folder = g_dir_make_tmp("taskbox-fs-XXXXXX", NULL);
    dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(dir, 0);
}

static void tear_down(void)
{
    close(dir);
    ck_assert(tb_remove_tree(AT_FDCWD, folder, NULL));
    ck_assert_int_ne(access(folder, F_OK), 0);
    g_free(folder);
}

static void put(const char *name, const char *text)
{
    tb_autofd fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ck_assert_int_ge(fd, 0);
    ck_assert(tb_write_all(fd, text, strlen(text), name, NULL));
}

typedef int (*OpenFn)(int, const char *, int, mode_t);
static const OpenFn openers[] = {tb_open_beneath, tb_open_beneath_by_walk};

START_TEST(test_open_beneath)
{
    OpenFn opener = openers[_i];
    ck_assert_int_eq(mkdirat(dir, "a", 0755), 0);
    ck_assert_int_eq(mkdirat(dir, "a/b", 0755), 0);
    put("a/b/file", "x");
    ck_assert_int_eq(symlinkat("b", dir, "a/link"), 0);
    ck_assert_int_eq(symlinkat("file", dir, "a/b/last"), 0);
    static const struct {
        const char *path;
        int flags, err;
    } cases[] = {
        {"a/b/file", O_RDONLY, 0},
        {"./a//b/./file", O_RDONLY, 0},
        {".", O_RDONLY | O_DIRECTORY, 0},
        {"a/b/", O_RDONLY | O_DIRECTORY, 0},
        {"a/new", O_WRONLY | O_CREAT | O_EXCL, 0},
        {"a/b/last", O_PATH | O_NOFOLLOW, 0},
        {"a/link/file", O_RDONLY, -1},
        {"a/b/last", O_RDONLY, ELOOP},
        {"a/b/file/more", O_RDONLY, ENOTDIR},
        {"a/none", O_RDONLY, ENOENT},
        {"", O_RDONLY, ENOENT},
        {"/etc/passwd", O_RDONLY, EXDEV},
        {"../..", O_RDONLY, EXDEV},
        {"a/../../..", O_RDONLY, EXDEV},
        {"..", O_RDONLY | O_DIRECTORY, EXDEV},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        errno = 0;
        tb_autofd fd = opener(dir, cases[i].path, cases[i].flags, 0600);
        ck_assert_msg((fd >= 0) == (cases[i].err == 0), "'%s': %s", cases[i].path, strerror(errno));
        if (cases[i].err > 0)
            ck_assert_msg(errno == cases[i].err, "'%s': %s", cases[i].path, strerror(errno));
        if (fd >= 0)
            ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    }
}
END_TEST

START_TEST(test_write_atomic)
{
    struct stat before, after;
    ck_assert(tb_write_atomic(dir, "record", "one", 3, 0640, NULL));
    ck_assert_int_eq(fstatat(dir, "record", &before, 0), 0);
    ck_assert_int_eq(before.st_mode & 07777, 0640);
    ck_assert(tb_write_atomic(dir, "record", "twelve", 6, 0600, NULL));
    ck_assert_int_eq(fstatat(dir, "record", &after, 0), 0);
    ck_assert_uint_ne(before.st_ino, after.st_ino);
    g_autoptr(GBytes) text = tb_read_file_at(dir, "record", 100, NULL);
    ck_assert_str_eq(g_bytes_get_data(text, NULL), "twelve");

    /* A failure leaves the old content and nothing beside it. */
    ck_assert_int_eq(mkdirat(dir, "full", 0700), 0);
    put("full/x", "");
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_write_atomic(dir, "full", "x", 1, 0600, &error));
    ck_assert(!tb_write_atomic(dir, "full/y", "x", 1, 0600, NULL));
    g_autoptr(GDir) listing = g_dir_open(folder, 0, NULL);
    for (const char *name; (name = g_dir_read_name(listing));)
        ck_assert_msg(!g_str_has_prefix(name, ".tb-"), "%s", name);
}
END_TEST

START_TEST(test_read_file)
{
    put("five", "12345");
    ck_assert_int_eq(symlinkat("five", dir, "link"), 0);
    ck_assert_int_eq(mkfifoat(dir, "fifo", 0600), 0);
    g_autoptr(GBytes) exact = tb_read_file_at(dir, "five", 5, NULL);
    gsize size;
    ck_assert_str_eq(g_bytes_get_data(exact, &size), "12345");
    ck_assert_uint_eq(size, 5);
    static const struct {
        const char *name;
        TbErrorCode code;
    } cases[] = {{"none", TB_ERROR_NOT_FOUND},
                 {"five", TB_ERROR_LIMIT},
                 {"link", TB_ERROR_IO},
                 {"fifo", TB_ERROR_IO},
                 {".", TB_ERROR_IO}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        ck_assert_ptr_null(tb_read_file_at(dir, cases[i].name, 4, &error));
        ck_assert_msg(error->code == (int)cases[i].code, "%s", error->message);
    }
    g_autoptr(GBytes) procfs = tb_read_file_at(AT_FDCWD, "/proc/self/status", 1 << 20, NULL);
    ck_assert_ptr_nonnull(procfs); /* a file whose size is said to be 0 */
    ck_assert_uint_gt(g_bytes_get_size(procfs), 0);
}
END_TEST

START_TEST(test_remove_tree)
{
    put("keep", "kept");
    ck_assert_int_eq(mkdirat(dir, "outside", 0755), 0);
    put("outside/file", "kept");
    ck_assert_int_eq(mkdirat(dir, "t", 0755), 0);
    ck_assert_int_eq(mkdirat(dir, "t/sub", 0755), 0);
    put("t/sub/file", "x");
    ck_assert_int_eq(symlinkat("../outside", dir, "t/link"), 0);
    ck_assert_int_eq(symlinkat("/nowhere", dir, "t/sub/dangling"), 0);
    ck_assert_int_eq(mkfifoat(dir, "t/fifo", 0600), 0);
    for (int i = 0; i < 2000; i++) {
        char name[32];
        g_snprintf(name, sizeof name, "t/sub/%d", i);
        put(name, "");
    }
    ck_assert(tb_remove_tree(dir, "t", NULL));
    ck_assert_int_ne(faccessat(dir, "t", F_OK, 0), 0);
    ck_assert_int_eq(faccessat(dir, "outside/file", F_OK, 0), 0);
    ck_assert_int_eq(symlinkat("outside", dir, "alias"), 0);
    ck_assert(tb_remove_tree(dir, "alias", NULL)); /* the link, not what it names */
    ck_assert_int_eq(faccessat(dir, "outside/file", F_OK, 0), 0);
    ck_assert(tb_remove_tree(dir, "keep", NULL));
    ck_assert(tb_remove_tree(dir, "never-there", NULL));
}
END_TEST

/* Deeper than we may have descriptors, with names that collide with ours. */
START_TEST(test_remove_deep_tree)
{
    ck_assert_int_eq(mkdirat(dir, "deep", 0700), 0);
    ck_assert_int_eq(mkdirat(dir, "deep/.tb-deep-0", 0700), 0);
    put("deep/.tb-deep-1", "");
    tb_autofd here = openat(dir, "deep", O_PATH | O_DIRECTORY);
    for (int i = 0; i < 5000; i++) {
        ck_assert_int_eq(mkdirat(here, "d", 0700), 0);
        tb_autofd next = openat(here, "d", O_PATH | O_DIRECTORY);
        ck_assert_int_ge(next, 0);
        tb_clear_fd(&here);
        here = tb_steal_fd(&next);
    }
    struct rlimit few = {.rlim_cur = 256, .rlim_max = 256};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    GError *error = NULL;
    ck_assert_msg(tb_remove_tree(dir, "deep", &error), "%s", error ? error->message : "");
}
END_TEST

START_TEST(test_remove_unwritable)
{
    ck_assert_int_eq(mkdirat(dir, "t", 0755), 0);
    ck_assert_int_eq(mkdirat(dir, "t/a", 0755), 0);
    ck_assert_int_eq(mkdirat(dir, "t/a/b", 0755), 0);
    put("t/a/b/file", "x");
    if (geteuid() == 0) {
        static const char *const names[] = {".", "t", "t/a", "t/a/b", "t/a/b/file"};
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
            ck_assert_int_eq(fchownat(dir, names[i], NOBODY, NOBODY, 0), 0);
    }
    ck_assert_int_eq(fchmodat(dir, "t/a/b", 0000, 0), 0);
    ck_assert_int_eq(fchmodat(dir, "t/a", 0500, 0), 0);
    uid_t user = geteuid();
    if (user == 0) {
        ck_assert_int_eq(seteuid(NOBODY), 0);
        prctl(PR_SET_DUMPABLE, 1); /* else /proc/self/fd is root's */
    }
    g_autoptr(GError) error = NULL;
    bool removed = tb_remove_tree(dir, "t", &error);
    ck_assert_int_eq(seteuid(user), 0);
    ck_assert_msg(removed, "%s", error ? error->message : "");
}
END_TEST

/* Needs mounts: where they are refused nothing can be mounted in a tree either. */
START_TEST(test_remove_stops_at_mounts)
{
    ck_assert_int_eq(mkdirat(dir, "t", 0755), 0);
    ck_assert_int_eq(mkdirat(dir, "t/mounted", 0755), 0);
    ck_assert_int_eq(mkdirat(dir, "source", 0755), 0);
    put("source/precious", "x");
    g_autofree char *source = g_build_filename(folder, "source", NULL);
    g_autofree char *target = g_build_filename(folder, "t/mounted", NULL);
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        ck_assert_msg(errno == EPERM, "%s", strerror(errno));
        return;
    }
    ck_assert_int_eq(mount(source, target, NULL, MS_BIND, NULL), 0);
    close(dir); /* it leads into the name space we left */
    dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autoptr(GError) error = NULL;
    bool removed = tb_remove_tree(dir, "t", &error);
    ck_assert_int_eq(umount2(target, MNT_DETACH), 0);
    ck_assert(!removed);
    ck_assert_int_eq(faccessat(dir, "source/precious", F_OK, 0), 0);
}
END_TEST

START_TEST(test_make_dirs)
{
    g_autofree char *deep = g_build_filename(folder, "x/y//z/", NULL);
    ck_assert(tb_make_dirs(deep, 0700, NULL));
    ck_assert(tb_make_dirs(deep, 0700, NULL));
    ck_assert_int_eq(faccessat(dir, "x/y/z", F_OK, 0), 0);
    put("file", "");
    g_autofree char *below = g_build_filename(folder, "file/sub", NULL);
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_make_dirs(below, 0700, &error));
    ck_assert_int_eq(error->domain, TB_ERROR);
}
END_TEST

START_TEST(test_private_dir)
{
    g_autofree char *fresh = g_build_filename(folder, "p/q", NULL);
    tb_autofd fd = tb_open_private_dir(fresh, NULL);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fchmodat(dir, "p/q", 0750, 0), 0);
    g_autoptr(GError) open_mode = NULL;
    ck_assert_int_eq(tb_open_private_dir(fresh, &open_mode), -1);
    ck_assert_int_eq(tb_error_code(open_mode), TB_ERROR_DENIED);
    ck_assert_int_eq(fchmodat(dir, "p/q", 0700, 0), 0);
    ck_assert_int_eq(symlinkat("q", dir, "p/link"), 0);
    g_autofree char *link = g_build_filename(folder, "p/link", NULL);
    g_autoptr(GError) is_link = NULL;
    ck_assert_int_eq(tb_open_private_dir(link, &is_link), -1);
    ck_assert_int_eq(tb_error_code(is_link), TB_ERROR_DENIED);
    if (geteuid() == 0) {
        ck_assert_int_eq(fchownat(dir, "p/q", NOBODY, NOBODY, 0), 0);
        g_autoptr(GError) foreign = NULL;
        ck_assert_int_eq(tb_open_private_dir(fresh, &foreign), -1);
        ck_assert_int_eq(tb_error_code(foreign), TB_ERROR_DENIED);
    }
}
END_TEST

START_TEST(test_copy_and_digest)
{
    tb_autofd from = openat(dir, "from", O_RDWR | O_CREAT, 0600);
    tb_autofd to = openat(dir, "to", O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq(pwrite(from, "start", 5, 0), 5);
    ck_assert_int_eq(pwrite(from, "middle", 6, 64 << 20), 6);
    ck_assert_int_eq(ftruncate(from, 128 << 20), 0);
    ck_assert_int_eq(pwrite(to, "old content", 11, 100), 11);
    ck_assert(tb_copy_file(from, to, "from", NULL));
    struct stat st;
    ck_assert_int_eq(fstat(to, &st), 0);
    ck_assert_int_eq(st.st_size, 128 << 20);
    ck_assert_int_lt(st.st_blocks * 512, 16 << 20);
    g_autofree char *a = tb_sha256_fd(from, "from", NULL);
    g_autofree char *b = tb_sha256_fd(to, "to", NULL);
    ck_assert_str_eq(a, b);
    put("abc", "abc");
    tb_autofd abc = openat(dir, "abc", O_RDONLY);
    ck_assert_int_eq(lseek(abc, 2, SEEK_SET), 2); /* from the start all the same */
    g_autofree char *digest = tb_sha256_fd(abc, "abc", NULL);
    ck_assert_str_eq(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_sha256_fd(dir, "folder", &error));
    ck_assert_ptr_nonnull(error);
}
END_TEST

/* Gigabytes take their time: Ctrl-C ends it. */
START_TEST(test_digest_is_interrupted)
{
    put("abc", "abc");
    tb_autofd abc = openat(dir, "abc", O_RDONLY);
    tb_interrupt_install();
    raise(SIGTERM);
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_sha256_fd(abc, "abc", &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_INTERRUPTED);
}
END_TEST

START_TEST(test_lock)
{
    tb_autofd first = tb_lock(dir, "lock", false, NULL);
    ck_assert_int_ge(first, 0);
    g_autoptr(GError) error = NULL;
    ck_assert_int_eq(tb_lock(dir, "lock", false, &error), -1);
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_BUSY);
    pid_t pid = fork();
    if (pid == 0) { /* a waiter; it gets the lock when we let go */
        tb_clear_fd(&first);
        int second = tb_lock(dir, "lock", true, NULL);
        _exit(second >= 0 ? 0 : 1);
    }
    g_usleep(150000);
    int status;
    ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0);
    tb_clear_fd(&first);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(test_free_space)
{
    ck_assert_uint_gt(tb_free_space("/"), 0);
    ck_assert_uint_eq(tb_free_space("/nowhere"), 0);
}
END_TEST

int main(void)
{
    TCase *fs = tcase_create("fs");
    tcase_add_checked_fixture(fs, set_up, tear_down);
    tcase_set_timeout(fs, 60);
    tcase_add_loop_test(fs, test_open_beneath, 0, G_N_ELEMENTS(openers));
    tcase_add_test(fs, test_write_atomic);
    tcase_add_test(fs, test_read_file);
    tcase_add_test(fs, test_remove_tree);
    tcase_add_test(fs, test_remove_deep_tree);
    tcase_add_test(fs, test_remove_unwritable);
    tcase_add_test(fs, test_remove_stops_at_mounts);
    tcase_add_test(fs, test_make_dirs);
    tcase_add_test(fs, test_private_dir);
    tcase_add_test(fs, test_copy_and_digest);
    tcase_add_test(fs, test_digest_is_interrupted);
    tcase_add_test(fs, test_lock);
    tcase_add_test(fs, test_free_space);
    Suite *suite = suite_create("util-fs");
    suite_add_tcase(suite, fs);
    return suite_run(suite);
}
