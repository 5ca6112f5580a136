/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The KVM probe gives an answer in time, and the same one again from its cache. */
#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "util/fs.h"
#include "vm/box.h"

#include <fcntl.h>
#include <unistd.h>

#define PROBE_LIMIT (1500 * 1000) /* microseconds, on a busy machine */

static char cache[] = "/tmp/taskbox-test-accel-XXXXXX";

static TbAccel probe(char **why, gint64 *took)
{
    gint64 start = g_get_monotonic_time();
    TbAccel accel = tb_accel_probe(why);
    *took = g_get_monotonic_time() - start;
    return accel;
}

START_TEST(answers_in_time_and_remembers)
{
    g_autofree char *why = NULL, *again = NULL;
    gint64 first, second;
    TbAccel accel = probe(&why, &first);
    ck_assert_ptr_nonnull(why);
    ck_assert_int_lt(first, PROBE_LIMIT);
    ck_assert_int_eq(probe(&again, &second), accel);
    ck_assert_str_eq(why, again);
    ck_assert_int_lt(second, PROBE_LIMIT / 10);
}
END_TEST

START_TEST(another_boot_is_asked_again)
{
    g_autofree char *file = g_build_filename(cache, "taskbox", "accelerator", NULL);
    g_autofree char *why = NULL, *before = NULL, *after = NULL;
    tb_accel_probe(NULL);
    if (!g_file_get_contents(file, &before, NULL, NULL))
        return; /* no /dev/kvm, nothing is kept */
    ck_assert(g_file_set_contents(file, "00000000-0000-0000-0000-000000000000 0\n", -1, NULL));
    tb_accel_probe(&why);
    ck_assert(g_file_get_contents(file, &after, NULL, NULL));
    ck_assert_str_eq(before, after);
}
END_TEST

START_TEST(nonsense_in_the_cache_is_no_answer)
{
    g_autofree char *file = g_build_filename(cache, "taskbox", "accelerator", NULL);
    g_autofree char *boot = NULL, *why = NULL;
    ck_assert(g_file_get_contents("/proc/sys/kernel/random/boot_id", &boot, NULL, NULL));
    g_strchomp(boot);
    g_autofree char *line = g_strdup_printf("%s 9\n", boot);
    g_autofree char *dir = g_path_get_dirname(file);
    tb_accel_probe(NULL); /* makes the directory, but where there is no /dev/kvm */
    ck_assert_int_eq(g_mkdir_with_parents(dir, 0700), 0);
    ck_assert(g_file_set_contents(file, line, -1, NULL));
    tb_accel_probe(&why);
    ck_assert_ptr_nonnull(why);
    ck_assert_uint_gt(strlen(why), 0);
}
END_TEST

START_TEST(names)
{
    ck_assert_str_eq(tb_accel_name(TB_ACCEL_TCG), "tcg");
    ck_assert_str_eq(tb_accel_name(TB_ACCEL_KVM), "kvm");
}
END_TEST

int main(void)
{
    if (!mkdtemp(cache) || setenv("XDG_CACHE_HOME", cache, 1) < 0)
        return 99;
    Suite *suite = suite_create("vm-accel");
    TCase *tests = tcase_create("probe");
    tcase_set_timeout(tests, 20);
    tcase_add_test(tests, answers_in_time_and_remembers);
    tcase_add_test(tests, another_boot_is_asked_again);
    tcase_add_test(tests, nonsense_in_the_cache_is_no_answer);
    tcase_add_test(tests, names);
    suite_add_tcase(suite, tests);
    int status = suite_run(suite);
    g_autoptr(GError) error = NULL;
    return tb_remove_tree(AT_FDCWD, cache, &error) ? status : 99;
}
