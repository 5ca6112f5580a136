/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recipes that lie on others: what is wrong with them is said before anything is built. */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "../suite.h"
#include "builder/build.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"

static char root[] = "/tmp/tb-layer-XXXXXX";

static void setup(void)
{
    ck_assert_ptr_nonnull(g_mkdtemp(root));
    g_setenv("XDG_DATA_HOME", root, TRUE);
    g_setenv("XDG_CACHE_HOME", root, TRUE);
    g_setenv("XDG_CONFIG_HOME", root, TRUE);
    g_autofree char *images = g_build_filename(root, "taskbox", "images", NULL);
    ck_assert(tb_make_dirs(images, 0700, NULL));
}

static void teardown(void)
{
    g_autofree char *name = g_path_get_basename(root);
    tb_autofd tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert(tb_remove_tree(tmp, name, NULL));
}

static void recipe(const char *name, const char *text)
{
    g_autofree char *file = g_strconcat(name, ".yaml", NULL);
    g_autofree char *path = g_build_filename(root, "taskbox", "images", file, NULL);
    ck_assert(g_file_set_contents(path, text, -1, NULL));
}

static void refused(const char *name, TbErrorCode code, const char *words)
{
    g_autoptr(GError) error = NULL;
    bool built = true;
    ck_assert_ptr_null(tb_image_build(name, &built, &error));
    ck_assert_int_eq(tb_error_code(error), code);
    ck_assert_msg(strstr(error->message, words), "got '%s'", error->message);
    ck_assert(!built);
}

START_TEST(one_that_lies_on_itself)
{
    recipe("a", "from: a\n");
    refused("a", TB_ERROR_CONFIG, "a recipe cannot lie on itself: ");
    recipe("b", "from: c\n");
    recipe("c", "from: d\n");
    recipe("d", "from: b\n");
    refused("b", TB_ERROR_CONFIG, "/b.yaml from ");
}
END_TEST

START_TEST(too_many)
{
    for (int i = 0; i < 6; i++) {
        g_autofree char *name = g_strdup_printf("l%d", i);
        g_autofree char *text = g_strdup_printf("from: l%d\n", i + 1);
        recipe(name, text);
    }
    recipe("l6", "bootstrap: {suite: bookworm}\n");
    refused("l0", TB_ERROR_CONFIG, "more than 4 layers");
}
END_TEST

START_TEST(one_on_what_is_not_there)
{
    recipe("a", "from: nothing\n");
    refused("a", TB_ERROR_NOT_FOUND, "cannot build on 'nothing': no image 'nothing'");
    recipe("a", "from: b\n");
    recipe("b", "from: debian\ncpu: 1\n");
    refused("a", TB_ERROR_CONFIG, "b.yaml:2:1: unknown key 'cpu'");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("builder-layer");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, one_that_lies_on_itself);
    tcase_add_test(tcase, too_many);
    tcase_add_test(tcase, one_on_what_is_not_there);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
