/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Real VMs, with the host's own kernel and no root file system: enough to see a box start, fail,
 * time out, switch itself off and be killed. What a guest program does is tested elsewhere.
 *
 * Skipped where there is no kernel to read, no QEMU or no jail.
 */
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "golden.h"
#include "util/command.h"
#include "util/error.h"
#include "util/fs.h"
#include "vm/box.h"

#define BOOT_SECONDS 60
#define KILL_LIMIT   (500 * 1000) /* microseconds, on a busy machine; some 10 ms else */
#define TO_PANIC     "console=ttyS0 root=/dev/none "

static char top[] = "/tmp/taskbox-test-boot-XXXXXX";
static char *kernel, *disk, *dir;

static gint64 after(unsigned seconds)
{
    return g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC;
}

static TbBoxSpec spec_of_box(const char *cmdline)
{
    return (TbBoxSpec){.id = "boot",
                       .dir = dir,
                       .disk = disk,
                       .kernel = kernel,
                       .cmdline = cmdline,
                       .cpus = 1,
                       .memory = 256ULL << 20};
}

static TbBox *start(const char *cmdline)
{
    g_autoptr(GError) error = NULL;
    TbBoxSpec spec = spec_of_box(cmdline);
    TbBox *box = tb_box_start(&spec, &error);
    ck_assert_msg(box != NULL, "%s", error ? error->message : "");
    return box;
}

/* How many processes on this host are of a box in `top`. */
static int processes(void)
{
    int count = 0;
    g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
    for (const char *name; (name = g_dir_read_name(proc));) {
        g_autofree char *path = g_build_filename("/proc", name, "cmdline", NULL);
        g_autofree char *text = NULL;
        gsize length = 0;
        if (g_ascii_isdigit(*name) && g_file_get_contents(path, &text, &length, NULL) && text)
            count += memmem(text, length, "guest=boot,", strlen("guest=boot,")) ||
                     memmem(text, length, "--name=boot", strlen("--name=boot") + 1);
    }
    return count;
}

static void assert_nothing_left(void)
{
    gint64 deadline = g_get_monotonic_time() + KILL_LIMIT;
    while (processes() > 0 && g_get_monotonic_time() < deadline)
        g_usleep(1000);
    ck_assert_int_eq(processes(), 0);
}

