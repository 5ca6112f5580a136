/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What was accepted makes the tree that git apply makes of the same hunks; contradictions are
 * refused. */
#include "../suite.h"
#include "fixture.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "review/select.h"
#include "util/error.h"

static Fixture f;
static char *result;
static TbSelection *selection;

static void start(void)
{
    f = (Fixture){0};
    fixture_start(&f);
    PUT(f.repository, "info/attributes", PLAIN_ATTRIBUTES);
}

static void stop(void)
{
    g_clear_pointer(&selection, tb_selection_free);
    g_clear_pointer(&result, g_free);
    fixture_stop(&f);
}

static void select_begin(void)
{
    result = tree_of(&f, f.box);
    selection = tb_selection_new(f.git, f.base_tree, result, NULL);
    ck_assert_ptr_nonnull(selection);
}

static char *selected(void)
{
    g_autoptr(GError) error = NULL;
    char *tree = tb_selection_tree(selection, &error);
    ck_assert_msg(tree != NULL, "%s", error ? error->message : "");
    return tree;
}

static void decide_all(TbDecision decision)
{
    for (guint i = 0; i < selection->units->len; i++)
        tb_unit(selection, i)->decision = decision;
}

static TbUnit *unit_of(const char *path, TbUnitKind kind, guint skip)
{
    for (guint i = 0; i < selection->units->len; i++) {
        TbUnit *unit = tb_unit(selection, i);
        const TbPatchFile *file = selection->files->pdata[unit->file];
        if (strcmp(file->path, path) == 0 && unit->kind == kind && skip-- == 0)
            return unit;
    }
    ck_abort_msg("no such unit of %s", path);
    return NULL;
}

static char *numbers(GRand *random, int lines)
{
    GString *text = g_string_new(NULL);
    for (int i = 0; i < lines; i++)
        g_string_append_printf(text, "%d\n", g_rand_int_range(random, 0, 30));
    if (g_rand_boolean(random))
        g_string_append(text, "no newline");
    return g_string_free(text, FALSE);
}

/* The text with some lines changed, gone and new. */
static char *edited(GRand *random, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    GString *out = g_string_new(NULL);
    for (char **line = lines; *line; line++) {
        int dice = g_rand_int_range(random, 0, 40);
        if (dice == 0)
            continue;
        if (dice == 1)
            g_string_append_printf(out, "new %d\n", g_rand_int_range(random, 0, 99));
        g_string_append(out, dice == 2 ? "changed" : *line);
        if (line[1])
            g_string_append_c(out, '\n');
    }
    return g_string_free(out, FALSE);
}

static void patch_side(GString *patch, char mark, const TbLines *lines, uint32_t first,
                       uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        size_t length = 0;
        const uint8_t *text = tb_line(lines, i, &length);
        g_string_append_c(patch, mark);
        g_string_append_len(patch, (const char *)text, (gssize)length);
        if (text[length - 1] != '\n')
            g_string_append(patch, "\n\\ No newline at end of file\n");
    }
}

/* The accepted edits of one file as a patch without context. */
static GString *patch_of(const TbFileDiff *diff)
{
    GString *patch = g_string_new("diff --git a/text b/text\n--- a/text\n+++ b/text\n");
    size_t head = patch->len;
    int64_t shift = 0;
    for (guint i = 0; i < selection->units->len; i++) {
        const TbUnit *unit = tb_unit(selection, i);
        for (size_t k = 0; unit->decision == TB_DECISION_ACCEPTED && k < unit->edit_count; k++) {
            const TbEdit *edit = &diff->edits[unit->first_edit + k];
            int64_t a = (int64_t)edit->a + (edit->a_count > 0);
            int64_t b = (int64_t)edit->a + shift + (edit->b_count > 0);
            g_string_append_printf(patch, "@@ -%d,%u +%d,%u @@\n", (int)a, edit->a_count, (int)b,
                                   edit->b_count);
            patch_side(patch, '-', &diff->old_lines, edit->a, edit->a_count);
            patch_side(patch, '+', &diff->new_lines, edit->b, edit->b_count);
            shift += (int64_t)edit->b_count - edit->a_count;
        }
    }
    if (patch->len == head)
        g_string_truncate(patch, 0);
    return patch;
}

static void check_against_git(guint32 seed)
{
    g_autoptr(TbFileDiff) diff = tb_file_diff_new(f.git, selection->files->pdata[0], NULL);
    g_autoptr(GString) patch = patch_of(diff);
    g_autofree char *file = g_build_filename(f.dir, "hunks.patch", NULL);
    g_autofree char *index = g_build_filename(f.dir, "hunk-index", NULL);
    ck_assert(g_file_set_contents(file, patch->str, (gssize)patch->len, NULL));
    g_free(RUN("/tmp", "cp", f.base_index, index));
    if (patch->len)
        g_free(GIT(&f, f.project, index, "apply", "--cached", "--unidiff-zero",
                   "--whitespace=nowarn", file));
    g_autofree char *expected = GIT(&f, f.project, index, "write-tree");
    g_autofree char *tree = selected();
    ck_assert_msg(strcmp(tree, expected) == 0, "seed %u: tree %s, git apply %s", seed, tree,
                  expected);
}

