/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All in the private git directory, by index and trees. git's merge reads attributes there, where
 * there are none, so a merge driver or a filter that the project names has no part in it.
 */
#include "patch/overlay.h"

#include <string.h>
#include <unistd.h>

#include "patch/files.h"
#include "util/error.h"
#include "util/escape.h"

#define OVERLAY_INDEX "taskbox-overlay-index"
#define NAMES_LIMIT   ((size_t)1 << 30)

static void put_entry(GString *out, uint32_t mode, const char *oid, const char *path)
{
    g_string_append_printf(out, "%o %s\t%s", mode, oid, path);
    g_string_append_c(out, '\0');
}

static bool fill_index(TbGit *git, const char *index, const char *tree, const GPtrArray *files,
                       GError **error)
{
    if (!tb_git_read_tree(git, tree, index, error))
        return false;
    g_autoptr(GString) entries = g_string_new(NULL);
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        put_entry(entries, 0, file->old_oid, file->path);
    }
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        if (file->new_mode)
            put_entry(entries, file->new_mode, file->new_oid, file->path);
    }
    g_autoptr(TbCommand) update = tb_git_command(git, "update-index", NULL, index);
    tb_command_add(update, "-z", "--index-info", NULL);
    tb_command_set_stdin_bytes(update, entries->str, entries->len);
    return tb_command_run(update, NULL, error);
}

char *tb_tree_overlay(TbGit *git, const char *tree, const GPtrArray *files, GError **error)
{
    g_autofree char *index = g_build_filename(tb_git_path(git), OVERLAY_INDEX, NULL);
    char *made = NULL;
    if (fill_index(git, index, tree, files, error)) {
        g_autoptr(TbCommand) write = tb_git_command(git, "write-tree", NULL, index);
        made = tb_git_run_oid(git, write, error);
    }
    unlink(index);
    return made;
}

