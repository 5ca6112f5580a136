/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest's list as an enemy would send it, and the plain cases by hand. */
#include "../suite.h"
#include "fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "patch/changes-private.h"
#include "util/error.h"

static Fixture f;

static void setup(void)
{
    f = (Fixture){0};
    fixture_start(&f);
    PUT(f.project, "a", "a\n");
    PUT(f.project, "d/x", "x\n");
    PUT(f.project, "d/y/z", "z\n");
    PUT(f.project, "tracked.log", "tracked before it was ignored\n");
    PUT(f.project, ".gitignore", "");
    fixture_base(&f);
}

static void teardown(void)
{
    fixture_stop(&f);
}

#define BASE_LIST "100644 .gitignore\n100644 a\n100644 d/x\n100644 d/y/z\n100644 tracked.log\n"

START_TEST(nothing_changed)
{
    g_autoptr(TbChanges) changes = changes_for(&f);
    g_autofree char *tree = finish_tree(&f, changes, "");
    ck_assert_str_eq(tree, f.base_tree);
    ck_assert_uint_eq(tb_changes_notes(changes)->len, 0);
}
END_TEST

START_TEST(copied_up_unchanged)
{
    g_autoptr(TbChanges) changes = changes_for(&f);
    add_file(changes, "a", "a\n", 0644);
    add_path(changes, TB_ENTRY_DIR, "d");
    add_file(changes, "d/x", "x\n", 0664);
    feed_files(changes, f.project);
    g_autoptr(GError) error = NULL;
    g_autofree char *tree = tb_changes_result_tree(changes, &error);
    ck_assert_str_eq(tree, f.base_tree);
}
END_TEST

START_TEST(every_kind)
{
    g_autoptr(TbChanges) changes = changes_for(&f);
    add_file(changes, "a", "new", 0755);
    add_path(changes, TB_ENTRY_REPLACE, "d");
    add_file(changes, "d/only", "", 0600);
    add_path(changes, TB_ENTRY_SYMLINK, "link");
    add_path(changes, TB_ENTRY_DELETE, "tracked.log");
    add_path(changes, TB_ENTRY_OTHER, "socket");
    add_path(changes, TB_ENTRY_DIR, "empty");
    g_autofree char *tree = finish_tree(&f, changes, "new");
    g_autofree char *text = list_tree(&f, tree);
    ck_assert_str_eq(text, "100644 .gitignore\n100755 a\n100644 d/only\n120000 link\n");
    ck_assert(has_note(changes, "'socket': not carried: a socket"));
    ck_assert(has_note(changes, "'empty': not carried: an empty directory"));
    ck_assert_uint_eq(tb_changes_notes(changes)->len, 2);
}
END_TEST

START_TEST(file_becomes_directory_and_back)
{
    g_autoptr(TbChanges) changes = changes_for(&f);
    add_path(changes, TB_ENTRY_DIR, "a");
    add_file(changes, "a/b", "new", 0644);
    add_file(changes, "d", "new", 0644);
    g_autofree char *tree = finish_tree(&f, changes, "new");
    g_autofree char *text = list_tree(&f, tree);
    ck_assert_str_eq(text, "100644 .gitignore\n100644 a/b\n100644 d\n100644 tracked.log\n");
}
END_TEST