static char *read_console(void)
{
    g_autofree char *path = g_build_filename(dir, "console.log", NULL);
    char *text = NULL;
    ck_assert(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

START_TEST(boots_and_switches_itself_off)
{
    g_autoptr(GError) error = NULL;
    TbBox *box = start(TO_PANIC "panic=-1");
    ck_assert_msg(tb_box_wait_off(box, after(BOOT_SECONDS), &error), "%s",
                  error ? error->message : "");
    g_autofree char *console = read_console();
    ck_assert_ptr_nonnull(strstr(console, "Linux version"));
    ck_assert_ptr_nonnull(strstr(console, "Kernel panic"));
    tb_box_free(box);
    ck_assert(!g_file_test(dir, G_FILE_TEST_EXISTS));
    assert_nothing_left();
}
END_TEST

START_TEST(silent_guest_is_a_timeout_with_its_last_words)
{
    g_autoptr(GError) error = NULL;
    TbGuestInfo info;
    g_autoptr(TbBox) box = start(TO_PANIC "panic=0");
    ck_assert_ptr_null(tb_box_wait_hello(box, after(12), &info, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_TIMEOUT);
    ck_assert_msg(strstr(error->message, "Kernel panic") != NULL, "%s", error->message);
}
END_TEST

START_TEST(guest_that_goes_before_it_answers)
{
    g_autoptr(GError) error = NULL;
    TbGuestInfo info;
    g_autoptr(TbBox) box = start(TO_PANIC "panic=-1");
    ck_assert_ptr_null(tb_box_wait_hello(box, after(BOOT_SECONDS), &info, &error));
    ck_assert_msg(tb_error_code(error) == TB_ERROR_VM, "%s", error->message);
    ck_assert_msg(strstr(error->message, "switched itself off") != NULL, "%s", error->message);
}
END_TEST

START_TEST(kernel_that_is_none)
{
    g_autoptr(GError) error = NULL;
    TbGuestInfo info;
    TbBoxSpec spec = spec_of_box("");
    spec.kernel = "/etc/passwd";
    spec.initrd = "/etc/passwd";
    g_autoptr(TbBox) box = tb_box_start(&spec, &error);
    ck_assert_msg(box != NULL, "%s", error ? error->message : "");
    ck_assert_ptr_null(tb_box_wait_hello(box, after(BOOT_SECONDS), &info, &error));
    ck_assert_msg(tb_error_code(error) == TB_ERROR_VM, "%s", error->message);
    ck_assert_msg(strstr(error->message, "did not start") != NULL, "%s", error->message);
}
END_TEST

START_TEST(free_is_quick_and_takes_all)
{
    TbBox *box = start(TO_PANIC "panic=0");
    gint64 deadline = after(BOOT_SECONDS);
    while (processes() < 3 && g_get_monotonic_time() < deadline) /* bwrap twice, the vmm, QEMU */
        g_usleep(10000);
    ck_assert_int_ge(processes(), 3);
    gint64 begin = g_get_monotonic_time();
    tb_box_free(box);
    ck_assert_int_lt(g_get_monotonic_time() - begin, KILL_LIMIT);
    ck_assert_int_eq(processes(), 0);
    ck_assert(!g_file_test(dir, G_FILE_TEST_EXISTS));
}
END_TEST

static _Noreturn void own_a_box(int report)
{
    TbBoxSpec spec = spec_of_box(TO_PANIC "panic=0");
    if (write(report, "x", 1) != 1)
        _exit(1);
    TbBox *box = tb_box_start(&spec, NULL);
    if (!box)
        _exit(1);
    for (;;)
        pause();
}

/* Killed at many moments of the start: there is one where bwrap alone would leave its jail. */
START_TEST(killed_owner_takes_all)
{
    for (int moment = 0; moment < 40; moment++) {
        int ends[2];
        char byte;
        ck_assert_int_eq(pipe(ends), 0);
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
            own_a_box(ends[1]);
        close(ends[1]);
        ck_assert_int_eq(read(ends[0], &byte, 1), 1);
        close(ends[0]);
        g_usleep((gulong)moment * 1500);
        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        g_usleep(20 * 1000); /* what is left has time to grow */
        assert_nothing_left();
        ck_assert(tb_box_clean(dir, NULL));
        ck_assert(!g_file_test(dir, G_FILE_TEST_EXISTS));
    }
}
END_TEST

START_TEST(directory_in_use)
{
    g_autoptr(GError) error = NULL;
    TbBoxSpec spec = spec_of_box("");
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    ck_assert_ptr_null(tb_box_start(&spec, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_EXISTS);
    ck_assert(g_file_test(dir, G_FILE_TEST_IS_DIR));
    ck_assert(tb_box_clean(dir, NULL));
}
END_TEST

/* The newest kernel that we may read. */
static char *find_kernel(void)
{
    glob_t found;
    char *path = NULL;
    if (glob("/boot/vmlinuz-*", 0, NULL, &found) != 0)
        return NULL;
    for (size_t i = 0; i < found.gl_pathc; i++)
        if (access(found.gl_pathv[i], R_OK) == 0) {
            g_free(path);
            path = g_strdup(found.gl_pathv[i]);
        }
    globfree(&found);
    return path;
}

static bool can_run(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbCommand) command = tb_command_new("qemu-img");
    tb_command_add(command, "create", "-q", "-f", "qcow2", disk, "1G", NULL);
    TbBoxSpec spec = spec_of_box("");
    if (!kernel) {
        g_printerr("skipped: no kernel in /boot that can be read\n");
        return false;
    }
    g_autoptr(TbBox) box =
        tb_command_run(command, NULL, &error) ? tb_box_start(&spec, &error) : NULL;
    if (!box)
        g_printerr("skipped: %s\n", error->message);
    return box != NULL;
}

int main(void)
{
    if (!mkdtemp(top) || setenv("XDG_CACHE_HOME", top, 1) < 0)
        return 99;
    kernel = find_kernel();
    disk = g_build_filename(top, "disk.qcow2", NULL);
    dir = g_build_filename(top, "box", NULL);
    int status = 77;
    if (can_run()) {
        Suite *suite = suite_create("vm-boot");
        TCase *tests = tcase_create("boot");
        tcase_set_timeout(tests, 2 * BOOT_SECONDS);
        tcase_add_test(tests, boots_and_switches_itself_off);
        tcase_add_test(tests, silent_guest_is_a_timeout_with_its_last_words);
        tcase_add_test(tests, guest_that_goes_before_it_answers);
        tcase_add_test(tests, kernel_that_is_none);
        tcase_add_test(tests, free_is_quick_and_takes_all);
        tcase_add_test(tests, killed_owner_takes_all);
        tcase_add_test(tests, directory_in_use);
        suite_add_tcase(suite, tests);
        status = suite_run(suite);
    }
    g_autoptr(GError) error = NULL;
    return tb_remove_tree(AT_FDCWD, top, &error) ? status : 99;
}
