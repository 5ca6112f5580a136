/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is ignored is the base tree's to say. */
#include "../suite.h"
#include "fixture.h"

#include <string.h>

#include "patch/changes-private.h"

static Fixture f;

/* Ignore rules, and files that are tracked against them. */
static void setup(void)
{
    f = (Fixture){0};
    fixture_start(&f);
    PUT(f.project, "tracked.log", "tracked\n");
    PUT(f.project, "build/kept", "tracked\n");
    g_free(GIT(&f, f.project, f.base_index, "add", "-A"));
    PUT(f.project, ".gitignore", "*.log\nbuild/\n/top\n");
    PUT(f.project, "sub/.gitignore", "!yes.log\n*.tmp\n/only");
    PUT(f.project, "out.log", "ignored\n");
    fixture_base(&f);
}

static void teardown(void)
{
    fixture_stop(&f);
}

START_TEST(ignored_files)
{
    g_autofree char *excludes = g_build_filename(f.dir, "excludes", NULL);
    g_autofree char *info = g_build_filename(f.dir, "info", NULL);
    PUT(f.dir, "excludes", "\xef\xbb\xbf*.global\n!back.log");
    PUT(f.dir, "info", "*.local\n!taken.global\n");
    g_autoptr(GError) error = NULL;
    g_autoptr(TbChanges) changes =
        tb_changes_new(f.git, f.base_index, NULL, f.base_tree, excludes, info, NULL, &error);
    static const char *const ignored[] = {
        "x.log",    "build/new", "build/deep/new", "top",        "sub/x.tmp", "sub/only",
        "x.global", "x.local",   "back.log",       "sub/no.log", "new\n.log", ":(top)x.log"};
    static const char *const carried[] = {"tracked.log", "build/kept",   "sub/yes.log",
                                          "sub/top",     "taken.global", "x.tmp",
                                          "deep/only",   "build.c",      "new/.gitignore"};
    for (size_t i = 0; i < G_N_ELEMENTS(ignored); i++)
        add_file(changes, ignored[i], "x", 0644);
    for (size_t i = 0; i < G_N_ELEMENTS(carried); i++)
        add_file(changes, carried[i], "x", 0644);
    /* The box's own rules decide nothing. */
    add_file(changes, ".gitignore", "x", 0644);
    add_path(changes, TB_ENTRY_DELETE, "out.log");
    add_path(changes, TB_ENTRY_DIR, "sub/build");
    const uint32_t *indices = NULL;
    size_t count = 0;
    ck_assert(tb_changes_wanted(changes, &indices, &count, &error));
    ck_assert_uint_eq(count, G_N_ELEMENTS(carried) + 1);
    for (size_t i = 0; i < count; i++)
        ck_assert_uint_eq(indices[i], G_N_ELEMENTS(ignored) + i);
    ck_assert(has_note(changes, "'build/': not carried: 2 ignored"));
    ck_assert(has_note(changes, "'sub/': not carried: 3 ignored"));
    ck_assert(has_note(changes, "'out.log': not carried: 1 deletion"));
    ck_assert(!has_note(changes, "empty"));
}
END_TEST

/* Deleting in the box what only the ignore rules kept out, and emptying the rules. */
START_TEST(ignored_place_taken)
{
    g_autoptr(TbChanges) changes = changes_for(&f);
    add_file(changes, "build", "x", 0644); /* "build/" names directories only */
    g_autofree char *tree = finish_tree(&f, changes, "x");
    g_autofree char *text = list_tree(&f, tree);
    ck_assert_str_eq(text, "100644 .gitignore\n100644 build\n100644 sub/.gitignore\n"
                           "100644 tracked.log\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("patch-ignore");
    TCase *tests = tcase_create("ignore");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, ignored_files);
    tcase_add_test(tests, ignored_place_taken);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
