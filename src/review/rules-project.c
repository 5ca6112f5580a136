/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rules on what a change means for the project: attributes, install scripts, tests. */
#include "review/rules.h"

#include <string.h>

#include "util/escape.h"

#define MAX_SHOWN 80

static char *shown(const uint8_t *text, size_t length)
{
    return tb_escape_terminal(text, MIN(length, MAX_SHOWN), false);
}

/* The first of `words` in the line, NULL: none. */
static const char *first_word(const uint8_t *text, size_t length, const char *const *words)
{
    for (; *words; words++)
        if (rule_memmem(text, length, *words))
            return *words;
    return NULL;
}

static bool is_comment(const uint8_t *text, size_t length)
{
    size_t at = 0;
    while (at < length && g_ascii_isspace((char)text[at]))
        at++;
    return at < length && text[at] == '#';
}

static const char *const running_attributes[] = {
    " filter=", "\tfilter=", " diff=", "\tdiff=", " merge=", "\tmerge=", "working-tree-encoding",
    " lfs",     "\tlfs",     " ident", "\tident", NULL,
};

void rule_attributes(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number)
{
    if (is_comment(text, length) || !first_word(text, length, running_attributes))
        return;
    g_autofree char *line = shown(text, length);
    rule_found(scan, scan->diff->file->path, number, "%s", line);
}

static const char *const hiding_attributes[] = {
    " -diff",
    "\t-diff",
    " binary",
    "\tbinary",
    "-text -diff",
    "linguist-generated",
    "linguist-vendored",
    "gitlab-generated",
    " export-ignore",
    " -merge",
    NULL,
};

void rule_hidden_diff(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number)
{
    if (is_comment(text, length) || !first_word(text, length, hiding_attributes))
        return;
    g_autofree char *line = shown(text, length);
    rule_found(scan, scan->diff->file->path, number, "%s", line);
}

static const char *const install_scripts[] = {
    "\"preinstall\"",        "\"install\"",
    "\"postinstall\"",       "\"prepare\"",
    "\"prepublish\"",        "\"prepack\"",
    "\"postpack\"",          "\"preuninstall\"",
    "\"postuninstall\"",     "\"pre-install-cmd\"",
    "\"post-install-cmd\"",  "\"pre-update-cmd\"",
    "\"post-update-cmd\"",   "\"post-autoload-dump\"",
    "\"dependencies:post\"", NULL,
};

void rule_package_script(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number)
{
    if (!first_word(text, length, install_scripts))
        return;
    g_autofree char *line = shown(text, length);
    rule_found(scan, scan->diff->file->path, number, "%s", line);
}

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The same content, or a test of the same name, is new elsewhere. */
static bool was_moved(const TbRuleScan *scan)
{
    const TbPatchFile *gone = scan->diff->file;
    for (guint i = 0; i < scan->files->len; i++) {
        const TbPatchFile *file = scan->files->pdata[i];
        if (file->old_mode || !file->new_mode)
            continue;
        if (strcmp(file->new_oid, gone->old_oid) == 0 ||
            (strcmp(last_component(file->path), last_component(gone->path)) == 0 &&
             rule_path_matches(rule_test_paths, file->path)))
            return true;
    }
    return false;
}

void rule_test_deleted(TbRuleScan *scan)
{
    const TbPatchFile *file = scan->diff->file;
    if (!file->new_mode && file->old_mode != TB_MODE_GITLINK && !was_moved(scan))
        rule_found(scan, file->path, 0, NULL);
}

static const char *const assertions[] = {
    "assert",  "Assert", "ASSERT",    "expect(", "EXPECT_", "REQUIRE(",
    "CHECK(",  "CHECK_", ".should",   "t.Error", "t.Fatal", "t.Fail",
    "verify(", "must_",  "is_deeply", "ok(",     "raises(", NULL,
};

static int64_t count_assertions(const TbLines *lines, uint32_t first, uint32_t count)
{
    int64_t found = 0;
    for (uint32_t i = first; i < first + count; i++) {
        size_t length = 0;
        const uint8_t *text = tb_line_text(lines, i, &length);
        found += first_word(text, length, assertions) != NULL;
    }
    return found;
}

void rule_test_weakened(TbRuleScan *scan)
{
    const TbFileDiff *diff = scan->diff;
    int64_t balance = 0;
    uint32_t line = 0;
    if (!diff->file->new_mode)
        return;
    for (size_t i = 0; i < diff->edit_count; i++) {
        const TbEdit *edit = &diff->edits[i];
        int64_t change = count_assertions(&diff->new_lines, edit->b, edit->b_count) -
                         count_assertions(&diff->old_lines, edit->a, edit->a_count);
        if (change < 0 && line == 0)
            line = MAX(MIN(edit->b + 1, diff->new_lines.count), 1);
        balance += change;
    }
    if (balance < 0)
        rule_found(scan, diff->file->path, line, "%" G_GINT64_FORMAT " fewer", -balance);
}

static const char *const skips[] = {
    "pytest.mark.skip",
    "pytest.mark.xfail",
    "pytest.skip(",
    "unittest.skip",
    "unittest.expectedFailure",
    ".skipTest(",
    "it.skip(",
    "test.skip(",
    "describe.skip(",
    "it.only(",
    "test.only(",
    "describe.only(",
    "context.only(",
    "xit(",
    "xdescr"
    "ibe(",
    "fdescribe(",
    "test.todo(",
    "@Ignore",
    "@Disabled",
    "t.Skip(",
    "t.SkipNow(",
    "t.Skipf(",
    "#[ignore",
    "GTEST_SKIP",
    "[Ignore",
    "Skip = \"",
    "XCTSkip",
    "markTestSkipped",
    "markTestIncomplete",
    NULL,
};

/* Test frameworks are used in tests only, so any file is asked: tests may lie anywhere. */
void rule_test_skipped(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number)
{
    const char *word = first_word(text, length, skips);
    /* "exit(" holds "xit(" */
    const uint8_t *found = word ? rule_memmem(text, length, word) : NULL;
    if (!found || (found > text && g_ascii_isalnum((char)found[-1]) && g_ascii_isalpha(word[0])))
        return;
    rule_found(scan, scan->diff->file->path, number, "%s", word);
}
