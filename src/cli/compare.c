/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox compare: tasks side by side, a column each; then every file that any of them touches. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/output.h"
#include "task/findings.h"
#include "task/finish.h"
#include "util/error.h"
#include "util/table.h"
#include "util/units.h"

typedef struct {
    GPtrArray *tasks;  /* TbTask */
    GPtrArray *files;  /* of each: array of TbPatchFile, NULL without a patch */
    GPtrArray *counts; /* of each: findings as text */
} Comparison;

static void files_free(void *files)
{
    if (files)
        g_ptr_array_unref(files);
}

static void comparison_clear(Comparison *comparison)
{
    g_clear_pointer(&comparison->tasks, g_ptr_array_unref);
    g_clear_pointer(&comparison->files, g_ptr_array_unref);
    g_clear_pointer(&comparison->counts, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Comparison, comparison_clear)

static bool add_task(Comparison *comparison, TbStore *store, const char *name, GError **error)
{
    TbTask *task = tb_task_open(store, name, error);
    if (!task)
        return false;
    g_ptr_array_add(comparison->tasks, task);
    if (!task->has_patch) {
        g_ptr_array_add(comparison->files, NULL);
        g_ptr_array_add(comparison->counts, g_strdup("-"));
        return true;
    }
    g_autoptr(TbFindings) findings = tb_task_findings(task, error);
    GPtrArray *files = findings ? tb_task_files(task, error) : NULL;
    if (!files)
        return false;
    g_ptr_array_add(comparison->files, files);
    g_ptr_array_add(comparison->counts, tb_findings_count_text(findings->counts));
    return true;
}

static char *outcome_of(const TbTask *task)
{
    if (task->error_code)
        return g_strdup_printf("failed: %s", task->error_code);
    if (!task->exited && !task->exit_code)
        return g_strdup(tb_task_state_name(task->state));
    return g_strdup_printf("exit %d%s%s", task->exit_code, task->cause ? ", " : "",
                           task->cause ? task->cause : "");
}

static char *lines_of(const TbTask *task)
{
    return task->has_patch ? g_strdup_printf("+%" G_GUINT64_FORMAT " -%" G_GUINT64_FORMAT,
                                             task->stat.added, task->stat.removed)
                           : g_strdup("-");
}

static char *files_of(const TbTask *task)
{
    return task->has_patch ? g_strdup_printf("%u", task->stat.files) : g_strdup("-");
}

static char *size_of(const TbTask *task)
{
    return task->has_patch ? tb_size_format(task->stat.bytes) : g_strdup("-");
}

static char *used_by(const TbTask *task)
{
    const TbUsage *usage = &task->usage;
    if (!usage->tokens_in && !usage->tokens_out)
        return g_strdup("-");
    return g_strdup_printf("%" G_GUINT64_FORMAT " + %" G_GUINT64_FORMAT " tokens", usage->tokens_in,
                           usage->tokens_out);
}

static char *state_of(const TbTask *task)
{
    return g_strdup(tb_task_state_name(task->state));
}

static char *agent_of(const TbTask *task)
{
    const char *command = task->command ? task->command[0] : NULL;
    return g_strdup(task->agent ? task->agent : command ? command : "-");
}

static char *time_of(const TbTask *task)
{
    for (guint i = 0; i < task->timings->len; i++) {
        const TbTiming *timing = task->timings->pdata[i];
        if (strcmp(timing->name, "command") == 0)
            return tb_duration_format((uint64_t)MAX(timing->ms, 0));
    }
    return g_strdup("-");
}

static char *verdict_of(const TbTask *task)
{
    const char *word = tb_trial_word(&task->trial);
    return g_strdup(word ? word : "-");
}

static const struct {
    const char *label;
    char *(*text)(const TbTask *task);
} rows[] = {
    {"outcome", outcome_of},  {"state", state_of},   {"files", files_of},
    {"lines", lines_of},      {"patch", size_of},    {"verify", verdict_of},
    {"command for", time_of}, {"made by", agent_of}, {"used", used_by},
};

static void add_row(TbTable *table, const char *label, const GPtrArray *cells)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    g_ptr_array_add(all, (char *)(uintptr_t)label);
    for (guint i = 0; i < cells->len; i++)
        g_ptr_array_add(all, cells->pdata[i]);
    tb_table_add_row(table, (const char *const *)all->pdata);
}

