/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../suite.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/git.h"

static char *dir;
static TbGit *git;
static char *file, *other, *empty;

static char *run(const char *subcommand, const char *input, size_t length, const char *const *words)
{
    g_autofree char *index = g_build_filename(dir, "index", NULL);
    g_autoptr(TbCommand) command = tb_git_command(git, subcommand, NULL, index);
    for (; *words; words++)
        tb_command_add(command, *words, NULL);
    if (input)
        tb_command_set_stdin_bytes(command, input, length);
    g_autoptr(GBytes) out = NULL;
    g_autoptr(GError) error = NULL;
    ck_assert_msg(tb_command_run(command, &out, &error), "%s", error ? error->message : "");
    gsize size = 0;
    const char *text = g_bytes_get_data(out, &size);
    char *copy = g_strndup(text, size);
    return g_strchomp(copy);
}

static char *blob(const char *text)
{
    return run("hash-object", text, strlen(text), (const char *[]){"-w", "--stdin", NULL});
}

static void start(bool sha256)
{
    g_autofree char *path = g_build_filename(dir, sha256 ? "g2" : "g1", NULL);
    tb_git_free(git);
    g_free(file);
    g_free(other);
    g_free(empty);
    git = tb_git_create(path, sha256, NULL, NULL);
    ck_assert_ptr_nonnull(git);
    file = blob("file\n");
    other = blob("other\n");
    empty = run("mktree", "", 0, (const char *[]){NULL});
}

static void setup(void)
{
    dir = g_dir_make_tmp("tb-git-tree-XXXXXX", NULL);
    start(false);
}

static void teardown(void)
{
    g_clear_pointer(&git, tb_git_free);
    g_clear_pointer(&file, g_free);
    g_clear_pointer(&other, g_free);
    g_clear_pointer(&empty, g_free);
    ck_assert(tb_remove_tree(AT_FDCWD, dir, NULL));
    g_clear_pointer(&dir, g_free);
}

/* The same by git's index. */
static char *by_index(const char *tree, const TbTreeEntry *entries, size_t count)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *none = g_strnfill(tb_git_oid_length(git), '0');
    g_autofree char *said = run("read-tree", NULL, 0, (const char *[]){tree, NULL});
    for (int removals = 1; removals >= 0; removals--)
        for (size_t i = 0; i < count; i++) {
            if ((entries[i].mode == 0) != removals)
                continue;
            g_string_append_printf(text, "%o %s\t%s", entries[i].mode,
                                   removals ? none : entries[i].oid, entries[i].path);
            g_string_append_c(text, '\0');
        }
    g_autofree char *updated =
        run("update-index", text->str, text->len, (const char *[]){"-z", "--index-info", NULL});
    return run("write-tree", NULL, 0, (const char *[]){NULL});
}

/* The tree, which is also what the index makes of it. */
static char *change(const char *tree, const TbTreeEntry *entries, size_t count)
{
    g_autoptr(GError) error = NULL;
    char *made = tb_git_change_tree(git, tree, entries, count, &error);
    ck_assert_msg(made != NULL, "%s", error ? error->message : "");
    g_autofree char *same = by_index(tree, entries, count);
    ck_assert_str_eq(made, same);
    return made;
}

static char *start_tree(void)
{
    const TbTreeEntry entries[] = {
        {"a/b/c", file, 0100644}, {"a/b/d", other, 0100755}, {"a/e", file, 0120000},
        {"top", file, 0100644},   {"module", file, 0160000}, {"z/y/x/w/v", other, 0100644},
    };
    return change(empty, entries, G_N_ELEMENTS(entries));
}

static void check_changes(void)
{
    g_autofree char *tree = start_tree();
    const TbTreeEntry mixed[] = {
        {"a/b/c", file, 0}, {"top", other, 0100644},  {"new/deep/er", file, 0100644},
        {"module", "", 0},  {"z/y/x/w/v", file, 0},   {"a/e", file, 0100644},
        {"gone", file, 0},  {"a/b/d", other, 0100644}};
    g_autofree char *changed = change(tree, mixed, G_N_ELEMENTS(mixed));
    ck_assert_str_ne(tree, changed);
    g_autofree char *same = change(tree, NULL, 0);
    ck_assert_str_eq(same, tree);
}

