/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files that git would convert are named, and only those. */
#include "../suite.h"
#include "fixture.h"

#include <string.h>

static Fixture f;
static const char *users_attributes; /* the file; NULL: none */

static void setup(void)
{
    f = (Fixture){0};
    users_attributes = NULL;
    fixture_start(&f);
    PUT(f.repository, "info/attributes", PLAIN_ATTRIBUTES);
}

static void teardown(void)
{
    fixture_stop(&f);
}

/* The notes after the box changed what `f.box` holds. */
static TbChanges *noted_with(const char *attributes, bool autocrlf)
{
    g_autoptr(GError) error = NULL;
    TbChanges *changes = changes_for(&f);
    feed_walk(&f, changes, NULL);
    feed_files(changes, f.box);
    g_autofree char *tree = tb_changes_result_tree(changes, &error);
    const TbAttributes outside = {
        .repository = attributes, .user = users_attributes, .autocrlf = autocrlf};
    ck_assert_msg(tree && tb_changes_note_converted(changes, tree, &outside, &error), "%s",
                  error ? error->message : "");
    return changes;
}

static TbChanges *noted(const char *attributes)
{
    return noted_with(attributes, false);
}

static void expect(const TbChanges *changes, const char *const *converted)
{
    guint count = 0;
    for (; converted[count]; count++) {
        g_autofree char *part = g_strdup_printf("'%s': git converts it", converted[count]);
        ck_assert_msg(has_note(changes, part), "%s is not named", converted[count]);
    }
    ck_assert_uint_eq(tb_changes_notes(changes)->len, count);
}
#define EXPECT(changes, ...) expect(changes, (const char *const[]){__VA_ARGS__, NULL})

START_TEST(by_bytes)
{
    PUT(f.project, ".gitattributes",
        "*.bat text eol=crlf\n*.auto text=auto\n*.old crlf=input\n*.eol eol=lf\n*.raw -text "
        "eol=lf\n"
        "*.id ident\n*.bin binary\n*.lfs filter=lfs -text\n*.utf working-tree-encoding=UTF-16\n");
    PUT(f.project, "changed.bat", "a\r\n");
    PUT(f.project, "gone.bat", "a\r\n");
    PUT(f.project, "same.bat", "a\r\n");
    PUT(f.project, "to-lf.auto", "a\r\n");
    fixture_base(&f);
    PUT(f.box, "changed.bat", "b\r\n");
    g_free(RUN(f.box, "rm", "gone.bat"));
    PUT(f.box, "to-lf.auto", "a\n");
    PUT(f.box, "new.old", "a\r\n");
    PUT(f.box, "new.eol", "a\r\n");
    PUT(f.box, "new.id", "$Id$\n");
    PUT(f.box, "new.lfs", "a\n");
    PUT(f.box, "new.utf", "a\n");
    PUT(f.box, "d/\x1b.bat", "\r\n");
    /* and what stays as it is */
    PUT(f.box, "new.bat", "a\n");
    put_file(f.box, "zero.auto", "\0\r\n", 3, 0644);
    PUT(f.box, "new.raw", "a\r\n");
    PUT(f.box, "new.bin", "a\r\n");
    PUT(f.box, "plain", "a\r\n");
    PUT(f.box, "other.id", "Id\n");
    g_free(RUN(f.box, "ln", "-s", "x\r\n", "link.bat"));
    g_autoptr(TbChanges) changes = noted(NULL);
    EXPECT(changes, "changed.bat", "gone.bat", "to-lf.auto", "new.old", "new.eol", "new.id",
           "new.lfs", "new.utf", "d/\\x1B.bat");
}
END_TEST

START_TEST(attributes_of_the_box)
{
    PUT(f.project, "a", "a\r\n");
    fixture_base(&f);
    PUT(f.box, ".gitattributes", "a text\n");
    PUT(f.box, "a", "b\r\n");
    PUT(f.box, "b", "b\r\n");
    g_autoptr(TbChanges) changes = noted(NULL);
    EXPECT(changes, "a");
}
END_TEST