START_TEST(test_hunks)
{
    GRand *random = g_rand_new_with_seed((guint32)_i);
    g_autofree char *before = numbers(random, 120);
    g_autofree char *after = edited(random, before);
    PUT(f.project, "text", before);
    fixture_base(&f);
    PUT(f.box, "text", after);
    select_begin();
    for (int round = 0; round < 4 && selection->units->len; round++) {
        for (guint i = 0; i < selection->units->len; i++)
            tb_unit(selection, i)->decision = (TbDecision)g_rand_int_range(random, 0, 3);
        check_against_git((guint32)_i);
    }
    decide_all(TB_DECISION_ACCEPTED);
    g_autofree char *all = selected();
    ck_assert_str_eq(all, result);
    decide_all(TB_DECISION_REJECTED);
    g_autofree char *none = selected();
    ck_assert_str_eq(none, f.base_tree);
    g_rand_free(random);
}
END_TEST

START_TEST(test_kinds)
{
    PUT(f.project, "tool", "a\n");
    PUT(f.project, "both", "a\nb\n");
    PUT(f.project, "gone", "x\n");
    PUT(f.project, "dir/file", "x\n");
    fixture_base(&f);
    put_file(f.box, "tool", "a\n", -1, 0755);
    put_file(f.box, "both", "a\nc\n", -1, 0755);
    put_file(f.box, "picture", "\0\1", 2, 0644);
    PUT(f.box, "new", "x\n");
    g_free(RUN(f.box, "rm", "-r", "gone", "dir"));
    PUT(f.box, "gone/below", "x\n"); /* a directory in place of the file */
    PUT(f.box, "dir", "x\n");        /* and the other way round */
    select_begin();
    decide_all(TB_DECISION_ACCEPTED);
    g_autofree char *all = selected();
    ck_assert_str_eq(all, result);
    /* the mode alone, and the content alone */
    decide_all(TB_DECISION_OPEN);
    unit_of("both", TB_UNIT_MODE, 0)->decision = TB_DECISION_ACCEPTED;
    unit_of("tool", TB_UNIT_MODE, 0)->decision = TB_DECISION_ACCEPTED;
    g_autofree char *modes = selected();
    g_autofree char *listed = list_tree(&f, modes);
    ck_assert_ptr_nonnull(strstr(listed, "100755 both"));
    ck_assert_ptr_nonnull(strstr(listed, "100755 tool"));
    unit_of("both", TB_UNIT_MODE, 0)->decision = TB_DECISION_REJECTED;
    unit_of("both", TB_UNIT_HUNK, 0)->decision = TB_DECISION_ACCEPTED;
    unit_of("picture", TB_UNIT_WHOLE, 0)->decision = TB_DECISION_ACCEPTED;
    g_autofree char *content = selected();
    g_autofree char *listed_too = list_tree(&f, content);
    ck_assert_ptr_nonnull(strstr(listed_too, "100644 both"));
    ck_assert_ptr_nonnull(strstr(listed_too, "100644 picture"));
    ck_assert_str_ne(content, modes);
}
END_TEST

/* A file below a path whose old file was not given up, and a file where a directory stays. */
START_TEST(test_contradictions)
{
    PUT(f.project, "gone", "x\n");
    PUT(f.project, "dir/file", "x\n");
    fixture_base(&f);
    g_free(RUN(f.box, "rm", "-r", "gone", "dir"));
    PUT(f.box, "gone/below", "y\n");
    PUT(f.box, "dir", "y\n");
    select_begin();
    static const char *const alone[] = {"gone/below", "dir"};
    for (int i = 0; i < 2; i++) {
        decide_all(TB_DECISION_REJECTED);
        unit_of(alone[i], TB_UNIT_WHOLE, 0)->decision = TB_DECISION_ACCEPTED;
        g_autoptr(GError) error = NULL;
        ck_assert_ptr_null(tb_selection_tree(selection, &error));
        ck_assert_int_eq(tb_error_code(error), TB_ERROR_CONFLICT);
    }
    unit_of("dir/file", TB_UNIT_WHOLE, 0)->decision = TB_DECISION_ACCEPTED;
    g_free(selected());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("select");
    TCase *tests = tcase_create("select");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, start, stop);
    tcase_add_loop_test(tests, test_hunks, 0, 12);
    tcase_add_test(tests, test_kinds);
    tcase_add_test(tests, test_contradictions);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