/* G4: every one is refused by name, and the tree is the base's with the one good file. */
START_TEST(hostile_paths)
{
    static const char *const bad[] = {
        ".git/config",
        ".GIT",
        ".GIT/hooks/pre-commit",
        "git~1",
        "git~1/config",
        ".g\xe2\x80\x8cit/x",
        ".git.",
        ".git. ",
        ".git /x",
        ".git:x",
        "a2/.git/config",
        "a2/b/.Git/hooks/x",
        "..",
        "../out",
        "d/../../out",
        "/etc/passwd",
        "",
        "d//x",
        "d/",
        ".",
        "./a",
        "d/.",
    };
    g_autoptr(TbChanges) changes = changes_for(&f);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        add_path(changes, i % 2 ? TB_ENTRY_FILE : TB_ENTRY_DELETE, bad[i]);
    g_autoptr(GError) error = NULL;
    TbEntry nul = {.kind = TB_ENTRY_FILE, .path = (const uint8_t *)"a\0b", .path_length = 3};
    ck_assert(tb_changes_add(&nul, changes, &error));
    add_file(changes, "good", "ok", 0644);
    g_autofree char *tree = finish_tree(&f, changes, "ok");
    g_autofree char *text = list_tree(&f, tree);
    ck_assert_str_eq(text, "100644 .gitignore\n100644 a\n100644 d/x\n100644 d/y/z\n100644 good\n"
                           "100644 tracked.log\n");
    ck_assert_uint_eq(tb_changes_notes(changes)->len, G_N_ELEMENTS(bad) + 1);
    ck_assert(has_note(changes, "'a2/.git/config': not carried: a name that is git's own"));
    ck_assert(has_note(changes, "'/etc/passwd': not carried: empty or absolute"));
    ck_assert(has_note(changes, "NUL byte"));
    for (guint i = 0; i < tb_changes_notes(changes)->len; i++)
        for (const char *c = tb_changes_notes(changes)->pdata[i]; *c; c++)
            ck_assert(*c >= 0x20 && *c < 0x7f);
}
END_TEST

/* The list that was begun early is what is read, when it is done; else git is asked again. */
START_TEST(base_list_is_begun_early)
{
    g_autofree char *index = g_build_filename(f.dir, "list-index", NULL);
    g_free(RUN(f.dir, "cp", f.base_index, index));
    g_autoptr(TbBaseList) list = tb_base_list_start(f.git, index);
    ck_assert_ptr_nonnull(list);
    g_autoptr(TbBase) asked = tb_base_new(f.git, index, NULL, NULL);
    ck_assert_uint_gt(asked->count, 3);
    g_usleep(G_USEC_PER_SEC);
    ck_assert_int_eq(unlink(index), 0);
    g_autoptr(TbBase) begun = tb_base_new(f.git, index, list, NULL);
    ck_assert(g_bytes_equal(asked->text, begun->text));
    ck_assert_uint_eq(asked->count, begun->count);
    ck_assert_ptr_null(tb_base_list_start(f.git, index));
}
END_TEST

/* git lets a later entry push out an earlier one, with exit status 0; we do not. */
START_TEST(nothing_is_dropped_silently)
{
    g_autoptr(TbChanges) changes = changes_for(&f);
    g_autoptr(GError) error = NULL;
    const uint32_t *indices = NULL;
    size_t count = 0;
    add_file(changes, "one", "", 0644);
    add_file(changes, "two", "", 0644);
    ck_assert(tb_changes_wanted(changes, &indices, &count, &error));
    for (uint32_t index = 0; index < 2; index++) {
        ck_assert(tb_changes_file_begin(index, 0, changes, &error));
        ck_assert(tb_changes_file_end(index, changes, &error));
    }
    changes_item(changes, 1)->path = "a/b"; /* 'a' is a file */
    ck_assert_ptr_null(tb_changes_result_tree(changes, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_INTERNAL);
}
END_TEST

START_TEST(odd_but_legal_names)
{
    static const char *const good[] = {
        "new\nline", "tab\there", "quote\"", "back\\slash", "\xff\xfe", "\x1b[31m", "\xc3\xbc",
        ".gitx",     ":(top)",    "-rf",     " ",           "\x01",     "*",
    };
    g_autoptr(TbChanges) changes = changes_for(&f);
    g_autoptr(GHashTable) want = g_hash_table_new(g_str_hash, g_str_equal);
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        add_file(changes, good[i], "x", 0644);
        g_hash_table_add(want, (gpointer)good[i]);
    }
    g_autofree char *tree = finish_tree(&f, changes, "x");
    ck_assert_uint_eq(tb_changes_notes(changes)->len, 0);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) files = tb_patch_files(f.git, f.base_tree, tree, &error);
    ck_assert_uint_eq(files->len, G_N_ELEMENTS(good));
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        ck_assert(g_hash_table_remove(want, file->path));
        ck_assert_int_eq(file->added, 1);
    }
}
END_TEST