/* What nobody can say anything of takes no line. */
static bool says_nothing(const GPtrArray *cells)
{
    for (guint i = 0; i < cells->len; i++)
        if (strcmp(cells->pdata[i], "-") != 0)
            return false;
    return true;
}

static void add_facts(TbTable *table, const Comparison *comparison)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
        for (guint k = 0; k < comparison->tasks->len; k++)
            g_ptr_array_add(cells, rows[i].text(comparison->tasks->pdata[k]));
        if (!says_nothing(cells))
            add_row(table, rows[i].label, cells);
    }
    add_row(table, "findings", comparison->counts);
}

static const TbPatchFile *find_file(const GPtrArray *files, const char *path)
{
    for (guint i = 0; files && i < files->len; i++)
        if (strcmp(((TbPatchFile *)files->pdata[i])->path, path) == 0)
            return files->pdata[i];
    return NULL;
}

/* What a task does to a path, or which task before it makes the same of it. */
static char *change_of(const Comparison *comparison, guint task, const char *path)
{
    const TbPatchFile *file = find_file(comparison->files->pdata[task], path);
    if (!file)
        return g_strdup("");
    for (guint i = 0; i < task; i++) {
        const TbPatchFile *other = find_file(comparison->files->pdata[i], path);
        if (other && other->new_mode == file->new_mode &&
            strcmp(other->new_oid, file->new_oid) == 0)
            return g_strdup_printf("as %s", ((TbTask *)comparison->tasks->pdata[i])->id);
    }
    if (!file->new_mode)
        return g_strdup("deleted");
    if (file->added < 0)
        return g_strdup("binary");
    return g_strdup_printf("%s+%" G_GINT64_FORMAT " -%" G_GINT64_FORMAT,
                           file->old_mode ? "" : "new ", file->added, file->removed);
}

static int compare_paths(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_paths(TbTable *table, const Comparison *comparison)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) paths = g_ptr_array_new();
    for (guint i = 0; i < comparison->files->len; i++) {
        const GPtrArray *files = comparison->files->pdata[i];
        for (guint k = 0; files && k < files->len; k++) {
            char *path = ((TbPatchFile *)files->pdata[k])->path;
            if (g_hash_table_add(seen, path))
                g_ptr_array_add(paths, path);
        }
    }
    g_ptr_array_sort(paths, compare_paths);
    for (guint i = 0; i < paths->len; i++) {
        g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
        for (guint k = 0; k < comparison->tasks->len; k++)
            g_ptr_array_add(cells, change_of(comparison, k, paths->pdata[i]));
        add_row(table, paths->pdata[i], cells);
    }
}

static bool same_base(const Comparison *comparison)
{
    const TbTask *first = comparison->tasks->pdata[0];
    for (guint i = 1; i < comparison->tasks->len; i++) {
        const TbTask *task = comparison->tasks->pdata[i];
        if (g_strcmp0(task->base_tree, first->base_tree) != 0)
            return false;
    }
    return true;
}

/* A column for each task, behind one for the labels. */
static TbTable *table_for(const Comparison *comparison)
{
    const char *titles[TB_MOST_COMPARED + 2] = {""};
    for (guint i = 0; i < comparison->tasks->len; i++)
        titles[i + 1] = ((TbTask *)comparison->tasks->pdata[i])->id;
    return tb_table_new_strv(titles);
}

bool tb_cli_compare_tasks(TbStore *store, const char *const *names, GError **error)
{
    g_auto(Comparison)
        comparison = {.tasks = g_ptr_array_new_with_free_func((GDestroyNotify)tb_task_free),
                      .files = g_ptr_array_new_with_free_func(files_free),
                      .counts = g_ptr_array_new_with_free_func(g_free)};
    for (; *names; names++)
        if (!add_task(&comparison, store, *names, error))
            return false;
    g_autoptr(TbTable) table = table_for(&comparison);
    add_facts(table, &comparison);
    add_paths(table, &comparison);
    tb_table_print(table, stdout);
    fflush(stdout);
    return same_base(&comparison) || tb_print("\nthe tasks began from different trees\n", error);
}

bool tb_cli_compare(TbCli *cli, int *status, GError **error)
{
    const char *const *words = tb_arguments_words(cli->arguments);
    guint count = g_strv_length((char **)words);
    if (count < 2 || count > TB_MOST_COMPARED)
        return tb_error_set(error, TB_ERROR_USAGE, "compare needs two tasks or more (%d at most)",
                            TB_MOST_COMPARED);
    return tb_cli_compare_tasks(cli->store, words, error);
}
