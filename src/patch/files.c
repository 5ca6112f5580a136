/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What differs between two trees, path by path, from diff-tree's machine output. */
#include "patch/files.h"

#include <stdio.h>
#include <string.h>

#include "util/error.h"

#define RAW_LIMIT   ((size_t)1 << 30)
#define RAW_SECONDS 300

static void file_free(gpointer data)
{
    TbPatchFile *file = data;
    g_free(file->path);
    g_free(file->old_oid);
    g_free(file->new_oid);
    g_free(file);
}

GPtrArray *tb_patch_list_new(void)
{
    return g_ptr_array_new_with_free_func(file_free);
}

/* `more` is another format; NULL: none. */
static TbCommand *diff_tree(TbGit *git, const char *format, const char *base_tree,
                            const char *result_tree, const char *more)
{
    TbCommand *command = tb_git_command(git, "diff-tree", NULL, NULL);
    if (more)
        tb_command_add(command, more, NULL);
    tb_command_add(command, "-r", "-z", format, "--no-renames", "--no-ext-diff", "--no-textconv",
                   "--no-color", "--no-abbrev", "-O/dev/null", base_tree, result_tree, "--", NULL);
    tb_command_set_stdout_limit(command, RAW_LIMIT);
    return command;
}

/* The next NUL-terminated field; *at moves behind it. */
static const char *next_field(const char **at, const char *end)
{
    const char *field = *at;
    const char *nul = field < end ? memchr(field, '\0', (size_t)(end - field)) : NULL;
    if (!nul)
        return NULL;
    *at = nul + 1;
    return field;
}

/* ":OLDMODE NEWMODE OLDOID NEWOID STATUS". */
static TbPatchFile *raw_parse(const char *meta, const char *path, unsigned oid_length)
{
    char old_oid[65], new_oid[65];
    unsigned old_mode = 0, new_mode = 0;
    if (sscanf(meta, ":%o %o %64[0-9a-f] %64[0-9a-f] ", &old_mode, &new_mode, old_oid, new_oid) !=
            4 ||
        strlen(old_oid) != oid_length || strlen(new_oid) != oid_length || !*path)
        return NULL;
    TbPatchFile *file = g_new0(TbPatchFile, 1);
    file->path = g_strdup(path);
    file->old_mode = old_mode;
    file->new_mode = new_mode;
    file->old_oid = g_strdup(old_oid);
    file->new_oid = g_strdup(new_oid);
    return file;
}

/* All records that are raw ones; *at is behind them. */
static GPtrArray *raw_parse_all(const TbGit *git, const char **at, const char *end)
{
    g_autoptr(GPtrArray) files = tb_patch_list_new();
    while (*at < end && **at == ':') {
        const char *meta = next_field(at, end);
        const char *path = meta ? next_field(at, end) : NULL;
        TbPatchFile *file = path ? raw_parse(meta, path, tb_git_oid_length(git)) : NULL;
        if (!file)
            return NULL;
        g_ptr_array_add(files, file);
    }
    return g_steal_pointer(&files);
}

GPtrArray *tb_patch_raw(TbGit *git, const char *base_tree, const char *result_tree, GError **error)
{
    return tb_patch_raw_within(git, base_tree, result_tree, RAW_LIMIT, RAW_SECONDS, error);
}

GPtrArray *tb_patch_raw_within(TbGit *git, const char *base_tree, const char *result_tree,
                               size_t bytes, unsigned seconds, GError **error)
{
    if (strcmp(base_tree, result_tree) == 0)
        return tb_patch_list_new();
    g_autoptr(TbCommand) command = diff_tree(git, "--raw", base_tree, result_tree, NULL);
    tb_command_set_stdout_limit(command, bytes);
    tb_command_set_timeout(command, seconds);
    g_autoptr(GBytes) out = NULL;
    if (!tb_command_run(command, &out, error))
        return NULL;
    gsize size = 0;
    const char *at = g_bytes_get_data(out, &size), *end = at + size;
    g_autoptr(GPtrArray) files = raw_parse_all(git, &at, end);
    if (files && at == end)
        return g_steal_pointer(&files);
    tb_error_set(error, TB_ERROR_INTERNAL, "cannot read what git diff-tree says");
    return NULL;
}