/* G5: two entries that cannot both be true end the list, whatever their order. */
START_TEST(contradictions)
{
    static const struct {
        TbEntryKind kind;
        const char *path;
    } pairs[][2] = {
        {{TB_ENTRY_FILE, "x"}, {TB_ENTRY_FILE, "x"}},
        {{TB_ENTRY_FILE, "x"}, {TB_ENTRY_DIR, "x"}},
        {{TB_ENTRY_DELETE, "a"}, {TB_ENTRY_FILE, "a"}},
        {{TB_ENTRY_REPLACE, "d"}, {TB_ENTRY_DIR, "d"}},
        {{TB_ENTRY_FILE, "x"}, {TB_ENTRY_FILE, "x/y"}},
        {{TB_ENTRY_FILE, "x/y"}, {TB_ENTRY_FILE, "x"}},
        {{TB_ENTRY_SYMLINK, "x"}, {TB_ENTRY_FILE, "x/y/z"}},
        {{TB_ENTRY_DELETE, "d"}, {TB_ENTRY_FILE, "d/x"}},
        {{TB_ENTRY_OTHER, "x"}, {TB_ENTRY_DIR, "x/y"}},
        /* below a file of the base of which the list says nothing */
        {{TB_ENTRY_FILE, "a/x"}, {TB_ENTRY_FILE, "y"}},
        {{TB_ENTRY_DIR, "d"}, {TB_ENTRY_SYMLINK, "d/x/y/z"}},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        g_autoptr(TbChanges) changes = changes_for(&f);
        g_autoptr(GError) error = NULL;
        const uint32_t *indices = NULL;
        size_t count = 0;
        bool ok = feed(changes, pairs[i][0].kind, pairs[i][0].path, &error) &&
                  feed(changes, TB_ENTRY_FILE, "x-between", &error) &&
                  feed(changes, TB_ENTRY_FILE, "x.between", &error) &&
                  feed(changes, pairs[i][1].kind, pairs[i][1].path, &error) &&
                  tb_changes_wanted(changes, &indices, &count, &error);
        ck_assert_msg(!ok, "pair %zu", i);
        ck_assert_int_eq(tb_error_code(error), TB_ERROR_GUEST);
    }
}
END_TEST

START_TEST(bad_links)
{
    g_autoptr(TbChanges) changes = changes_for(&f);
    g_autoptr(GError) error = NULL;
    g_autofree char *large = g_strnfill(5000, 't');
    TbEntry link = {.kind = TB_ENTRY_SYMLINK, .path = (const uint8_t *)"a", .path_length = 1};
    ck_assert(tb_changes_add(&link, changes, &error));
    link.path = (const uint8_t *)"b";
    link.target = (const uint8_t *)large;
    link.target_length = 4096;
    ck_assert(tb_changes_add(&link, changes, &error));
    link.path = (const uint8_t *)"c";
    link.target = (const uint8_t *)"x\0y";
    link.target_length = 3;
    ck_assert(tb_changes_add(&link, changes, &error));
    link.path = (const uint8_t *)"e";
    link.target = (const uint8_t *)large;
    link.target_length = 4095;
    ck_assert(tb_changes_add(&link, changes, &error));
    add_path(changes, TB_ENTRY_SYMLINK, ".gitmodules");
    g_autofree char *tree = finish_tree(&f, changes, "");
    g_autofree char *text = list_tree(&f, tree);
    ck_assert_str_eq(text, "100644 .gitignore\n100644 a\n100644 d/x\n100644 d/y/z\n120000 e\n"
                           "100644 tracked.log\n");
    ck_assert_uint_eq(tb_changes_notes(changes)->len, 4);
    ck_assert(has_note(changes, "'.gitmodules': not carried: '.gitmodules' as a symbolic link"));
}
END_TEST

