/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../suite.h"
#include "util/error.h"
#include "util/paths.h"

START_TEST(test_xdg)
{
    g_setenv("HOME", "/home/somebody", TRUE);
    g_setenv("XDG_STATE_HOME", "/var/tmp/state", TRUE);
    g_setenv("XDG_DATA_HOME", "relative/is/ignored", TRUE);
    g_setenv("XDG_CACHE_HOME", "", TRUE);
    g_unsetenv("XDG_CONFIG_HOME");
    g_autofree char *state = tb_path_state();
    g_autofree char *data = tb_path_data();
    g_autofree char *cache = tb_path_cache();
    g_autofree char *config = tb_path_config();
    ck_assert_str_eq(state, "/var/tmp/state/taskbox");
    ck_assert_str_eq(data, "/home/somebody/.local/share/taskbox");
    ck_assert_str_eq(cache, "/home/somebody/.cache/taskbox");
    ck_assert_str_eq(config, "/home/somebody/.config/taskbox");
}
END_TEST

/* This program lies in the build tree, and so does the library it was linked with. */
START_TEST(test_build_tree)
{
    GError *error = NULL;
    g_autofree char *found = tb_path_libexec("util/libtb-util.a", "no-such-program", &error);
    ck_assert_msg(found != NULL, "%s", error ? error->message : "");
    ck_assert(g_str_has_suffix(found, "/src/util/libtb-util.a"));
}
END_TEST

START_TEST(test_missing)
{
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_path_libexec("vm/no-such-program", "no-such-program", &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error->message, "'no-such-program'"));
}
END_TEST

int main(void)
{
    TCase *paths = tcase_create("paths");
    tcase_add_test(paths, test_xdg);
    tcase_add_test(paths, test_build_tree);
    tcase_add_test(paths, test_missing);
    Suite *suite = suite_create("util-paths");
    suite_add_tcase(suite, paths);
    return suite_run(suite);
}
