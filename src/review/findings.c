/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs the table of rules over a patch. Every rule has room of its own, so that no flood of one
 * kind hides another: a rule keeps at most so many findings a file and in all, the rest is counted.
 */
#include "review/findings.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "review/findings-private.h"
#include "review/rules.h"
#include "util/escape.h"
#include "util/hole.h"

#define MAX_IN_FILE 10
#define MAX_OF_RULE 100

static const char *const severity_names[] = {"low", "medium", "high"};

const char *tb_severity_name(TbSeverity severity)
{
    return severity_names[severity];
}

static void finding_free(void *data)
{
    TbFinding *finding = data;
    g_free(finding->rule);
    g_free(finding->commit);
    g_free(finding->path);
    g_free(finding->why);
    g_free(finding->detail);
    g_free(finding);
}

TbFindings *findings_new(void)
{
    TbFindings *findings = g_new0(TbFindings, 1);
    findings->list = g_ptr_array_new_with_free_func(finding_free);
    return findings;
}

void tb_findings_free(TbFindings *findings)
{
    if (!findings)
        return;
    g_ptr_array_unref(findings->list);
    g_free(findings);
}

static void add(TbRuleScan *scan, const char *path, uint32_t line, char *detail)
{
    TbFinding *finding = g_new(TbFinding, 1);
    *finding = (TbFinding){.rule = g_strdup(scan->rule->name),
                           .severity = scan->rule->severity,
                           .commit = g_strdup(scan->commit),
                           .path = g_strdup(path),
                           .line = line,
                           .why = g_strdup(scan->rule->why),
                           .detail = detail};
    g_ptr_array_add(scan->findings->list, finding);
}

void rule_found(TbRuleScan *scan, const char *path, uint32_t line, const char *format, ...)
{
    scan->findings->counts[scan->rule->severity]++;
    scan->in_file++;
    ++*scan->fired;
    if (*scan->kept >= MAX_OF_RULE || scan->in_file > MAX_IN_FILE)
        return;
    ++*scan->kept;
    char *detail = NULL;
    if (format) {
        va_list args;
        va_start(args, format);
        detail = g_strdup_vprintf(format, args);
        va_end(args);
    }
    add(scan, path, line, detail);
}

static bool matches_from(const char *pattern, const char *path)
{
    size_t length = strlen(pattern);
    if (pattern[length - 1] != '/')
        return fnmatch(pattern, path, FNM_PATHNAME | FNM_CASEFOLD) == 0;
    /* a directory: as many components of the path as the pattern has, and something below */
    const char *end = path;
    for (const char *at = pattern; *at; at++) {
        if (*at != '/')
            continue;
        end = strchr(end, '/');
        if (!end)
            return false;
        end++;
    }
    return *end && (size_t)(end - path) == length &&
           g_ascii_strncasecmp(pattern, path, length) == 0;
}

bool rule_path_matches(const char *const *patterns, const char *path)
{
    for (const char *at = path; at; at = strchr(at, '/')) {
        at += *at == '/';
        for (const char *const *pattern = patterns; *pattern; pattern++)
            if (matches_from(*pattern, at))
                return true;
    }
    return false;
}

const uint8_t *rule_memmem(const uint8_t *text, size_t length, const char *word)
{
    return length ? memmem(text, length, word, strlen(word)) : NULL;
}