START_TEST(own_git_directory)
{
    g_autoptr(TbChanges) changes = changes_for(&f);
    add_path(changes, TB_ENTRY_DIR, ".git");
    add_path(changes, TB_ENTRY_DIR, "nested");
    add_path(changes, TB_ENTRY_DIR, "nested/.git");
    add_file(changes, "nested/file", "x", 0644);
    g_autofree char *tree = finish_tree(&f, changes, "x");
    g_autofree char *text = list_tree(&f, tree);
    ck_assert_str_eq(text, "100644 .gitignore\n100644 a\n100644 d/x\n100644 d/y/z\n"
                           "100644 nested/file\n100644 tracked.log\n");
    ck_assert_uint_eq(tb_changes_notes(changes)->len, 1);
    ck_assert(has_note(changes, "'nested': a nested repository"));
}
END_TEST

START_TEST(nested_repository_from_before)
{
    g_autoptr(TbChanges) changes = changes_for(&f);
    tb_changes_leave_out(changes, "vendor/lib");
    tb_changes_leave_out(changes, "other");
    add_path(changes, TB_ENTRY_DIR, "vendor");
    add_path(changes, TB_ENTRY_DIR, "vendor/lib");
    add_file(changes, "vendor/lib/file", "x", 0644);
    add_path(changes, TB_ENTRY_DELETE, "vendor/lib/gone");
    add_file(changes, "vendor/lib2", "x", 0644);
    g_autofree char *tree = finish_tree(&f, changes, "x");
    g_autofree char *text = list_tree(&f, tree);
    ck_assert_str_eq(text, BASE_LIST "100644 vendor/lib2\n");
    ck_assert_uint_eq(tb_changes_notes(changes)->len, 1);
    ck_assert(has_note(changes, "'vendor/lib': not carried: 2 change(s) in a nested"));
}
END_TEST

START_TEST(masked_stays_whatever_the_box_does)
{
    g_autoptr(TbChanges) changes = changes_for(&f);
    tb_changes_mask(changes, "a");
    tb_changes_mask(changes, "d/y");
    tb_changes_mask(changes, ".env");
    add_file(changes, "a", "emptied", 0644);
    add_path(changes, TB_ENTRY_DELETE, ".env");
    add_path(changes, TB_ENTRY_DELETE, "d"); /* with a masked file of the base below */
    add_file(changes, "a2", "x", 0644);
    g_autofree char *tree = finish_tree(&f, changes, "x");
    g_autofree char *text = list_tree(&f, tree);
    ck_assert_ptr_nonnull(strstr(text, "100644 a\n"));
    ck_assert_ptr_nonnull(strstr(text, "100644 a2\n"));
    ck_assert_ptr_nonnull(strstr(text, "100644 d/y/z\n"));
    ck_assert_ptr_null(strstr(text, "d/x"));
    ck_assert(has_note(changes, "'a': not carried: 1 change(s) of what is masked"));
    g_autoptr(TbChanges) replaced = changes_for(&f);
    tb_changes_mask(replaced, "d/y");
    add_file(replaced, "d", "a file now", 0644);
    add_path(replaced, TB_ENTRY_DIR, "new");
    add_file(replaced, "new/x", "x", 0644);
    g_autofree char *other = finish_tree(&f, replaced, "x");
    g_autofree char *files = list_tree(&f, other);
    ck_assert_ptr_nonnull(strstr(files, "d/y/z\n"));
    ck_assert_ptr_nonnull(strstr(files, "d/x\n"));
    ck_assert(has_note(replaced, "'d': not carried: the directory that was there holds masked"));
}
END_TEST

/* A gitlink of the base. */
static void base_with_submodule(void)
{
    g_autofree char *spec = g_strdup_printf("160000,%s,sub", f.base_tree);
    g_free(GIT(&f, f.project, f.base_index, "update-index", "--add", "--cacheinfo", spec));
    g_free(f.base_tree);
    f.base_tree = GIT(&f, f.project, f.base_index, "write-tree");
}