static bool is_below(const char *path, const char *dir)
{
    size_t length = strlen(dir);
    return strncmp(path, dir, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* As the patch names it: without "./" and a '/' at the end. g_free. */
static char *plain_path(const char *path)
{
    while (g_str_has_prefix(path, "./"))
        path += 2 + strspn(path + 2, "/");
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    return g_strndup(path, length);
}

/* Moves what `path` names from `all` to `chosen`; 0: nothing. */
static unsigned take_below(GPtrArray *all, const char *path, GPtrArray *chosen)
{
    g_autofree char *plain = plain_path(path);
    unsigned taken = 0;
    for (guint i = 0; i < all->len;) {
        TbPatchFile *file = all->pdata[i];
        if (!is_below(file->path, plain)) {
            i++;
            continue;
        }
        g_ptr_array_add(chosen, g_ptr_array_steal_index(all, i));
        taken++;
    }
    return taken;
}

static bool is_chosen(const GPtrArray *chosen, const char *path)
{
    for (guint i = 0; i < chosen->len; i++)
        if (strcmp(((TbPatchFile *)chosen->pdata[i])->path, path) == 0)
            return true;
    return false;
}

/* The tree differs from the base in what was chosen and in nothing else. */
static bool check_selection(TbGit *git, const char *base_tree, const char *tree,
                            const GPtrArray *chosen, GError **error)
{
    g_autoptr(GPtrArray) made = tb_patch_raw(git, base_tree, tree, error);
    for (guint i = 0; made && i < made->len; i++) {
        const TbPatchFile *file = made->pdata[i];
        if (is_chosen(chosen, file->path))
            continue;
        g_autofree char *name = tb_escape_name(file->path);
        return tb_error_set(error, TB_ERROR_CONFLICT,
                            "cannot apply these files without '%s', which is in their way", name);
    }
    return made && (made->len == chosen->len ||
                    tb_error_set(error, TB_ERROR_INTERNAL, "the selection made another tree"));
}

GPtrArray *tb_tree_select(TbGit *git, const char *base_tree, const char *result_tree,
                          const char *const *paths, char **tree, GError **error)
{
    g_autoptr(GPtrArray) all = tb_patch_raw(git, base_tree, result_tree, error);
    if (!all)
        return NULL;
    g_autoptr(GPtrArray) chosen = tb_patch_list_new();
    for (const char *const *path = paths; *path; path++) {
        g_autofree char *plain = plain_path(*path);
        if (take_below(all, *path, chosen) == 0 && !is_chosen(chosen, plain)) {
            g_autofree char *name = tb_escape_name(*path);
            tb_error_set(error, TB_ERROR_USAGE, "the patch changes no '%s'", name);
            return NULL;
        }
    }
    g_autofree char *made = tb_tree_overlay(git, base_tree, chosen, error);
    if (!made || !check_selection(git, base_tree, made, chosen, error))
        return NULL;
    *tree = g_steal_pointer(&made);
    return g_steal_pointer(&chosen);
}

static char *commit_of(TbGit *git, const char *tree, const char *parent, GError **error)
{
    static const char *const names[] = {"GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME",
                                        "GIT_COMMITTER_EMAIL"};
    g_autoptr(TbCommand) command = tb_git_command(git, "commit-tree", NULL, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        tb_command_setenv(command, names[i], "taskbox");
    tb_command_add(command, "-m", "x", NULL);
    if (parent)
        tb_command_add(command, "-p", parent, NULL);
    tb_command_add(command, tree, NULL);
    return tb_git_run_oid(git, command, error);
}

/* A side of the merge, under the name that its markers show. */
static bool set_side(TbGit *git, const char *label, const char *tree, const char *base,
                     GError **error)
{
    g_autofree char *commit = commit_of(git, tree, base, error);
    if (!commit)
        return false;
    g_autoptr(TbCommand) command = tb_git_command(git, "update-ref", NULL, NULL);
    tb_command_add_format(command, "refs/heads/%s", label);
    tb_command_add(command, commit, NULL);
    return tb_command_run(command, NULL, error);
}

static char *parse_merge(TbGit *git, GBytes *out, GPtrArray *conflicts, GError **error)
{
    gsize size = 0;
    const char *at = g_bytes_get_data(out, &size), *end = at + size;
    if (strlen(at) != tb_git_oid_length(git)) {
        tb_error_set(error, TB_ERROR_INTERNAL, "cannot read what git merge-tree says");
        return NULL;
    }
    char *tree = g_strdup(at);
    for (at += strlen(at) + 1; at < end; at += strlen(at) + 1)
        if (*at)
            g_ptr_array_add(conflicts, g_strdup(at));
    return tree;
}

char *tb_tree_merge(TbGit *git, const char *base, const char *ours, const char *theirs,
                    const char *ours_label, const char *theirs_label, GPtrArray **conflicts,
                    GError **error)
{
    g_autofree char *root = commit_of(git, base, NULL, error);
    if (!root || !set_side(git, ours_label, ours, root, error) ||
        !set_side(git, theirs_label, theirs, root, error))
        return NULL;
    g_autoptr(TbCommand) command = tb_git_command(git, "merge-tree", NULL, NULL);
    tb_command_add(command, "--write-tree", "-z", "--name-only", "--no-messages", ours_label,
                   theirs_label, NULL);
    tb_command_set_stdout_limit(command, NAMES_LIMIT);
    g_autoptr(GBytes) out = NULL;
    int status = 0;
    if (!tb_command_run_status(command, &out, &status, error))
        return NULL;
    if (status > 1) {
        tb_error_set(error, TB_ERROR_UNSUPPORTED,
                     "cannot merge: git merge-tree ended with %d (git 2.38 or newer is needed)",
                     status);
        return NULL;
    }
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    char *tree = parse_merge(git, out, found, error);
    if (tree)
        *conflicts = g_steal_pointer(&found);
    return tree;
}
