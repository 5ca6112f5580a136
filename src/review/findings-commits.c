/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who takes the commits of a box takes all of their history, and the patch shows only its end. So
 * each commit is looked at, too: at the lines it adds that the result has not in that file, at its
 * files when the result has others there, at its message and its author.
 *
 * A file that is the same in the result has been seen with the patch. The others' versions in the
 * result are read along with the commit's, each before it, as a file that is added.
 */
#include "review/findings-private.h"

#include <stdlib.h>
#include <string.h>

#include "patch/series.h"
#include "review/words.h"

#define BUDGET (UINT64_C(512) << 20) /* bytes of all commits that are read */

typedef struct {
    const uint8_t *text;
    size_t length;
} Line;

typedef struct {
    Finder finder;
    GHashTable *known; /* "RULE PATH" of findings that are about a file as a whole */
    bool results;      /* the next file is the result's version of the one after it */
    GBytes *bytes;     /* of that version; NULL: none */
    GArray *lines;     /* Line, sorted: its lines */
    uint64_t used;     /* bytes read so far */
} Looking;

static void looking_clear(Looking *looking)
{
    finder_clear(&looking->finder);
    g_clear_pointer(&looking->known, g_hash_table_unref);
    g_clear_pointer(&looking->bytes, g_bytes_unref);
    g_clear_pointer(&looking->lines, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Looking, looking_clear)

static int line_compare(const void *x, const void *y)
{
    const Line *a = x, *b = y;
    int order = memcmp(a->text, b->text, MIN(a->length, b->length));
    return order ? order : a->length < b->length ? -1 : a->length > b->length;
}

static gint line_order(gconstpointer x, gconstpointer y)
{
    return line_compare(x, y);
}

/* The result's version: what is in it is no matter of the commit. */
static void keep_lines(Looking *looking, const TbFileDiff *diff)
{
    g_array_set_size(looking->lines, 0);
    g_clear_pointer(&looking->bytes, g_bytes_unref);
    looking->bytes = diff->new_bytes ? g_bytes_ref(diff->new_bytes) : NULL;
    for (uint32_t i = 0; i < diff->new_lines.count; i++) {
        Line line;
        line.text = tb_line_text(&diff->new_lines, i, &line.length);
        g_array_append_val(looking->lines, line);
    }
    g_array_sort(looking->lines, line_order);
}

static bool is_in_result(const Looking *looking, const TbLines *lines, uint32_t index)
{
    Line line;
    line.text = tb_line_text(lines, index, &line.length);
    return looking->lines->len > 0 && bsearch(&line, looking->lines->data, looking->lines->len,
                                              sizeof line, line_compare) != NULL;
}

static char *file_key(const char *rule, const char *path)
{
    return g_strdup_printf("%s %s", rule, path);
}

/* Each rule that looks at the file as a whole says so once, for the patch or for a commit. */
static void ask_about_file(Looking *looking, size_t rule)
{
    Finder *finder = &looking->finder;
    const char *path = finder->scan.diff->file->path;
    g_autofree char *key = file_key(tb_rules[rule].name, path);
    finder->asked[rule] = false;
    if (!finder_has(rule, TB_RULE_STEPS) ||
        (!tb_rules[rule].line && g_hash_table_contains(looking->known, key)))
        return;
    uint32_t before = finder->fired[rule];
    finder_file(finder, rule);
    if (finder->fired[rule] > before)
        g_hash_table_add(looking->known, g_steal_pointer(&key));
}

static void look_at_version(Looking *looking, const TbFileDiff *diff)
{
    Finder *finder = &looking->finder;
    finder->scan.diff = diff;
    for (size_t i = 0; i < tb_rule_count; i++)
        ask_about_file(looking, i);
    for (size_t i = 0; i < diff->edit_count && diff->file->new_mode != TB_MODE_SYMLINK; i++)
        for (uint32_t k = 0; k < diff->edits[i].b_count; k++)
            if (!is_in_result(looking, &diff->new_lines, diff->edits[i].b + k))
                finder_line(finder, diff->edits[i].b + k);
}

/* In pairs: the result's version, then the commit's. */
static bool on_file(const TbFileDiff *diff, void *user_data, GError **error)
{
    Looking *looking = user_data;
    looking->used += diff->old_bytes ? g_bytes_get_size(diff->old_bytes) : 0;
    looking->used += diff->new_bytes ? g_bytes_get_size(diff->new_bytes) : 0;
    if (looking->results)
        keep_lines(looking, diff);
    else
        look_at_version(looking, diff);
    looking->results = !looking->results;
    return true;
}

/* The new side of `file` as a file that is added; a link's target is no text. */
static TbPatchFile *added_file(const TbPatchFile *file)
{
    bool text = file->new_mode == TB_MODE_FILE || file->new_mode == TB_MODE_EXECUTABLE;
    TbPatchFile *copy = g_new0(TbPatchFile, 1);
    *copy = (TbPatchFile){.path = g_strdup(file->path),
                          .new_mode = text ? file->new_mode : 0,
                          .old_oid = g_strdup(file->old_oid),
                          .new_oid = g_strdup(file->new_oid)};
    return copy;
}

/* Those of `files` that the result has otherwise, each behind the result's version, which
 * `versions` owns. */
static GPtrArray *pairs_of(const GPtrArray *files, const GPtrArray *later, GPtrArray *versions)
{
    GPtrArray *pairs = g_ptr_array_new();
    g_autoptr(GHashTable) ways = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < later->len; i++)
        g_hash_table_insert(ways, ((TbPatchFile *)later->pdata[i])->path, later->pdata[i]);
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *way = g_hash_table_lookup(ways, ((TbPatchFile *)files->pdata[i])->path);
        if (!way)
            continue;
        TbPatchFile *version = added_file(way);
        g_ptr_array_add(versions, version);
        g_ptr_array_add(pairs, version);
        g_ptr_array_add(pairs, files->pdata[i]);
    }
    return pairs;
}