START_TEST(submodule_stays)
{
    base_with_submodule();
    g_autoptr(TbChanges) changes = changes_for(&f);
    add_path(changes, TB_ENTRY_DIR, "sub");
    add_file(changes, "sub/file", "x", 0644);
    add_path(changes, TB_ENTRY_DELETE, "sub/gone");
    g_autofree char *tree = finish_tree(&f, changes, "x");
    ck_assert_str_eq(tree, f.base_tree);
    ck_assert(has_note(changes, "'sub/file': not carried: below a submodule"));
    ck_assert(has_note(changes, "'sub/gone': not carried: below a submodule"));
}
END_TEST

START_TEST(submodule_goes)
{
    base_with_submodule();
    g_autoptr(TbChanges) gone = changes_for(&f);
    add_path(gone, TB_ENTRY_DELETE, "sub");
    g_autofree char *without = finish_tree(&f, gone, "");
    g_autofree char *text = list_tree(&f, without);
    ck_assert_str_eq(text, BASE_LIST);
    g_autoptr(TbChanges) replaced = changes_for(&f);
    add_path(replaced, TB_ENTRY_REPLACE, "sub");
    add_file(replaced, "sub/file", "x", 0644);
    g_autofree char *tree = finish_tree(&f, replaced, "x");
    g_autofree char *files = list_tree(&f, tree);
    ck_assert_str_eq(files, "100644 .gitignore\n100644 a\n100644 d/x\n100644 d/y/z\n"
                            "100644 sub/file\n100644 tracked.log\n");
}
END_TEST

static bool wanted_with(const TbPatchLimits *limits, uint64_t size, GError **error)
{
    g_autoptr(TbChanges) changes =
        tb_changes_new(f.git, f.base_index, NULL, f.base_tree, NULL, NULL, limits, error);
    for (int i = 0; i < 3; i++) {
        g_autofree char *path = g_strdup_printf("file%d", i);
        TbEntry entry = {.kind = TB_ENTRY_FILE,
                         .size = size,
                         .path = (const uint8_t *)path,
                         .path_length = strlen(path)};
        if (!tb_changes_add(&entry, changes, error))
            return false;
    }
    const uint32_t *indices = NULL;
    size_t count = 0;
    return tb_changes_wanted(changes, &indices, &count, error);
}

