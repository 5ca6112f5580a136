/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../suite.h"
#include "builder/sockets.h"
#include "builder/worker.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/interrupt.h"

static bool say_pid(void *data, GString *out, GError **error)
{
    g_string_printf(out, "%d %s", (int)getpid(), (const char *)data);
    return true;
}

START_TEST(the_answer_comes_back_from_another_process)
{
    g_autoptr(GString) out = g_string_new(NULL);
    ck_assert(tb_worker_run(say_pid, (char *)"a b\n", out, NULL));
    ck_assert_int_ne(atoi(out->str), (int)getpid());
    ck_assert(g_str_has_suffix(out->str, " a b\n"));
}
END_TEST

static bool refuse(void *data, GString *out, GError **error)
{
    return tb_error_set(error, TB_ERROR_NO_SPACE, "cannot do it: %s", (const char *)data);
}

START_TEST(so_does_the_error)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_worker_run(refuse, (char *)"full", out, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_NO_SPACE);
    ck_assert_str_eq(error->message, "cannot do it: full");
}
END_TEST

static bool die(void *data, GString *out, GError **error)
{
    raise(SIGKILL);
    return true;
}

START_TEST(a_death_is_an_error)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_worker_run(die, NULL, out, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_IMAGE);
}
END_TEST

/* Waits until the file's lock is free: whoever held it has ended. */
static void wait_for_lock(int fd)
{
    ck_assert_int_eq(flock(fd, LOCK_EX), 0); /* or the test's deadline passes */
}

static pid_t test_pid;

/* Locks a file in a grandchild, then interrupts the test and never ends. */
static bool hang(void *data, GString *out, GError **error)
{
    tb_autofd fd = open(data, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (flock(fd, LOCK_EX) == 0 && fork() != 0)
        kill(test_pid, SIGTERM);
    while (pause() < 0)
        continue;
    return true;
}

START_TEST(an_interrupt_ends_it_with_all_it_started)
{
    char path[] = "/tmp/tb-worker-XXXXXX";
    tb_autofd fd = mkstemp(path);
    tb_interrupt_install();
    test_pid = getpid();
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    ck_assert(!tb_worker_run(hang, path, out, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_INTERRUPTED);
    wait_for_lock(fd);
    unlink(path);
}
END_TEST

/* Says that it has begun; its grandchild, started as supermin is, would go on for ever. */
static bool start_and_hang(void *data, GString *out, GError **error)
{
    tb_autofd fd = open(data, O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    if (fork() != 0) {
        tb_autofd begun = open("begun", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    }
    while (pause() < 0)
        continue;
    return true;
}

START_TEST(our_death_ends_all_it_started)
{
    char dir[] = "/tmp/tb-worker-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(chdir(dir), 0);
    tb_autofd fd = open("lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    pid_t us = fork();
    if (us == 0) {
        tb_clear_fd(&fd);
        g_autoptr(GString) out = g_string_new(NULL);
        tb_worker_run(start_and_hang, (char *)"lock", out, NULL);
        _exit(0);
    }
    while (access("begun", F_OK) < 0)
        g_usleep(10 * 1000);
    kill(us, SIGKILL);
    ck_assert_int_eq(waitpid(us, NULL, 0), us);
    wait_for_lock(fd);
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert(tb_remove_tree(AT_FDCWD, dir, NULL));
}
END_TEST

static void map_id(const char *file, unsigned id)
{
    char map[32];
    int length = snprintf(map, sizeof map, "%u %u 1", id, id);
    tb_autofd fd = open(file, O_WRONLY | O_CLOEXEC);
    ck_assert_int_eq(write(fd, map, (size_t)length), length);
}

/* A /tmp of our own: from the real one, another build that ends now may remove what is dead. */
static void have_own_tmp(void)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    ck_assert_int_eq(unshare(CLONE_NEWNS | (uid ? CLONE_NEWUSER : 0)), 0);
    if (uid != 0) {
        tb_autofd fd = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);
        ck_assert_int_eq(write(fd, "deny", 4), 4);
        map_id("/proc/self/uid_map", uid);
        map_id("/proc/self/gid_map", gid);
    }
    ck_assert_int_eq(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    ck_assert_int_eq(mount("tmpfs", "/tmp", "tmpfs", 0, NULL), 0);
}

/* As libguestfs does: a directory in /tmp with a socket in it, whose name nobody is told. */
static char *make_sockets(int *listener)
{
    char *dir = g_strdup("/tmp/libguestfsXXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_snprintf(address.sun_path, sizeof address.sun_path, "%s/guestfsd.sock", dir);
    *listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(*listener, (struct sockaddr *)&address, sizeof address), 0);
    return dir;
}

static bool leave_sockets(void *data, GString *out, GError **error)
{
    int listener;
    g_autofree char *dir = make_sockets(&listener);
    g_string_append(out, dir);
    return true;
}

START_TEST(sockets_that_were_left_are_removed)
{
    int ignored;
    tb_autofd listener = -1;
    have_own_tmp();
    g_autofree char *dead_before = make_sockets(&ignored);
    close(ignored);
    g_autofree char *alive = make_sockets(&listener);
    g_autoptr(GString) left = g_string_new(NULL);
    ck_assert(tb_worker_run(leave_sockets, NULL, left, NULL));
    ck_assert(g_str_has_prefix(left->str, "/tmp/libguestfs"));
    ck_assert(!g_file_test(left->str, G_FILE_TEST_EXISTS));
    ck_assert(g_file_test(dead_before, G_FILE_TEST_IS_DIR));
    ck_assert(g_file_test(alive, G_FILE_TEST_IS_DIR));
    /* Somebody else's, begun meanwhile: stays as long as it is used. */
    g_autoptr(GHashTable) none = g_hash_table_new(g_str_hash, g_str_equal);
    g_hash_table_add(none, strrchr(dead_before, '/') + 1);
    tb_guestfs_sockets_remove(none);
    ck_assert(g_file_test(alive, G_FILE_TEST_IS_DIR));
    ck_assert(tb_remove_tree(AT_FDCWD, dead_before, NULL));
    ck_assert(tb_remove_tree(AT_FDCWD, alive, NULL));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("builder-worker");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, the_answer_comes_back_from_another_process);
    tcase_add_test(tcase, so_does_the_error);
    tcase_add_test(tcase, a_death_is_an_error);
    tcase_add_test(tcase, an_interrupt_ends_it_with_all_it_started);
    tcase_add_test(tcase, our_death_ends_all_it_started);
    tcase_add_test(tcase, sockets_that_were_left_are_removed);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
