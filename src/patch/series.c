/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commits of the box are hostile data with a friendly look. Their pack goes through git's own
 * checks (index-pack --strict) in the jail; after that they are objects among others, which mean
 * nothing until we name them. What is read of a commit is its tree, first parent, author and
 * message, by our own parser; what becomes of its tree are entries of an index of ours, each path
 * judged as those of the patch are. Every git that works on them has a short deadline: a few
 * kilobytes of trees can ask for hours.
 */
#include "patch/series.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "patch/base.h"
#include "patch/commit.h"
#include "patch/files.h"
#include "patch/path.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/hole.h"
#include "util/escape.h"

#define SECONDS       60 /* by default */
#define COMMIT_BYTES  ((size_t)64 << 10)
#define DIFF_BYTES    ((size_t)64 << 20)
#define SERIES_INDEX  "taskbox-series-index"
#define NOTES_SHOWN   20
#define ENCODING_SIZE 40

typedef struct {
    TbGit *git;
    const TbSeriesInput *input;
    GPtrArray *commits; /* char *: those that are new */
    GPtrArray *steps;   /* TbSeriesStep, the trees not yet made */
    GPtrArray *parents; /* char *: the first of each; NULL: none */
    GPtrArray *notes;
    char *index;
    unsigned seconds;
} Making;

