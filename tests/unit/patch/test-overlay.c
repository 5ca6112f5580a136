/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A part of a change as a tree of its own: just that part, or an error. */
#include "../suite.h"
#include "fixture.h"
#include "patch/overlay.h"

#include <string.h>

#include "util/error.h"

static Fixture f;
static char *result;

static void setup(void)
{
    f = (Fixture){0};
    fixture_start(&f);
    PUT(f.project, "edit", "one\n");
    PUT(f.project, "dir/a", "x\n");
    PUT(f.project, "dir/b", "x\n");
    PUT(f.project, "dir.txt", "x\n");
    PUT(f.project, "turn", "file\n");
    PUT(f.project, "back/x", "x\n");
    fixture_base(&f);
    PUT(f.box, "edit", "two\n");
    PUT(f.box, "dir/a", "y\n");
    PUT(f.box, "dir/new", "y\n");
    PUT(f.box, "dir.txt", "y\n");
    g_free(RUN(f.box, "rm", "-r", "turn", "back", "dir/b"));
    PUT(f.box, "turn/into", "y\n");
    PUT(f.box, "back", "y\n");
    result = result_of_walk(&f, NULL);
}

static void teardown(void)
{
    g_free(result);
    fixture_stop(&f);
}

static const struct {
    const char *paths[4];
    const char *changes; /* names, sorted; NULL: `code` */
    TbErrorCode code;
} selections[] = {
    {{"edit"}, "edit", 0},
    {{"dir"}, "dir/a dir/b dir/new", 0},
    {{"./dir//", "dir/a", "edit"}, "dir/a dir/b dir/new edit", 0},
    {{"turn"}, "turn turn/into", 0},
    {{"back"}, "back back/x", 0},
    {{"back/x"}, "back/x", 0},
    {{"turn/into"}, NULL, TB_ERROR_CONFLICT},
    {{"di"}, NULL, TB_ERROR_USAGE},
    {{"edit", "nothing"}, NULL, TB_ERROR_USAGE},
    {{""}, NULL, TB_ERROR_USAGE},
    {{"../edit"}, NULL, TB_ERROR_USAGE},
};

START_TEST(selection)
{
    g_autofree char *tree = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) files =
        tb_tree_select(f.git, f.base_tree, result, selections[_i].paths, &tree, &error);
    if (!selections[_i].changes) {
        ck_assert_ptr_null(files);
        ck_assert_int_eq(tb_error_code(error), selections[_i].code);
        return;
    }
    ck_assert_msg(files != NULL, "%s", error ? error->message : "");
    g_autoptr(GPtrArray) made = tb_patch_files(f.git, f.base_tree, tree, &error);
    g_autoptr(GString) names = g_string_new(NULL);
    for (guint i = 0; i < made->len; i++)
        g_string_append_printf(names, "%s%s", i ? " " : "", ((TbPatchFile *)made->pdata[i])->path);
    ck_assert_str_eq(names->str, selections[_i].changes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("overlay");
    TCase *tests = tcase_create("overlay");
    tcase_set_timeout(tests, 300);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, selection, 0, G_N_ELEMENTS(selections));
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
