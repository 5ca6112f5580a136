/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rules of --exclude, --include and .taskboxignore. git's own matcher reads them, in a scratch
 * directory of ours with nothing but them in it. .taskboxignore is the project's and therefore
 * hostile: it decides for itself only, so a "!" in it takes back nothing but its own.
 *
 * What masks knows no case, what lets in does: in doubt a file stays out.
 */
#include "project/private.h"

#include <fcntl.h>
#include <string.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/git-ignore.h"

#define SCRATCH "taskbox-masks"

static bool add_pattern(GString *out, const char *pattern, const char *option, GError **error)
{
    const char *at = pattern;
    if (g_str_has_prefix(at, "./"))
        at++; /* "/" stands for the project's root */
    if (!*at || strcmp(at, "/") == 0 || strpbrk(at, "\r\n"))
        return tb_error_set(error, TB_ERROR_USAGE,
                            "%s: a pattern is one line of the form that .gitignore has", option);
    if (*at == '!')
        return tb_error_set(error, TB_ERROR_USAGE,
                            "%s: a pattern has no '!' before it (--exclude masks, --include lets "
                            "in)",
                            option);
    g_string_append_printf(out, "%s%s\n", *at == '#' ? "\\" : "", at);
    return true;
}

static bool add_patterns(GString **out, const char *const *patterns, const char *option,
                         GError **error)
{
    if (!patterns || !patterns[0])
        return true;
    *out = g_string_new(NULL);
    for (; *patterns; patterns++)
        if (!add_pattern(*out, *patterns, option, error))
            return false;
    return true;
}

bool tb_project_set_masking(TbProject *project, const TbMasking *masking, GError **error)
{
    project->history = masking->history;
    return add_patterns(&project->exclude, masking->exclude, "--exclude", error) &&
           add_patterns(&project->include, masking->include, "--include", error);
}

/* What is asked about, and what an answer does. */
typedef struct {
    TbScan *scan;
    GArray *indices;
    uint8_t bit; /* 0: lets in */
} Question;

static TbItem *asked(const Question *question, guint index)
{
    return tb_scan_item(question->scan, g_array_index(question->indices, guint, index));
}

static const char *path_of(guint index, bool *is_dir, void *user_data)
{
    const TbItem *item = asked(user_data, index);
    *is_dir = item->kind == TB_ENTRY_DIR;
    return item->path;
}

static void take_answer(guint index, bool ignored, void *user_data)
{
    const Question *question = user_data;
    TbItem *item = asked(question, index);
    item->known |= question->bit;
    if (ignored && question->bit)
        item->mask |= question->bit;
    else if (ignored)
        item->listed = NULL;
}

/* Not .git, and nothing below a directory that is known to be masked. */
static GArray *choose(TbScan *scan, uint8_t bit)
{
    GArray *indices = g_array_new(FALSE, FALSE, sizeof(guint));
    const char *inside = NULL;
    for (guint i = 1; i < scan->items->len; i++) {
        const TbItem *item = tb_scan_item(scan, i);
        if (tb_path_in_git(item->path) || (inside && tb_path_is_beneath(item->path, inside)))
            continue;
        inside = item->kind == TB_ENTRY_DIR && (item->mask & TB_MASK_RULES) ? item->path : NULL;
        if (bit ? !(item->known & bit) : item->listed != NULL)
            g_array_append_val(indices, i);
    }
    return indices;
}

static bool ask(TbScan *scan, TbGit *git, const char *text, uint8_t bit, GError **error)
{
    g_autoptr(GArray) indices = choose(scan, bit);
    if (indices->len == 0)
        return true;
    g_autofree char *scratch = g_build_filename(tb_git_path(git), SCRATCH, NULL);
    tb_autofd dir = tb_open_private_dir(scratch, error);
    if (dir < 0 || !tb_write_atomic(dir, ".gitignore", text, strlen(text), 0600, error))
        return false;
    Question question = {scan, indices, bit};
    TbIgnoreRules rules = {.scratch = scratch, .any_case = bit != 0};
    bool done = tb_git_ignored(git, &rules, indices->len, path_of, take_answer, &question, error);
    g_autoptr(GError) later = NULL;
    tb_remove_tree(AT_FDCWD, scratch, &later); /* else it goes with the git directory */
    return done;
}

bool tb_mask_ask(TbScan *scan, TbGit *git, GError **error)
{
    const TbProject *project = scan->project;
    return (!project->exclude || ask(scan, git, project->exclude->str, TB_MASK_EXCLUDE, error)) &&
           (!scan->ignore_file || ask(scan, git, scan->ignore_file, TB_MASK_FILE, error)) &&
           (!project->include || !scan->listed || ask(scan, git, project->include->str, 0, error));
}
