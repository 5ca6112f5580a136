/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the host does with a box directory that a taken-over QEMU has filled, and what it refuses to
 * start. No VM runs here. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "golden.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "vm/box-private.h"

static char top[] = "/tmp/taskbox-test-box-XXXXXX";
static int top_fd;

static void put(const char *name, const char *content, gssize length)
{
    g_autofree char *path = g_build_filename(top, name, NULL);
    ck_assert(g_file_set_contents(path, content, length, NULL));
}

static void assert_line(const char *expected)
{
    g_autofree char *line = tb_console_last_line(top_fd);
    ck_assert_str_eq(line, expected);
}

START_TEST(last_line_of_console)
{
    put("console.log", "one\r\ntwo\r\n\r\n  \n", -1);
    assert_line("two");
    put("console.log", "only", -1);
    assert_line("only");
    put("console.log", "\n\n", -1);
    assert_line("");
    put("console.log", "", 0);
    assert_line("");
    put("console.log",
        "boot\r\n[1] Kernel panic - not syncing: why\r\n[2] Call Trace:\r\n[3]  </TASK>\n", -1);
    assert_line("[1] Kernel panic - not syncing: why");
    put("console.log", "Kernel panic: cut off", -1);
    assert_line("Kernel panic: cut off");
}
END_TEST

START_TEST(console_is_escaped_and_cut)
{
    put("console.log", "a\033[2Jb\n", -1);
    assert_line("a\\x1B[2Jb");
    g_autofree char *longer = g_strnfill(100000, 'x');
    g_autofree char *expected = g_strnfill(200, 'x');
    put("console.log", longer, -1);
    assert_line(expected);
}
END_TEST

START_TEST(console_that_is_no_file)
{
    unlinkat(top_fd, "console.log", 0);
    assert_line("");
    ck_assert_int_eq(symlinkat("/etc/passwd", top_fd, "console.log"), 0);
    assert_line("");
    unlinkat(top_fd, "console.log", 0);
    ck_assert_int_eq(mkfifoat(top_fd, "console.log", 0600), 0);
    assert_line("");
    unlinkat(top_fd, "console.log", 0);
    put("secret", "secret\n", -1);
    ck_assert_int_eq(linkat(top_fd, "secret", top_fd, "console.log", 0), 0);
    assert_line("");
    unlinkat(top_fd, "console.log", 0);
}
END_TEST

START_TEST(size_of_image)
{
    uint64_t size = 0;
    uint8_t header[64] = {'Q', 'F', 'I', 0xfb, 0, 0, 0, 3};
    g_autofree char *path = g_build_filename(top, "disk.qcow2", NULL);
    header[27] = 2; /* 2 << 32 */
    put("disk.qcow2", (const char *)header, sizeof header);
    ck_assert(tb_overlay_size(path, &size, NULL));
    ck_assert(size == 2ULL << 32);
    g_autoptr(GError) error = NULL;
    put("disk.qcow2", "QFI", 3);
    ck_assert(!tb_overlay_size(path, &size, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_IMAGE);
    ck_assert_ptr_nonnull(strstr(error->message, "not a qcow2"));
}
END_TEST

START_TEST(clean_removes_what_a_guest_left)
{
    g_autofree char *dir = g_build_filename(top, "box", NULL);
    g_autofree char *deep = g_build_filename(dir, "a", "b", NULL);
    g_autofree char *outside = g_build_filename(top, "outside", NULL);
    ck_assert_int_eq(g_mkdir_with_parents(deep, 0700), 0);
    ck_assert_int_eq(g_mkdir_with_parents(outside, 0700), 0);
    put("outside/kept", "kept", -1);
    g_autofree char *link = g_build_filename(dir, "link", NULL);
    g_autofree char *fifo = g_build_filename(deep, "fifo", NULL);
    ck_assert_int_eq(symlink(outside, link), 0);
    ck_assert_int_eq(mkfifo(fifo, 0), 0);
    chmod(deep, 0);
    ck_assert(tb_box_clean(dir, NULL));
    ck_assert(!g_file_test(dir, G_FILE_TEST_EXISTS));
    ck_assert_int_eq(faccessat(top_fd, "outside/kept", F_OK, 0), 0);
    ck_assert(tb_box_clean(dir, NULL));
}
END_TEST

static void assert_refused(const TbBoxSpec *spec, TbErrorCode code, const char *word)
{
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_box_start(spec, &error));
    ck_assert_int_eq(tb_error_code(error), code);
    ck_assert_msg(strstr(error->message, word) != NULL, "%s", error->message);
    ck_assert(!g_file_test(spec->dir, G_FILE_TEST_EXISTS));
}

START_TEST(what_cannot_start)
{
    g_autofree char *dir = g_build_filename(top, "box", NULL);
    g_autofree char *disk = g_build_filename(top, "none.qcow2", NULL);
    TbBoxSpec good = {.id = "x7k2",
                      .dir = dir,
                      .disk = disk,
                      .kernel = "/none",
                      .cmdline = "",
                      .cpus = 1,
                      .memory = 256 << 20};
    assert_refused(&good, TB_ERROR_NOT_FOUND, "none.qcow2");
    TbBoxSpec spec = good;
    spec.id = "../x";
    assert_refused(&spec, TB_ERROR_INTERNAL, "no box id");
    spec = good;
    spec.cpus = 0;
    assert_refused(&spec, TB_ERROR_USAGE, "cpus");
    spec = good;
    spec.memory = 1 << 20;
    assert_refused(&spec, TB_ERROR_USAGE, "memory");
}
END_TEST

START_TEST(jail_user_is_never_root)
{
    TbJailUser user, other;
    ck_assert(tb_jail_user("x7k2", &user, NULL));
    ck_assert(tb_jail_user("x7k3", &other, NULL));
    ck_assert_uint_ne(user.uid, 0);
    ck_assert_uint_ne(user.gid, geteuid() == 0 ? 0 : (gid_t)-1);
    ck_assert_int_eq(user.drops, geteuid() == 0);
}
END_TEST

int main(void)
{
    if (!mkdtemp(top) || (top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return 99;
    Suite *suite = suite_create("vm-box");
    TCase *tests = tcase_create("directory");
    tcase_add_test(tests, last_line_of_console);
    tcase_add_test(tests, console_is_escaped_and_cut);
    tcase_add_test(tests, console_that_is_no_file);
    tcase_add_test(tests, size_of_image);
    tcase_add_test(tests, clean_removes_what_a_guest_left);
    tcase_add_test(tests, what_cannot_start);
    tcase_add_test(tests, jail_user_is_never_root);
    suite_add_tcase(suite, tests);
    int status = suite_run(suite);
    g_autoptr(GError) error = NULL;
    return tb_remove_tree(AT_FDCWD, top, &error) ? status : 99;
}
