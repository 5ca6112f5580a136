/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A box's history when it is not to have all of it. git makes it in its jail, from objects only: a
 * directory with one pack that holds what is to be there and nothing else, so what is left out
 * cannot be found by its id either.
 *
 * With a depth it is what `git clone --depth` would give: the commits that are at most so many
 * steps from HEAD, the last ones without parents ("shallow"), and what the index has staged; HEAD
 * and the index are the project's own. Without history it is one commit of ours, of the base tree
 * as the box sees it: masked files empty, masked directories not there.
 */
#include "project/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"

#define MADE        "box-git"
#define SMALL_FILE  ((size_t)1 << 20)
#define DATE        "946684800 +0000" /* one and the same project gives one and the same commit */
#define MESSAGE     "The project as the task found it\n\nIts history stays outside of the box.\n"
#define MAX_COMMITS 1000000

typedef struct {
    TbScan *scan;
    TbGit *git;
    const char *base_index;
    char *dir;   /* the directory that is made */
    char *index; /* in it */
    char *commit;
    GString *revisions; /* for git pack-objects */
    GString *shallow;
} Making;

static void making_clear(Making *making)
{
    g_free(making->dir);
    g_free(making->index);
    g_free(making->commit);
    g_string_free(making->revisions, TRUE);
    g_string_free(making->shallow, TRUE);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Making, making_clear)

static bool write_text(const Making *making, const char *name, const char *text, GError **error)
{
    g_autofree char *path = g_build_filename(making->dir, name, NULL);
    g_autofree char *parent = g_path_get_dirname(path);
    g_autofree char *base = g_path_get_basename(path);
    if (!tb_make_dirs(parent, 0700, error))
        return false;
    tb_autofd dir = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return tb_error_set_errno(error, errno, "cannot open '%s'", parent);
    return tb_write_atomic(dir, base, text, strlen(text), 0600, error);
}

/* ---- one commit of what the box sees */

static bool run_index_info(Making *making, const GString *lines, GError **error)
{
    g_autoptr(TbCommand) command = tb_git_command(making->git, "update-index", NULL, making->index);
    tb_command_add(command, "-z", "--index-info", NULL);
    tb_command_set_stdin_bytes(command, lines->str, lines->len);
    return tb_command_run(command, NULL, error);
}

static char *empty_blob(Making *making, GError **error)
{
    g_autoptr(TbCommand) command = tb_git_command(making->git, "hash-object", NULL, NULL);
    tb_command_add(command, "-w", "--stdin", NULL);
    return tb_git_run_oid(making->git, command, error);
}

/* Masked files are empty, and what is below masked directories is not there. */
static bool empty_masked(Making *making, GError **error)
{
    const TbIndex *index = making->scan->index;
    g_autoptr(GString) lines = g_string_new(NULL);
    g_autofree char *empty = empty_blob(making, error);
    g_autofree char *zeros = g_strnfill(tb_git_oid_length(making->git), '0');
    if (!empty)
        return false;
    for (guint i = 0; i < index->entries->len; i++) {
        const TbIndexEntry *entry = &g_array_index(index->entries, TbIndexEntry, i);
        const TbItem *item = tb_scan_find(making->scan, entry->path);
        if (!tb_scan_is_masked(making->scan, entry->path))
            continue;
        bool file = item && item->kind == TB_ENTRY_FILE && entry->stage == 0;
        if (file)
            g_string_append_printf(lines, "100%o %s\t", item->mode & S_IXUSR ? 0755 : 0644, empty);
        else
            g_string_append_printf(lines, "0 %s\t", zeros);
        g_string_append_len(lines, entry->path, (gssize)strlen(entry->path) + 1);
    }
    return lines->len == 0 || run_index_info(making, lines, error);
}

static bool make_commit(Making *making, GError **error)
{
    static const char *const who[][2] = {
        {"GIT_AUTHOR_NAME", "taskbox"},    {"GIT_AUTHOR_EMAIL", "taskbox@internal.sandbox"},
        {"GIT_COMMITTER_NAME", "taskbox"}, {"GIT_COMMITTER_EMAIL", "taskbox@internal.sandbox"},
        {"GIT_AUTHOR_DATE", DATE},         {"GIT_COMMITTER_DATE", DATE},
    };
    if (!tb_copy_new(AT_FDCWD, making->base_index, AT_FDCWD, making->index, error) ||
        !empty_masked(making, error))
        return false;
    g_autoptr(TbCommand) write = tb_git_command(making->git, "write-tree", NULL, making->index);
    tb_command_add(write, "--missing-ok", NULL);
    g_autofree char *tree = tb_git_run_oid(making->git, write, error);
    if (!tree)
        return false;
    g_autoptr(TbCommand) command = tb_git_command(making->git, "commit-tree", NULL, NULL);
    tb_command_add(command, tree, NULL);
    tb_command_set_stdin_bytes(command, MESSAGE, strlen(MESSAGE));
    for (size_t i = 0; i < G_N_ELEMENTS(who); i++)
        tb_command_setenv(command, who[i][0], who[i][1]);
    making->commit = tb_git_run_oid(making->git, command, error);
    if (making->commit)
        g_string_append_printf(making->revisions, "%s\n", making->commit);
    return making->commit != NULL;
}