START_TEST(attributes_of_the_repository)
{
    g_autofree char *own = g_build_filename(f.dir, "own", NULL);
    g_autofree char *left = g_build_filename(f.dir, "private.git", "info", "attributes", NULL);
    PUT(f.dir, "own", "b text\n");
    fixture_base(&f);
    PUT(f.box, "a", "b\r\n");
    PUT(f.box, "b", "b\r\n");
    g_autoptr(TbChanges) changes = noted(own);
    EXPECT(changes, "b");
    ck_assert(!g_file_test(left, G_FILE_TEST_EXISTS));
}
END_TEST

/* The user's come last, below all that project and repository say. */
START_TEST(attributes_of_the_user)
{
    PUT(f.project, ".gitattributes", "*.raw -text\n*.ours text\n");
    fixture_base(&f);
    PUT(f.box, "a.txt", "a\r\n");
    PUT(f.box, "b.raw", "b\r\n");
    PUT(f.box, "c.ours", "c\r\n");
    PUT(f.box, "d.info", "d\r\n");
    PUT(f.box, "e.other", "e\r\n");
    g_autofree char *users = g_build_filename(f.repository, "users", NULL);
    g_autofree char *info = g_build_filename(f.repository, "infos", NULL);
    PUT(f.repository, "users", "*.txt text\n*.raw text\n*.ours -text\n*.info text\n");
    PUT(f.repository, "infos", "*.info -text\n");
    users_attributes = users;
    g_autoptr(TbChanges) changes = noted(info);
    EXPECT(changes, "a.txt", "c.ours");
}
END_TEST

/* core.autocrlf, with attributes and without any. */
START_TEST(settings)
{
    PUT(f.project, "a", "a\r\n");
    PUT(f.project, "lf", "a\n");
    fixture_base(&f);
    PUT(f.box, "a", "b\r\n");
    PUT(f.box, "lf", "b\n");
    PUT(f.box, "new", "a\r\nb\n");
    put_file(f.box, "zero", "\0\r\n", 3, 0644);
    g_autoptr(TbChanges) changes = noted_with(NULL, true);
    EXPECT(changes, "a", "new");
    g_autoptr(TbChanges) off = noted(NULL);
    ck_assert_uint_eq(tb_changes_notes(off)->len, 0);
    PUT(f.box, ".gitattributes", "n* -text\na -crlf\nzero text\n");
    g_autoptr(TbChanges) said = noted_with(NULL, true);
    EXPECT(said, "a", "new", "zero");
}
END_TEST

START_TEST(settings_and_attributes_of_the_base)
{
    PUT(f.project, "d/.gitattributes", "*.raw -text\n*.old -crlf\n*.lf eol=lf\n");
    fixture_base(&f);
    PUT(f.box, "d/a.raw", "a\r\n");
    PUT(f.box, "d/a.old", "a\r\n");
    PUT(f.box, "d/a.lf", "a\r\n");
    PUT(f.box, "d/a", "a\r\n");
    PUT(f.box, "a.raw", "a\r\n");
    g_autoptr(TbChanges) changes = noted_with(NULL, true);
    EXPECT(changes, "d/a.lf", "d/a", "a.raw");
}
END_TEST

START_TEST(many_are_counted)
{
    PUT(f.project, ".gitattributes", "* text\n");
    fixture_base(&f);
    for (int i = 0; i < 120; i++) {
        g_autofree char *name = g_strdup_printf("f%d", i);
        PUT(f.box, name, "\r\n");
    }
    g_autoptr(TbChanges) changes = noted(NULL);
    ck_assert_uint_eq(tb_changes_notes(changes)->len, 101);
    ck_assert(has_note(changes, "and 20 more that git converts"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("patch-convert");
    TCase *tests = tcase_create("convert");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, by_bytes);
    tcase_add_test(tests, attributes_of_the_box);
    tcase_add_test(tests, attributes_of_the_repository);
    tcase_add_test(tests, attributes_of_the_user);
    tcase_add_test(tests, settings);
    tcase_add_test(tests, settings_and_attributes_of_the_base);
    tcase_add_test(tests, many_are_counted);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