/* "ADDED\tREMOVED\tPATH", or "-\t-\tPATH" for binary. */
static bool numbers_parse(const char *line, TbPatchFile *file)
{
    char *rest = NULL;
    if (g_str_has_prefix(line, "-\t-\t")) {
        file->added = file->removed = -1;
        return strcmp(line + 4, file->path) == 0;
    }
    file->added = g_ascii_strtoll(line, &rest, 10);
    if (*rest != '\t')
        return false;
    file->removed = g_ascii_strtoll(rest + 1, &rest, 10);
    return *rest == '\t' && strcmp(rest + 1, file->path) == 0;
}

static bool is_type_change(const TbPatchFile *file)
{
    return file->old_mode && file->new_mode &&
           (file->old_mode & 0170000) != (file->new_mode & 0170000);
}

/* A change of kind (file to link) is one raw record but may be counted as two changes. */
static bool numbers_add(const char **at, const char *end, TbPatchFile *file)
{
    const char *line = next_field(at, end);
    if (!line || !numbers_parse(line, file))
        return false;
    const char *again = *at;
    const char *second = is_type_change(file) ? next_field(&again, end) : NULL;
    TbPatchFile other = {.path = file->path};
    if (!second || !numbers_parse(second, &other))
        return true;
    *at = again;
    bool binary = file->added < 0 || other.added < 0;
    file->added = binary ? -1 : file->added + other.added;
    file->removed = binary ? -1 : file->removed + other.removed;
    return true;
}

/* One git for both: the raw records come first, then the numbers, in the same order. */
GPtrArray *tb_patch_files(TbGit *git, const char *base_tree, const char *result_tree,
                          GError **error)
{
    if (strcmp(base_tree, result_tree) == 0)
        return tb_patch_list_new();
    g_autoptr(TbCommand) command = diff_tree(git, "--raw", base_tree, result_tree, "--numstat");
    tb_command_set_timeout(command, RAW_SECONDS);
    g_autoptr(GBytes) out = NULL;
    if (!tb_command_run(command, &out, error))
        return NULL;
    gsize size = 0;
    const char *at = g_bytes_get_data(out, &size), *end = at + size;
    g_autoptr(GPtrArray) files = raw_parse_all(git, &at, end);
    bool fine = files != NULL;
    for (guint i = 0; fine && i < files->len; i++)
        fine = numbers_add(&at, end, files->pdata[i]);
    if (fine && at == end)
        return g_steal_pointer(&files);
    tb_error_set(error, TB_ERROR_INTERNAL, "cannot read what git diff-tree counts");
    return NULL;
}

/* Ids of the files and trees that one side has and the other has not, a line each. */
static bool list_side(TbGit *git, const char *from, const char *to, bool old_side, GString *oids,
                      GError **error)
{
    g_autoptr(TbCommand) command = diff_tree(git, "-t", from, to, NULL);
    g_autoptr(GBytes) out = NULL;
    if (!tb_command_run(command, &out, error))
        return false;
    gsize size = 0;
    const char *at = g_bytes_get_data(out, &size), *end = at + size;
    while (at < end) {
        const char *meta = next_field(&at, end);
        const char *path = meta ? next_field(&at, end) : NULL;
        TbPatchFile *file = path ? raw_parse(meta, path, tb_git_oid_length(git)) : NULL;
        if (!file)
            return tb_error_set(error, TB_ERROR_INTERNAL, "cannot read what git diff-tree says");
        uint32_t mode = old_side ? file->old_mode : file->new_mode;
        if (mode && mode != TB_MODE_GITLINK)
            g_string_append_printf(oids, "%s\n", old_side ? file->old_oid : file->new_oid);
        file_free(file);
    }
    return true;
}

bool tb_patch_list_objects(TbGit *git, const char *from, const char *to, GString *oids,
                           GError **error)
{
    return list_side(git, from, to, false, oids, error);
}

bool tb_patch_keep(TbGit *git, const char *from, const char *to, GError **error)
{
    g_autoptr(GString) oids = g_string_new(from);
    g_string_append_c(oids, '\n');
    if (!list_side(git, from, to, true, oids, error))
        return false;
    g_autoptr(TbCommand) pack = tb_git_command(git, "pack-objects", NULL, NULL);
    tb_command_add(pack, "-q", "--window=0", NULL);
    tb_command_add_format(pack, "%s/objects/pack/pack", tb_git_path(git));
    tb_command_set_stdin_bytes(pack, oids->str, oids->len);
    return tb_command_run(pack, NULL, error);
}