static bool look_at_step(Looking *looking, const char *from, const TbSeriesStep *step,
                         GError **error)
{
    TbRuleScan *scan = &looking->finder.scan;
    g_autoptr(GPtrArray) files = tb_patch_raw(scan->git, from, step->tree, error);
    g_autoptr(GPtrArray) later =
        files ? tb_patch_raw(scan->git, step->tree, scan->result_tree, error) : NULL;
    if (!later)
        return false;
    g_autoptr(GPtrArray) versions = tb_patch_list_new();
    g_autoptr(GPtrArray) pairs = pairs_of(files, later, versions);
    looking->results = true;
    return tb_file_diffs_each(scan->git, pairs, on_file, looking, error);
}

/* A commit's words as a file without a name. */
static void look_at_text(Finder *finder, const char *words, size_t length, uint32_t first)
{
    const TbPatchFile file = {.new_mode = TB_MODE_FILE};
    TbFileDiff diff = {.file = &file};
    tb_lines_split(&diff.new_lines, (const uint8_t *)words, length);
    finder->scan.diff = &diff;
    for (size_t i = 0; i < tb_rule_count; i++)
        finder->in_file[i] = 0;
    for (uint32_t line = 0; line < diff.new_lines.count; line++) {
        size_t size = 0;
        const uint8_t *text = tb_line_text(&diff.new_lines, line, &size);
        for (size_t i = 0; i < tb_rule_count; i++)
            if (finder_has(i, TB_RULE_WORDS))
                finder_ask(finder, i, text, size, first + line);
    }
    tb_lines_clear(&diff.new_lines);
}

static void look_at_words(Finder *finder, const TbSeriesStep *step)
{
    g_autofree char *author = tb_words_decode(step->author, step->encoding);
    g_autofree char *message = tb_words_decode(step->message, step->encoding);
    const char *end = strrchr(author, '>');
    look_at_text(finder, author, end ? (size_t)(end - author) + 1 : strlen(author), 0);
    look_at_text(finder, message, strlen(message), 1);
}

/* Says so by the rule for what is not read. */
static void look_no_further(Finder *finder, const char *commit)
{
    for (size_t i = 0; i < tb_rule_count; i++) {
        if (tb_rules[i].file != rule_unread)
            continue;
        finder->scan.rule = &tb_rules[i];
        finder->scan.fired = &finder->fired[i];
        finder->scan.kept = &finder->kept[i];
        finder->scan.in_file = 0;
        rule_found(&finder->scan, "", 0, "files of the commits after %.12s", commit);
    }
}

static GHashTable *known_files(const TbFindings *findings)
{
    GHashTable *known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < findings->list->len; i++) {
        const TbFinding *finding = findings->list->pdata[i];
        if (finding->path && !finding->line)
            g_hash_table_add(known, file_key(finding->rule, finding->path));
    }
    return known;
}

bool tb_findings_add_commits(TbFindings *findings, TbGit *git, const char *base_tree,
                             const char *result_tree, const GPtrArray *series, GError **error)
{
    g_auto(Looking) looking = {.known = known_files(findings),
                               .lines = g_array_new(FALSE, FALSE, sizeof(Line))};
    Finder *finder = &looking.finder;
    finder_init(finder, findings, git);
    finder->scan.result_tree = result_tree;
    for (guint i = 0; i < series->len; i++) {
        const TbSeriesStep *step = series->pdata[i];
        if (!step->commit)
            continue; /* it ends in the result */
        finder->scan.commit = step->commit;
        look_at_words(finder, step);
        if (looking.used <= BUDGET) {
            if (!look_at_step(&looking, base_tree, step, error))
                return false;
            if (looking.used > BUDGET)
                look_no_further(finder, step->commit);
        }
        base_tree = step->tree;
    }
    if (finder->scan.commit)
        finder_end(finder);
    return true;
}
