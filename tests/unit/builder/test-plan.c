/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "../suite.h"
#include "builder/build.h"
#include "config/recipe.h"

START_TEST(the_shipped_recipes_are_good)
{
    static const char *const must[] = {"agents", "c",    "debian", "dotnet",      "podman",
                                       "go",     "rust", "python", "ubuntu-24.04"};
    g_autofree char *path = tb_recipe_find("debian", NULL);
    g_autofree char *folder = g_path_get_dirname(path);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    unsigned count = 0;
    for (const char *entry; (entry = g_dir_read_name(dir));) {
        if (!g_str_has_suffix(entry, ".yaml"))
            continue;
        g_autoptr(GError) error = NULL;
        g_autofree char *name = g_strndup(entry, strlen(entry) - strlen(".yaml"));
        g_autofree char *plan = tb_image_plan(name, &error); /* and what it lies on */
        ck_assert_msg(plan != NULL, "%s", error ? error->message : "");
        g_autoptr(TbRecipe) r = tb_recipe_load(name, NULL);
        ck_assert_str_eq(r->name, name);
        ck_assert_uint_eq(r->ignored->len, 0);
        count++;
    }
    ck_assert_uint_eq(count, G_N_ELEMENTS(must));
    for (size_t i = 0; i < G_N_ELEMENTS(must); i++) {
        g_autoptr(TbRecipe) r = tb_recipe_load(must[i], NULL);
        ck_assert_msg(r != NULL, "%s", must[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("builder-plan");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, the_shipped_recipes_are_good);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