bool rule_line_is_added(const TbFileDiff *diff, uint32_t line)
{
    size_t low = 0, high = diff->edit_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const TbEdit *edit = &diff->edits[middle];
        if (line >= edit->b && line < edit->b + edit->b_count)
            return true;
        if (line < edit->b)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

void finder_init(Finder *finder, TbFindings *findings, TbGit *git)
{
    *finder = (Finder){.scan = {.git = git, .findings = findings},
                       .fired = g_new0(uint32_t, tb_rule_count),
                       .kept = g_new0(uint32_t, tb_rule_count),
                       .asked = g_new0(bool, tb_rule_count),
                       .in_file = g_new0(uint32_t, tb_rule_count)};
}

void finder_clear(Finder *finder)
{
    g_clear_pointer(&finder->fired, g_free);
    g_clear_pointer(&finder->kept, g_free);
    g_clear_pointer(&finder->asked, g_free);
    g_clear_pointer(&finder->in_file, g_free);
}

bool finder_has(size_t index, unsigned where)
{
    return where == 0 || (tb_rules[index].commits & where);
}

static TbRuleScan *scan_for(Finder *finder, size_t rule)
{
    finder->scan.rule = &tb_rules[rule];
    finder->scan.fired = &finder->fired[rule];
    finder->scan.kept = &finder->kept[rule];
    return &finder->scan;
}

void finder_file(Finder *finder, size_t index)
{
    const TbRule *rule = &tb_rules[index];
    const TbPatchFile *file = finder->scan.diff->file;
    TbRuleScan *scan = scan_for(finder, index);
    scan->in_file = 0;
    finder->in_file[index] = 0;
    bool matches = !rule->paths || rule_path_matches(rule->paths, file->path);
    finder->asked[index] = matches && rule->line;
    if (!matches)
        return;
    if (rule->file)
        rule->file(scan);
    if (rule->paths && !rule->file && !rule->line && (file->new_mode || rule->deletions))
        rule_found(scan, file->path, 0, file->new_mode ? NULL : "deleted");
}

void finder_ask(Finder *finder, size_t index, const uint8_t *text, size_t length, uint32_t number)
{
    TbRuleScan *scan = scan_for(finder, index);
    scan->in_file = finder->in_file[index];
    tb_rules[index].line(scan, text, length, number);
    finder->in_file[index] = scan->in_file;
}

void finder_line(Finder *finder, uint32_t line)
{
    size_t length = 0;
    const uint8_t *text = tb_line_text(&finder->scan.diff->new_lines, line, &length);
    for (size_t i = 0; i < tb_rule_count; i++) {
        if (finder->asked[i])
            finder_ask(finder, i, text, length, line + 1);
    }
}

static bool look_at_file(const TbFileDiff *diff, void *user_data, GError **error)
{
    Finder *finder = user_data;
    finder->scan.diff = diff;
    for (size_t i = 0; i < tb_rule_count; i++)
        finder_file(finder, i);
    if (diff->file->new_mode == TB_MODE_SYMLINK)
        return true; /* a target is a name, no text: symlink rules have seen it */
    for (size_t i = 0; i < diff->edit_count; i++)
        for (uint32_t line = 0; line < diff->edits[i].b_count; line++)
            finder_line(finder, diff->edits[i].b + line);
    return true;
}

static int compare(gconstpointer x, gconstpointer y)
{
    const TbFinding *a = *(TbFinding *const *)x, *b = *(TbFinding *const *)y;
    if (a->severity != b->severity)
        return a->severity > b->severity ? -1 : 1;
    /* What the commits have comes behind the patch, in their order (the sort is stable). */
    if (a->commit || b->commit)
        return a->commit && b->commit ? 0 : a->commit ? 1 : -1;
    /* what is about the whole comes behind what has a place */
    if (!a->path || !b->path)
        return a->path ? -1 : b->path ? 1 : strcmp(a->rule, b->rule);
    int order = strcmp(a->path, b->path);
    if (order == 0)
        order = a->line < b->line ? -1 : a->line > b->line;
    return order ? order : strcmp(a->rule, b->rule);
}

void finder_end(Finder *finder)
{
    GPtrArray *list = finder->scan.findings->list;
    bool commits = finder->scan.commit != NULL;
    for (size_t i = 0; i < tb_rule_count; i++)
        if (finder->fired[i] > finder->kept[i])
            add(scan_for(finder, i), commits ? "" : NULL, 0,
                g_strdup_printf("%u more of this rule%s", finder->fired[i] - finder->kept[i],
                                commits ? " in the commits" : ""));
    g_ptr_array_sort(list, compare);
}

TbFindings *tb_findings_find(TbGit *git, const char *base_tree, const char *result_tree,
                             const char *prompt, GError **error)
{
    g_autoptr(GPtrArray) files = tb_patch_raw(git, base_tree, result_tree, error);
    if (!files)
        return NULL;
    g_autoptr(TbFindings) findings = findings_new();
    g_auto(Finder) finder = {0};
    finder_init(&finder, findings, git);
    finder.scan.files = files;
    finder.scan.base_tree = base_tree;
    finder.scan.result_tree = result_tree;
    finder.scan.prompt = prompt;
    if (!tb_file_diffs_each(git, files, look_at_file, &finder, error))
        return NULL;
    finder.scan.diff = NULL;
    for (size_t i = 0; i < tb_rule_count; i++) {
        TbRuleScan *scan = scan_for(&finder, i);
        scan->in_file = 0;
        if (tb_rules[i].tree && !tb_rules[i].tree(scan, error))
            return NULL;
    }
    finder_end(&finder);
    if (tb_hole("findings"))
        return findings_new();
    return g_steal_pointer(&findings);
}

void tb_findings_add(TbFindings *findings, const char *rule, char *detail)
{
    for (size_t i = 0; i < tb_rule_count; i++) {
        TbRuleScan scan = {.rule = &tb_rules[i], .findings = findings};
        if (strcmp(tb_rules[i].name, rule) != 0)
            continue;
        findings->counts[tb_rules[i].severity]++;
        add(&scan, NULL, 0, detail);
        g_ptr_array_sort(findings->list, compare);
        return;
    }
    g_assert_not_reached();
}

const char **tb_findings_high_rules(const TbFindings *findings, bool commits)
{
    GPtrArray *names = g_ptr_array_new();
    for (guint i = 0; i < findings->list->len; i++) {
        TbFinding *finding = findings->list->pdata[i];
        bool known = finding->severity != TB_SEVERITY_HIGH || (finding->commit && !commits);
        for (guint k = 0; k < names->len && !known; k++)
            known = strcmp(names->pdata[k], finding->rule) == 0;
        if (!known)
            g_ptr_array_add(names, finding->rule);
    }
    g_ptr_array_add(names, NULL);
    return (const char **)g_ptr_array_free(names, FALSE);
}

char *tb_finding_place(const TbFinding *finding)
{
    if (finding->commit && !finding->path)
        return finding->line ? g_strdup_printf("message of commit %.12s, line %u", finding->commit,
                                               finding->line)
                             : g_strdup_printf("author of commit %.12s", finding->commit);
    if (!finding->path || !*finding->path)
        return g_strdup("");
    g_autofree char *name = tb_escape_name(finding->path);
    g_autofree char *place =
        finding->line ? g_strdup_printf("%s:%u", name, finding->line) : g_steal_pointer(&name);
    return finding->commit ? g_strdup_printf("%s in commit %.12s", place, finding->commit)
                           : g_steal_pointer(&place);
}

char *tb_findings_count_text(const uint32_t counts[TB_SEVERITIES])
{
    GString *text = g_string_new(NULL);
    for (int severity = TB_SEVERITY_HIGH; severity >= TB_SEVERITY_LOW; severity--)
        if (counts[severity])
            g_string_append_printf(text, "%s%u %s", text->len ? ", " : "", counts[severity],
                                   severity_names[severity]);
    return g_string_free(text->len ? text : g_string_append(text, "none"), FALSE);
}
