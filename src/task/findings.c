/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "task/findings.h"

#include <string.h>

#include "review/rules.h"
#include "task/commits.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"
#include "util/units.h"

#define FILE_NAME  "findings.json"
#define FILE_LIMIT ((size_t)64 << 20)

static bool keep(TbTask *task, const TbFindings *findings, GError **error)
{
    g_autofree char *text = tb_findings_format(findings);
    if (!tb_write_atomic(task->dirfd, FILE_NAME, text, strlen(text), 0600, error))
        return false;
    task->has_findings = true;
    memcpy(task->findings, findings->counts, sizeof task->findings);
    return true;
}

/* What was refused of the network, a finding a host. */
static void add_refusals(const TbTask *task, TbFindings *findings)
{
    static const char *const rules[] = {[TB_REFUSED_PLACEHOLDER] = "placeholder",
                                        [TB_REFUSED_FOREIGN] = "foreign-key",
                                        [TB_REFUSED_OTHER] = "refused"};
    for (guint i = 0; task->refusals && i < task->refusals->len; i++) {
        const TbRefusal *refusal = task->refusals->pdata[i];
        g_autofree char *port = g_strdup_printf(":%u", refusal->port);
        g_autofree char *host = g_strconcat(refusal->host ? refusal->host : "other hosts",
                                            refusal->host ? port : "", NULL);
        tb_findings_add(findings, rules[refusal->kind],
                        g_strdup_printf("%s, %" G_GUINT64_FORMAT " times%s%s", host, refusal->count,
                                        *refusal->reason ? ": " : "", refusal->reason));
    }
}

void tb_task_findings_make(TbTask *task, TbGit *git)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(TbFindings) findings =
        tb_findings_find(git, task->base_tree, task->result_tree, task->prompt, &why);
    if (findings)
        add_refusals(task, findings);
    if (findings && keep(task, findings, &why))
        return;
    g_autofree char *reason = tb_escape_name(why->message);
    g_autofree char *note = g_strdup_printf("no findings could be made: %s", reason);
    tb_task_note(task, note);
}

bool tb_task_findings_add_commits(TbTask *task, TbGit *git, const GPtrArray *series, GError **error)
{
    if (!task->has_findings || tb_series_count(series) == 0)
        return true;
    g_autoptr(TbFindings) findings = tb_task_findings(task, error);
    return findings &&
           tb_findings_add_commits(findings, git, task->base_tree, task->result_tree, series,
                                   error) &&
           keep(task, findings, error);
}

/* Of a task for which none are kept. */
static TbFindings *find_now(const TbTask *task, GError **error)
{
    g_autofree char *path = tb_task_path(task, "git");
    g_autoptr(TbGit) git = tb_git_open(path, error);
    g_autoptr(TbFindings) findings =
        git ? tb_findings_find(git, task->base_tree, task->result_tree, task->prompt, error) : NULL;
    g_autoptr(GPtrArray) series = findings ? tb_task_series(task, error) : NULL;
    if (!series ||
        !tb_findings_add_commits(findings, git, task->base_tree, task->result_tree, series, error))
        return NULL;
    return g_steal_pointer(&findings);
}

TbFindings *tb_task_findings(const TbTask *task, GError **error)
{
    if (!task->has_patch || !task->base_tree || !task->result_tree) {
        tb_error_set(error, TB_ERROR_NOT_FOUND,
                     "task '%s' has no patch: it is %s (see 'taskbox show %s')", task->id,
                     tb_task_state_name(task->state), task->id);
        return NULL;
    }
    g_autoptr(GError) why = NULL;
    g_autoptr(GBytes) text = tb_read_file_at(task->dirfd, FILE_NAME, FILE_LIMIT, &why);
    if (text)
        return tb_findings_parse(g_bytes_get_data(text, NULL), g_bytes_get_size(text), error);
    if (tb_error_code(why) == TB_ERROR_NOT_FOUND)
        return find_now(task, error);
    g_propagate_error(error, g_steal_pointer(&why));
    return NULL;
}

static bool check_word(const char *word, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_ptr_array_add(names, (char *)"all");
    for (size_t i = 0; i < tb_rule_count; i++)
        g_ptr_array_add(names, (char *)tb_rules[i].name);
    g_ptr_array_add(names, NULL);
    const char *const *list = (const char *const *)names->pdata;
    if (g_strv_contains(list, word))
        return true;
    const char *nearest = tb_nearest_word(word, list);
    return tb_error_set(error, TB_ERROR_USAGE, "there is no rule '%s' to acknowledge%s%s%s", word,
                        nearest ? " (did you mean '" : "", nearest ? nearest : "",
                        nearest ? "'?)" : "");
}

bool tb_task_acknowledged(const TbTask *task, const char *const *rules, bool commits,
                          GError **error)
{
    for (const char *const *word = rules; *word; word++)
        if (!check_word(*word, error))
            return false;
    if (!task->has_patch || task->state == TB_TASK_APPLIED || task->state == TB_TASK_DISCARDED ||
        g_strv_contains(rules, "all"))
        return true;
    g_autoptr(TbFindings) findings = tb_task_findings(task, error);
    if (!findings)
        return false;
    g_autofree const char **high = tb_findings_high_rules(findings, commits);
    g_autoptr(GString) open = g_string_new(NULL);
    for (const char **rule = high; *rule; rule++)
        if (!g_strv_contains(rules, *rule))
            g_string_append_printf(open, "%s%s", open->len ? ", " : "", *rule);
    return open->len == 0 ||
           tb_error_set(error, TB_ERROR_DENIED,
                        "task '%s' has findings of severity high: %s (look at 'taskbox inspect "
                        "%s'; then --acknowledge RULE for each, or --acknowledge all)",
                        task->id, open->str, task->id);
}