/* ---- the last commits */

/* "COMMIT PARENT..." a line for each of `commits` (newline-separated). */
static GBytes *ask_parents(Making *making, const GString *commits, GError **error)
{
    g_autoptr(TbCommand) command = tb_git_command(making->git, "rev-list", NULL, NULL);
    tb_command_add(command, "--no-walk=unsorted", "--parents", "--stdin", NULL);
    tb_command_set_stdin_bytes(command, commits->str, commits->len);
    GBytes *out = NULL;
    return tb_command_run(command, &out, error) ? out : NULL;
}

/* The project's own list of commits without parents; a set of ids. */
static GHashTable *known_shallow(const TbProject *project)
{
    GHashTable *known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    tb_autofd dir = open(project->common_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    g_autoptr(GBytes) text = dir >= 0 ? tb_read_file_at(dir, "shallow", SMALL_FILE, NULL) : NULL;
    g_auto(GStrv) lines = g_strsplit(text ? g_bytes_get_data(text, NULL) : "", "\n", -1);
    for (char **line = lines; *line; line++)
        g_hash_table_add(known, g_strdup(*line));
    return known;
}

static void cut(Making *making, const char *commit)
{
    g_string_append_printf(making->shallow, "%s\n", commit);
    g_string_append_printf(making->revisions, "--shallow %s\n", commit);
}

/* Takes one step: `level` becomes the parents that are new; where there may be no more, they are
 * cut. */
static bool step(Making *making, GString *level, GHashTable *seen, GHashTable *known, bool last,
                 GError **error)
{
    g_autoptr(GBytes) answer = ask_parents(making, level, error);
    if (!answer)
        return false;
    g_auto(GStrv) lines = g_strsplit(g_bytes_get_data(answer, NULL), "\n", -1);
    g_string_truncate(level, 0);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) ids = g_strsplit(*line, " ", -1);
        if (!ids[0] || !ids[0][0])
            continue;
        bool has_parents = ids[1] != NULL;
        if (has_parents && (last || g_hash_table_contains(known, ids[0]))) {
            cut(making, ids[0]);
            continue;
        }
        for (char **parent = ids + 1; *parent; parent++)
            if (g_hash_table_add(seen, g_strdup(*parent)))
                g_string_append_printf(level, "%s\n", *parent);
    }
    return g_hash_table_size(seen) < MAX_COMMITS ||
           tb_error_set(error, TB_ERROR_LIMIT, "the history has more than %d commits", MAX_COMMITS);
}

static void add_staged(Making *making)
{
    const TbIndex *index = making->scan->index;
    for (guint i = 0; i < index->entries->len; i++) {
        const TbIndexEntry *entry = &g_array_index(index->entries, TbIndexEntry, i);
        if (entry->mode != TB_MODE_GITLINK && !(entry->flags & TB_INDEX_INTENT_TO_ADD))
            g_string_append_printf(making->revisions, "%s\n", entry->oid);
    }
}

static bool find_commits(Making *making, unsigned depth, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) known = known_shallow(making->scan->project);
    g_autoptr(GString) level = g_string_new(making->commit);
    g_string_append_c(level, '\n');
    g_hash_table_add(seen, g_strdup(making->commit));
    for (unsigned i = 1; i <= depth && level->len > 0; i++)
        if (!step(making, level, seen, known, i == depth, error))
            return false;
    g_string_append_printf(making->revisions, "%s\n", making->commit);
    add_staged(making);
    return making->shallow->len == 0 || write_text(making, "shallow", making->shallow->str, error);
}

/* ---- the directory */

static bool make_pack(Making *making, GError **error)
{
    g_autofree char *path = g_build_filename(making->dir, "objects", "pack", "pack", NULL);
    g_autofree char *parent = g_path_get_dirname(path);
    if (!tb_make_dirs(parent, 0700, error))
        return false;
    g_autoptr(TbCommand) command = tb_git_command(making->git, "pack-objects", NULL, NULL);
    tb_command_add(command, "-q", "--revs", "--threads=1", NULL);
    if (making->shallow->len > 0)
        tb_command_add(command, "--shallow", NULL);
    tb_command_add(command, path, NULL);
    tb_command_set_stdin_bytes(command, making->revisions->str, making->revisions->len);
    if (tb_command_run(command, NULL, error))
        return true;
    g_prefix_error(error, "cannot make the history for the box: ");
    return false;
}