/* G7: sizes that are named, sums that wrap, and lies about them. */
START_TEST(limits_hold)
{
    TbPatchLimits limits = {.max_bytes = 100, .max_entries = 3, .max_patch = 1000};
    g_autoptr(GError) error = NULL;
    ck_assert(wanted_with(&limits, 33, &error));
    ck_assert(!wanted_with(&limits, 34, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_LIMIT);
    g_clear_error(&error);
    ck_assert(!wanted_with(&limits, UINT64_MAX / 2 + 1, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_LIMIT);
    ck_assert_ptr_nonnull(strstr(error->message, "file0"));
    g_clear_error(&error);
    limits.max_entries = 2;
    ck_assert(!wanted_with(&limits, 1, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_LIMIT);
}
END_TEST

START_TEST(lies_about_bytes)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbChanges) changes = changes_for(&f);
    add_file(changes, "one", "1234", 0644);
    add_file(changes, "two", "1234", 0644);
    const uint32_t *indices = NULL;
    size_t count = 0;
    ck_assert(tb_changes_wanted(changes, &indices, &count, &error));
    const uint8_t *bytes = (const uint8_t *)"12345678";
    bool lies[] = {
        tb_changes_file_bytes(bytes, 1, changes, NULL), tb_changes_file_end(0, changes, NULL),
        tb_changes_file_begin(1, 4, changes, NULL),     tb_changes_file_begin(0, 5, changes, NULL),
        tb_changes_file_begin(7, 4, changes, NULL),
    };
    for (size_t i = 0; i < G_N_ELEMENTS(lies); i++)
        ck_assert_msg(!lies[i], "lie %zu", i);
    ck_assert(tb_changes_file_begin(0, 4, changes, &error));
    ck_assert(!tb_changes_file_bytes(bytes, 5, changes, NULL));
    ck_assert(tb_changes_file_bytes(bytes, 3, changes, &error));
    ck_assert(!tb_changes_file_end(0, changes, NULL));
    ck_assert(tb_changes_file_bytes(bytes, 1, changes, &error));
    ck_assert(tb_changes_file_end(0, changes, &error));
    ck_assert_ptr_null(tb_changes_result_tree(changes, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_GUEST);
}
END_TEST

/* G7: deep and many. */
START_TEST(depth_and_floods)
{
    g_autoptr(TbChanges) changes = changes_for(&f);
    g_autoptr(GString) deep = g_string_new("e");
    for (int i = 1; i < 2000; i++)
        g_string_append(deep, "/e");
    add_path(changes, TB_ENTRY_FILE, deep->str);
    g_autofree char *lengthy = g_strnfill(1 << 20, 'n');
    add_path(changes, TB_ENTRY_FILE, lengthy);
    for (int i = 0; i < 5000; i++) {
        g_autofree char *path = g_strdup_printf(".git/%d", i);
        add_path(changes, TB_ENTRY_FILE, path);
    }
    g_autofree char *tree = finish_tree(&f, changes, "");
    ck_assert_str_eq(tree, f.base_tree);
    ck_assert_uint_lt(tb_changes_notes(changes)->len, 300);
    ck_assert(has_note(changes, "more paths not carried"));
    for (guint i = 0; i < tb_changes_notes(changes)->len; i++)
        ck_assert_uint_lt(strlen(tb_changes_notes(changes)->pdata[i]), 5000);
}
END_TEST

START_TEST(names_flood)
{
    g_autoptr(TbChanges) changes = changes_for(&f);
    g_autoptr(GError) error = NULL;
    g_autofree char *name = g_strnfill(250, 'n');
    bool ok = true;
    int added = 0;
    for (; ok && added < 100000; added++) {
        g_autofree char *path =
            g_strdup_printf("%d/%s/%s/%s/%s/%s/%s/%s/%s/%s/%s/%s/%s/%s/%s", added, name, name, name,
                            name, name, name, name, name, name, name, name, name, name, name);
        ok = feed(changes, TB_ENTRY_FILE, path, &error);
    }
    ck_assert(!ok && added > 20000);
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_LIMIT);
}
END_TEST

START_TEST(empty_base)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *index = g_build_filename(f.dir, "no-such-index", NULL);
    g_autofree char *empty = GIT(&f, f.project, index, "write-tree");
    g_autoptr(TbChanges) changes =
        tb_changes_new(f.git, index, NULL, empty, NULL, NULL, NULL, &error);
    add_file(changes, "first", "x", 0644);
    g_autofree char *tree = finish_tree(&f, changes, "x");
    g_autofree char *text = list_tree(&f, tree);
    ck_assert_str_eq(text, "100644 first\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("patch-changes");
    TCase *plain = tcase_create("changes");
    tcase_set_timeout(plain, 120);
    tcase_add_checked_fixture(plain, setup, teardown);
    tcase_add_test(plain, nothing_changed);
    tcase_add_test(plain, copied_up_unchanged);
    tcase_add_test(plain, every_kind);
    tcase_add_test(plain, file_becomes_directory_and_back);
    tcase_add_test(plain, base_list_is_begun_early);
    tcase_add_test(plain, hostile_paths);
    tcase_add_test(plain, nothing_is_dropped_silently);
    tcase_add_test(plain, odd_but_legal_names);
    tcase_add_test(plain, contradictions);
    tcase_add_test(plain, bad_links);
    tcase_add_test(plain, own_git_directory);
    tcase_add_test(plain, nested_repository_from_before);
    tcase_add_test(plain, masked_stays_whatever_the_box_does);
    tcase_add_test(plain, submodule_stays);
    tcase_add_test(plain, submodule_goes);
    tcase_add_test(plain, limits_hold);
    tcase_add_test(plain, lies_about_bytes);
    tcase_add_test(plain, depth_and_floods);
    tcase_add_test(plain, names_flood);
    tcase_add_test(plain, empty_base);
    suite_add_tcase(suite, plain);
    return suite_run(suite);
}