static void making_clear(Making *making)
{
    if (making->index)
        (void)unlink(making->index);
    g_clear_pointer(&making->index, g_free);
    g_clear_pointer(&making->commits, g_ptr_array_unref);
    g_clear_pointer(&making->steps, g_ptr_array_unref);
    g_clear_pointer(&making->parents, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Making, making_clear)

/* What the project had before is nobody's work in the box: an old branch was checked out. */
static bool find_new(Making *making, GError **error)
{
    const GPtrArray *told = making->input->commits;
    g_autoptr(GString) ids = g_string_new(NULL);
    for (guint i = 0; i < told->len; i++)
        g_string_append_printf(ids, "%s\n", (char *)told->pdata[i]);
    g_autoptr(TbCommand) command = tb_git_command(making->git, "cat-file", NULL, NULL);
    tb_command_add(command, "--batch-check=%(objectname)", NULL);
    tb_command_set_stdin_bytes(command, ids->str, ids->len);
    tb_command_set_timeout(command, making->seconds);
    g_autoptr(GBytes) out = NULL;
    if (!tb_command_run(command, &out, error))
        return false;
    g_auto(GStrv) lines = g_strsplit(g_bytes_get_data(out, NULL), "\n", -1);
    if (g_strv_length(lines) < told->len)
        return tb_error_set(error, TB_ERROR_INTERNAL, "cannot read what git cat-file says");
    for (guint i = 0; i < told->len; i++)
        if (g_str_has_suffix(lines[i], " missing"))
            g_ptr_array_add(making->commits, told->pdata[i]);
    return true;
}

/* A pack that git refused leaves its bytes behind. */
static void drop_leftovers(TbGit *git)
{
    g_autofree char *path = g_build_filename(tb_git_path(git), "objects", "pack", NULL);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (g_str_has_prefix(entry->d_name, "tmp_"))
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
}

static bool take_pack(Making *making, GError **error)
{
    g_autoptr(TbCommand) command = tb_git_command(making->git, "index-pack", NULL, NULL);
    tb_command_add(command, "--stdin", "--threads=1", NULL);
    if (!tb_hole("pack-strict"))
        tb_command_add(command, "--strict", NULL);
    tb_command_add_format(command, "--max-input-size=%zu", TB_SERIES_PACK);
    tb_command_set_stdin_fd(command, making->input->pack_fd);
    tb_command_set_timeout(command, making->seconds);
    if (tb_command_run(command, NULL, error))
        return true;
    drop_leftovers(making->git);
    return false;
}

/* "NAME <ADDRESS> SECONDS ZONE" without anything that could end a line. */
static bool is_author(const char *line)
{
    const char *open = strchr(line, '<'), *close = strrchr(line, '>');
    for (const char *at = line; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            return false;
    if (!open || !close || close < open || close[1] != ' ' || strchr(open + 1, '<') ||
        (open > line && open[-1] != ' '))
        return false;
    const char *seconds = close + 2;
    size_t digits = strspn(seconds, "0123456789");
    const char *zone = seconds + digits;
    return digits > 0 && digits < 12 && zone[0] == ' ' && (zone[1] == '+' || zone[1] == '-') &&
           strspn(zone + 2, "0123456789") == 4 && zone[6] == '\0';
}

static bool is_encoding(const char *name)
{
    for (const char *at = name; *at; at++)
        if (!g_ascii_isalnum(*at) && !strchr("-_.:", *at))
            return false;
    return *name && strlen(name) < ENCODING_SIZE;
}

static void take_header(TbSeriesStep *step, char **parent, const char *line)
{
    if (g_str_has_prefix(line, "tree ") && !step->tree)
        step->tree = g_strdup(line + strlen("tree "));
    else if (g_str_has_prefix(line, "parent ") && !*parent)
        *parent = g_strdup(line + strlen("parent "));
    else if (g_str_has_prefix(line, "author ") && !step->author)
        step->author = g_strdup(line + strlen("author "));
    else if (g_str_has_prefix(line, "encoding ") && !step->encoding &&
             is_encoding(line + strlen("encoding ")))
        step->encoding = g_strdup(line + strlen("encoding "));
}

static bool parse_commit(Making *making, const char *id, const char *text, GError **error)
{
    TbSeriesStep *step = g_new0(TbSeriesStep, 1);
    char *parent = NULL;
    g_ptr_array_add(making->steps, step);
    step->commit = g_strdup(id);
    const char *end = strstr(text, "\n\n");
    g_autofree char *head = g_strndup(text, end ? (gsize)(end - text) : strlen(text));
    g_auto(GStrv) lines = g_strsplit(head, "\n", -1);
    for (char **line = lines; *line; line++)
        take_header(step, &parent, *line);
    g_ptr_array_add(making->parents, parent);
    if (parent &&
        (strlen(parent) != strlen(id) || strspn(parent, "0123456789abcdef") != strlen(id)))
        return tb_error_set(error, TB_ERROR_GUEST, "commit %s has no parent that makes sense", id);
    step->message = g_strdup(end ? end + 2 : "");
    return (step->author && is_author(step->author)) ||
           tb_error_set(error, TB_ERROR_GUEST, "commit %s has no author that makes sense", id);
}

static bool on_commit(size_t index, const uint8_t *data, uint64_t size, void *user_data,
                      GError **error)
{
    Making *making = user_data;
    const char *id = making->commits->pdata[index];
    if (!data)
        return tb_error_set(error, TB_ERROR_LIMIT, "the message of commit %s is larger than 64 KiB",
                            id);
    if (size == 0 || memchr(data, '\0', size))
        return tb_error_set(error, TB_ERROR_GUEST, "commit %s holds a NUL byte", id);
    g_autofree char *text = g_strndup((const char *)data, size);
    return parse_commit(making, id, text, error);
}

/* NULL: it may be in a step. */
static const char *reason_not_carried(const GPtrArray *masked, const TbPatchFile *file)
{
    const uint8_t *path = (const uint8_t *)file->path;
    size_t length = strlen(file->path);
    TbPathVerdict verdict = tb_path_check(path, length);
    if (verdict != TB_PATH_OK)
        return tb_path_reason(verdict);
    for (guint i = 0; masked && i < masked->len; i++) {
        const char *one[] = {masked->pdata[i], NULL};
        if (tb_patch_path_in(file->path, one))
            return "masked";
    }
    if (file->old_mode == TB_MODE_GITLINK || file->new_mode == TB_MODE_GITLINK)
        return "a submodule";
    if (file->new_mode == TB_MODE_SYMLINK && tb_path_has_gitmodules(path, length))
        return "'.gitmodules' as a symbolic link";
    return NULL;
}

static void note(Making *making, const char *commit, const char *path, const char *reason)
{
    if (making->notes->len >= NOTES_SHOWN)
        return;
    g_autofree char *name = tb_escape_name(path);
    g_ptr_array_add(making->notes,
                    g_strdup_printf("'%s' of commit %.12s: %s", name, commit, reason));
}

static GString *entries_of(Making *making, const TbSeriesStep *step, const GPtrArray *files)
{
    GString *out = g_string_new(NULL);
    g_autoptr(GString) added = g_string_new(NULL);
    g_autofree char *zeros = g_strnfill(tb_git_oid_length(making->git), '0');
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        const char *reason = reason_not_carried(making->input->masked, file);
        if (reason) {
            note(making, step->commit, file->path, reason);
            continue;
        }
        g_string_append_printf(out, "0 %s\t%s", zeros, file->path);
        g_string_append_c(out, '\0');
        if (!file->new_mode)
            continue;
        g_string_append_printf(added, "%o %s\t%s", file->new_mode, file->new_oid, file->path);
        g_string_append_c(added, '\0');
    }
    g_string_append_len(out, added->str, (gssize)added->len);
    return out;
}

static char *write_tree(Making *making, GError **error)
{
    g_autoptr(TbCommand) command = tb_git_command(making->git, "write-tree", NULL, making->index);
    tb_command_set_timeout(command, making->seconds);
    return tb_git_run_oid(making->git, command, error);
}

/* From the commit's own tree to ours. */
static bool make_tree(Making *making, TbSeriesStep *step, const char *parent, GError **error)
{
    g_autofree char *empty = parent ? NULL : tb_tree_empty(making->git, error);
    if (!parent && !empty)
        return false;
    g_autoptr(GPtrArray) files = tb_patch_raw_within(
        making->git, parent ? parent : empty, step->commit, DIFF_BYTES, making->seconds, error);
    if (!files)
        return false;
    g_autoptr(GString) entries = entries_of(making, step, files);
    g_autoptr(TbCommand) update = tb_git_command(making->git, "update-index", NULL, making->index);
    tb_command_add(update, "-z", "--index-info", NULL);
    tb_command_set_stdin_bytes(update, entries->str, entries->len);
    tb_command_set_timeout(update, making->seconds);
    if (!tb_command_run(update, NULL, error))
        return false;
    g_free(step->tree);
    step->tree = write_tree(making, error);
    return step->tree != NULL;
}

/* What is left to the result. */
static void add_rest(Making *making)
{
    const TbSeriesStep *last = making->steps->pdata[making->steps->len - 1];
    if (strcmp(last->tree, making->input->result_tree) == 0)
        return;
    TbSeriesStep *rest = g_new0(TbSeriesStep, 1);
    rest->tree = g_strdup(making->input->result_tree);
    rest->message = g_strdup("");
    g_ptr_array_add(making->steps, rest);
}

static bool make_steps(Making *making, GError **error)
{
    GPtrArray *commits = making->commits;
    if (!take_pack(making, error) ||
        !tb_git_read_objects(making->git, "commit", (const char *const *)commits->pdata,
                             commits->len, COMMIT_BYTES, on_commit, making, error) ||
        !tb_index_copy(making->input->base_index, making->index, error))
        return false;
    for (guint i = 0; i < commits->len; i++)
        if (!make_tree(making, making->steps->pdata[i], making->parents->pdata[i], error))
            return false;
    add_rest(making);
    return true;
}

GPtrArray *tb_series_make(TbGit *git, const TbSeriesInput *input, GPtrArray *notes, GError **error)
{
    g_auto(Making) making = {.git = git,
                             .input = input,
                             .notes = notes,
                             .seconds = input->seconds ? input->seconds : SECONDS};
    making.commits = g_ptr_array_new();
    making.steps = tb_series_new();
    making.parents = g_ptr_array_new_with_free_func(g_free);
    making.index = g_build_filename(tb_git_path(git), SERIES_INDEX, NULL);
    if (!find_new(&making, error) || (making.commits->len > 0 && !make_steps(&making, error)))
        return NULL;
    return g_steal_pointer(&making.steps);
}