/* The branch that HEAD is on, as "refs/heads/NAME"; NULL: none. g_free. */
static char *branch(const TbProject *project)
{
    tb_autofd dir = project->git_dir
                        ? open(project->git_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
                        : -1;
    g_autoptr(GBytes) text = dir >= 0 ? tb_read_file_at(dir, "HEAD", SMALL_FILE, NULL) : NULL;
    g_autofree char *line = text ? g_strdup(g_bytes_get_data(text, NULL)) : NULL;
    if (!line || !g_str_has_prefix(line, "ref: "))
        return NULL;
    const char *name = g_strstrip(line + strlen("ref: "));
    if (!g_str_has_prefix(name, "refs/heads/") || strstr(name, "..") || strstr(name, "//") ||
        g_str_has_suffix(name, "/") || g_str_has_suffix(name, ".lock"))
        return NULL;
    return g_strdup(name);
}

static bool write_head(const Making *making, GError **error)
{
    g_autofree char *name = branch(making->scan->project);
    g_autofree char *id = g_strconcat(making->commit, "\n", NULL);
    g_autofree char *reference = g_strdup_printf("ref: %s\n", name ? name : "");
    return write_text(making, "HEAD", name ? reference : id, error) &&
           (!name || write_text(making, name, id, error));
}

static bool write_rest(const Making *making, GError **error)
{
    const TbProject *project = making->scan->project;
    if (project->sha256 &&
        !write_text(making, "config", "[extensions]\n\tobjectFormat = sha256\n", error))
        return false;
    tb_autofd dir = open(project->common_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    g_autoptr(GBytes) text =
        dir >= 0 ? tb_read_file_at(dir, "info/exclude", SMALL_FILE, NULL) : NULL;
    return write_text(making, "info/exclude", text ? g_bytes_get_data(text, NULL) : "", error);
}

static bool make(Making *making, unsigned depth, GError **error)
{
    static const char *const own[] = {"index", "sharedindex.*", NULL};
    TbProject *project = making->scan->project;
    making->dir = g_build_filename(tb_git_path(making->git), MADE, NULL);
    making->index = g_build_filename(making->dir, "index", NULL);
    g_autofree char *refs = g_build_filename(making->dir, "refs", "heads", NULL);
    if (!tb_remove_tree(AT_FDCWD, making->dir, error) || !tb_make_dirs(refs, 0700, error))
        return false;
    if (!(depth ? find_commits(making, depth, error) : make_commit(making, error)) ||
        !make_pack(making, error) || !write_head(making, error) || !write_rest(making, error))
        return false;
    tb_clear_fd(&project->fds[TB_SOURCE_MADE]);
    project->fds[TB_SOURCE_MADE] =
        open(making->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (project->fds[TB_SOURCE_MADE] < 0)
        return tb_error_set_errno(error, errno, "cannot open '%s'", making->dir);
    return tb_scan_replace_git(making->scan, depth ? own : NULL, error);
}

static bool refuse(const TbScan *scan, GError **error)
{
    return tb_error_set(
        error, TB_ERROR_DENIED,
        "cannot give the box the project's history: %u masked %s tracked, and git's "
        "objects hold %s (say --history none; see docs/masks.md)",
        scan->masked_tracked, scan->masked_tracked == 1 ? "file is" : "files are",
        scan->masked_tracked == 1 ? "it" : "them");
}

bool tb_scan_make_history(TbScan *scan, TbGit *git, const char *base_index, const char *head,
                          char **commit, char **words, GError **error)
{
    const TbHistory *history = &scan->project->history;
    bool none = tb_scan_without_history(scan);
    *commit = g_strdup(head);
    *words = NULL;
    if (!scan->project->git_dir)
        return true;
    if (!none && scan->masked_tracked > 0)
        return refuse(scan, error);
    if (!none && (history->depth == 0 || !head)) {
        *words = g_strdup("full");
        return true;
    }
    g_auto(Making) making = {.scan = scan,
                             .git = git,
                             .base_index = base_index,
                             .commit = none ? NULL : g_strdup(head),
                             .revisions = g_string_new(NULL),
                             .shallow = g_string_new(NULL)};
    if (!tb_scan_index(scan, git, error) || !make(&making, none ? 0 : history->depth, error))
        return false;
    g_free(*commit);
    *commit = g_steal_pointer(&making.commit);
    *words = !none ? g_strdup_printf("%u commits deep", history->depth)
             : history->kind == TB_HISTORY_NONE
                 ? g_strdup("none")
                 : g_strdup_printf("none: %u masked and tracked", scan->masked_tracked);
    return true;
}
