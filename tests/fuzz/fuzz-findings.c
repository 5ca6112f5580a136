/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as a changed file: every rule looks at it under a name that the input chooses. What is
 * found is in order, its texts are printable, and written as JSON and read back it is the same. The
 * bytes as JSON give findings or an error.
 */
#include <stdlib.h>
#include <string.h>

#include "patch/files.h"
#include "patch/series.h"
#include "review/file-diff.h"
#include "review/findings.h"
#include "review/lines.h"
#include "review/rules.h"
#include "util/escape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* ---- in git's place: one changed file */

static struct {
    const char *path;
    uint32_t old_mode, new_mode;
    const uint8_t *old_bytes, *new_bytes;
    size_t old_size, new_size;
} change;

GPtrArray *__wrap_tb_patch_raw(TbGit *git, const char *base_tree, const char *result_tree,
                               GError **error);
bool __wrap_tb_git_read_blobs(TbGit *git, const char *const *oids, size_t count, size_t limit,
                              TbBlobFn fn, void *user_data, GError **error);
bool __wrap_rule_bare_repository(TbRuleScan *scan, GError **error);
bool __wrap_rule_outside_prompt(TbRuleScan *scan, GError **error);

GPtrArray *__wrap_tb_patch_raw(TbGit *git, const char *base_tree, const char *result_tree,
                               GError **error)
{
    GPtrArray *files = tb_patch_list_new();
    TbPatchFile *file = g_new0(TbPatchFile, 1);
    *file = (TbPatchFile){.path = g_strdup(change.path),
                          .old_mode = change.old_mode,
                          .new_mode = change.new_mode,
                          .old_oid = g_strdup("old"),
                          .new_oid = g_strdup("new")};
    g_ptr_array_add(files, file);
    return files;
}

bool __wrap_tb_git_read_blobs(TbGit *git, const char *const *oids, size_t count, size_t limit,
                              TbBlobFn fn, void *user_data, GError **error)
{
    for (size_t i = 0; i < count; i++) {
        bool old = strcmp(oids[i], "old") == 0;
        size_t size = old ? change.old_size : change.new_size;
        /* A copy without a byte to spare, so that a read past the end is seen. */
        uint8_t *copy = malloc(size > 0 ? size : 1);
        require(copy != NULL);
        if (size > 0)
            memcpy(copy, old ? change.old_bytes : change.new_bytes, size);
        bool ok = fn(i, copy, size, user_data, error);
        free(copy);
        if (!ok)
            return false;
    }
    return true;
}

bool __wrap_rule_bare_repository(TbRuleScan *scan, GError **error)
{
    return true;
}

bool __wrap_rule_outside_prompt(TbRuleScan *scan, GError **error)
{
    return true;
}

/* ---- what must hold */

static void check_text(const char *text)
{
    if (!text)
        return;
    require(g_utf8_validate(text, -1, NULL));
    g_autofree char *escaped = tb_escape_name(text);
    require(strcmp(escaped, text) == 0);
}

static void check_findings(const TbFindings *findings)
{
    g_autoptr(GError) error = NULL;
    for (guint i = 0; i < findings->list->len; i++) {
        const TbFinding *finding = findings->list->pdata[i];
        require(finding->rule && finding->why && finding->severity < TB_SEVERITIES);
        check_text(finding->detail);
        g_autofree char *place = tb_finding_place(finding);
        check_text(place);
        if (i > 0)
            require(((TbFinding *)findings->list->pdata[i - 1])->severity >= finding->severity);
    }
    g_autofree char *text = tb_findings_format(findings);
    g_autoptr(TbFindings) again = tb_findings_parse(text, strlen(text), &error);
    require(again && again->list->len == findings->list->len);
    g_autofree char *twice = tb_findings_format(again);
    require(strcmp(text, twice) == 0);
}

/* The edits turn one side into the other. */
static void check_edits(void)
{
    TbLines old, new;
    size_t count = 0;
    uint32_t a = 0, b = 0;
    tb_lines_split(&old, change.old_bytes, change.old_size);
    tb_lines_split(&new, change.new_bytes, change.new_size);
    g_autofree TbEdit *edits = tb_lines_compare(&old, &new, &count);
    for (size_t i = 0; i <= count; i++) {
        uint32_t until = i < count ? edits[i].a : old.count;
        require(until >= a && (i == 0 || i == count || until > a));
        for (; a < until; a++, b++) {
            size_t length = 0, other = 0;
            require(b < new.count);
            const uint8_t *line = tb_line(&old, a, &length), *twin = tb_line(&new, b, &other);
            require(length == other && memcmp(line, twin, length) == 0);
        }
        require(b == (i < count ? edits[i].b : new.count));
        a += i < count ? edits[i].a_count : 0;
        b += i < count ? edits[i].b_count : 0;
        require(a <= old.count && b <= new.count);
    }
    tb_lines_clear(&old);
    tb_lines_clear(&new);
}

static const char *const paths[] = {
    "a",
    ".gitattributes",
    "package.json",
    "test_x.py",
    "x.test.js",
    "Cargo.toml",
    "pyproject.toml",
    "go.mod",
    "requirements.txt",
    "pom.xml",
    "Gemfile",
    "x.c",
    "Makefile",
    ".github/workflows/x.yml",
    "build.gradle",
    "composer.json",
    "\xff\x1b",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t modes[] = {0, TB_MODE_FILE, TB_MODE_EXECUTABLE, TB_MODE_SYMLINK};
    g_autoptr(GError) error = NULL;
    tb_findings_free(tb_findings_parse((const char *)data, size, NULL));
    if (size < 4)
        return 0;
    change.path = paths[data[0] % G_N_ELEMENTS(paths)];
    change.old_mode = modes[data[1] % 4];
    change.new_mode = modes[data[1] / 4 % 4];
    if (!change.old_mode && !change.new_mode)
        return 0;
    size_t old = data[2] | (size_t)data[3] << 8;
    change.old_bytes = data + 4;
    change.old_size = MIN(old, size - 4);
    change.new_bytes = change.old_bytes + change.old_size;
    change.new_size = size - 4 - change.old_size;
    g_autoptr(TbFindings) findings = tb_findings_find(NULL, "", "", NULL, &error);
    require(findings != NULL);
    check_findings(findings);
    /* The same change as a commit's, the bytes its message and author, too. */
    g_autofree char *words = g_strndup((const char *)data, size);
    g_autofree char *author = g_strdelimit(g_strdup_printf("%s> 1 +0000", words), "\n", ' ');
    char commit[] = "0123456789abcdef", tree[] = "", encoding[] = "latin1";
    TbSeriesStep step = {commit, tree, author, encoding, words};
    g_autoptr(GPtrArray) series = g_ptr_array_new();
    g_ptr_array_add(series, &step);
    require(tb_findings_add_commits(findings, NULL, "", "", series, &error));
    check_findings(findings);
    check_edits();
    return 0;
}
