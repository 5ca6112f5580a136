/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The diff of some files of a patch. Their names go to git as literal pathspecs, in rounds that fit
 * an argument vector. */
#include <string.h>

#include "patch/patch.h"
#include "util/error.h"

#define ROUND_BYTES 65536

static size_t length_without_slash(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    return length;
}

bool tb_patch_path_in(const char *path, const char *const *paths)
{
    if (!paths[0])
        return true;
    for (const char *const *at = paths; *at; at++) {
        const char *wanted = g_str_has_prefix(*at, "./") ? *at + 2 : *at;
        size_t length = length_without_slash(wanted);
        if (length == 0 || strcmp(*at, ".") == 0 ||
            (strncmp(path, wanted, length) == 0 && (path[length] == '\0' || path[length] == '/')))
            return true;
    }
    return false;
}

/* As many of `files` from *next as fit into one command. */
static bool diff_round(TbGit *git, const char *base_tree, const char *result_tree,
                       const GPtrArray *files, guint *next, TbOutputFn fn, void *user_data,
                       GError **error)
{
    g_autoptr(TbCommand) command = tb_git_command(git, "diff-tree", NULL, NULL);
    tb_command_add(command, "-r", "-p", "--binary", "--full-index", "--no-renames", "--no-ext-diff",
                   "--no-textconv", "--no-color", "--no-relative", "--no-indent-heuristic",
                   "--diff-algorithm=myers", "-U3", "--inter-hunk-context=0",
                   "--ignore-submodules=none", "--submodule=short", "-O/dev/null",
                   "--src-prefix=a/", "--dst-prefix=b/", base_tree, result_tree, "--", NULL);
    for (size_t bytes = 0; *next < files->len && bytes < ROUND_BYTES; (*next)++) {
        const TbPatchFile *file = files->pdata[*next];
        tb_command_add(command, file->path, NULL);
        bytes += strlen(file->path) + 1;
    }
    tb_command_set_stdout_fn(command, fn, user_data);
    tb_command_set_stdout_limit(command, SIZE_MAX);
    return tb_command_run(command, NULL, error);
}

bool tb_patch_diff(TbGit *git, const char *base_tree, const char *result_tree,
                   const GPtrArray *files, TbOutputFn fn, void *user_data, GError **error)
{
    for (guint next = 0; next < files->len;)
        if (!diff_round(git, base_tree, result_tree, files, &next, fn, user_data, error))
            return false;
    return true;
}