START_TEST(changes_as_the_index_does)
{
    check_changes();
}
END_TEST

START_TEST(changes_sha256)
{
    start(true);
    check_changes();
}
END_TEST

START_TEST(files_and_directories_change_places)
{
    g_autofree char *tree = start_tree();
    const TbTreeEntry swap[] = {{"a/b", file, 0100644},
                                {"a/b/c", "", 0},
                                {"a/b/d", "", 0},
                                {"top/under", file, 0100644},
                                {"top", "", 0}};
    g_autofree char *changed = change(tree, swap, G_N_ELEMENTS(swap));
}
END_TEST

START_TEST(all_can_go)
{
    g_autofree char *tree = start_tree();
    const TbTreeEntry all[] = {{"a/b/c", "", 0}, {"a/b/d", "", 0},  {"a/e", "", 0},
                               {"top", "", 0},   {"module", "", 0}, {"z/y/x/w/v", "", 0}};
    g_autofree char *changed = change(tree, all, G_N_ELEMENTS(all));
    ck_assert_str_eq(changed, empty);
}
END_TEST

/* Whatever a name holds, it is a name. */
START_TEST(names_of_all_bytes)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(TbTreeEntry));
    for (int byte = 1; byte < 256; byte++) {
        if (byte == '/')
            continue;
        const char plain[] = {(char)byte, 'x', '\0'}, twice[] = {'x', (char)byte, (char)byte, 0};
        g_ptr_array_add(names, g_strdup(plain));
        g_ptr_array_add(names, g_strconcat("d", plain, "/", twice, NULL));
    }
    for (guint i = 0; i < names->len; i++)
        g_array_append_val(entries, ((TbTreeEntry){names->pdata[i], file, 0100644}));
    const char *tricks[] = {"\"quoted\"", "a\nM 100644 b", "\ndone\n", " lead", "trail ", "\\001"};
    for (size_t i = 0; i < G_N_ELEMENTS(tricks); i++)
        g_array_append_val(entries, ((TbTreeEntry){tricks[i], file, 0100644}));
    g_autofree char *tree = change(empty, (TbTreeEntry *)(void *)entries->data, entries->len);
    for (guint i = 0; i < entries->len; i++)
        g_array_index(entries, TbTreeEntry, i).mode = 0;
    g_autofree char *none = change(tree, (TbTreeEntry *)(void *)entries->data, entries->len);
    ck_assert_str_eq(none, empty);
}
END_TEST

START_TEST(failures_are_said)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *missing = g_strnfill(tb_git_oid_length(git), '1');
    ck_assert_ptr_null(tb_git_change_tree(git, missing, NULL, 0, &error));
    ck_assert_ptr_nonnull(error);
    g_clear_error(&error);
    const TbTreeEntry entry = {"a", missing, 0100644};
    ck_assert_ptr_null(tb_git_change_tree(git, empty, &entry, 1, &error));
    ck_assert_ptr_nonnull(error);
}
END_TEST

START_TEST(no_reference_is_left)
{
    g_autofree char *tree = start_tree();
    g_autofree char *said = run("for-each-ref", NULL, 0, (const char *[]){NULL});
    ck_assert_str_eq(said, "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("git-tree");
    TCase *tcase = tcase_create("git-tree");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, changes_as_the_index_does);
    tcase_add_test(tcase, changes_sha256);
    tcase_add_test(tcase, files_and_directories_change_places);
    tcase_add_test(tcase, all_can_go);
    tcase_add_test(tcase, names_of_all_bytes);
    tcase_add_test(tcase, failures_are_said);
    tcase_add_test(tcase, no_reference_is_left);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
