/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The proof that a task's end gave, again and without the task: a private git directory that
 * borrows the project's objects, thrown away afterwards. The patch may come from anybody, and so
 * may the project.
 */
#include "task/verify.h"

#include <fcntl.h>
#include <string.h>

#include "project/project.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/git.h"

/* Is `oid` a tree that git can reach? */
static bool has_tree(TbGit *git, const char *oid, bool *there, GError **error)
{
    g_autoptr(TbCommand) command = tb_git_command(git, "cat-file", NULL, NULL);
    g_autoptr(GBytes) out = NULL;
    int status = 0;
    tb_command_add(command, "-t", oid, NULL);
    if (!tb_command_run_status(command, &out, &status, error))
        return false;
    *there = status == 0 && strcmp(g_bytes_get_data(out, NULL), "tree\n") == 0;
    return true;
}

/* The project's files as they are now, when they are the base. */
static bool rebuild(TbProject *project, TbGit *git, const char *base_tree, const char *index,
                    GError **error)
{
    g_autoptr(TbScan) scan = tb_scan_new(project, error);
    g_autoptr(GPtrArray) notes = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *tree =
        scan ? tb_project_base_tree(project, scan, git, index, notes, error) : NULL;
    if (!tree)
        return false;
    return strcmp(tree, base_tree) == 0 ||
           tb_error_set(error, TB_ERROR_NOT_FOUND,
                        "cannot verify the patch in '%s': its base tree %s is neither in the "
                        "repository nor what the files are now, %s (check out what the task "
                        "began with)",
                        tb_project_root(project), base_tree, tree);
}

static bool prove(TbProject *project, TbGit *git, const TbPatchInfo *info, int fd, bool *from_files,
                  GError **error)
{
    bool there = false;
    g_autofree char *index = g_build_filename(tb_git_path(git), "verify-index", NULL);
    if (!has_tree(git, info->base_tree, &there, error))
        return false;
    if (there ? !tb_git_read_tree(git, info->base_tree, index, error)
              : !rebuild(project, git, info->base_tree, index, error))
        return false;
    if (from_files)
        *from_files = !there;
    return tb_patch_prove(git, index, info, fd, error);
}

static bool verify_in(const char *scratch, TbProject *project, const TbPatchInfo *info, int fd,
                      bool *from_files, GError **error)
{
    bool sha256 = strlen(info->base_tree) == 64;
    if (tb_project_is_git(project) && tb_project_sha256(project) != sha256)
        return tb_error_set(error, TB_ERROR_NOT_FOUND,
                            "cannot verify the patch in '%s': its base tree %s is of another "
                            "object format than the repository (give its own with -C)",
                            tb_project_root(project), info->base_tree);
    g_auto(GStrv) alternates = tb_project_alternates(project, error);
    if (!alternates)
        return false;
    g_autofree char *path = g_build_filename(scratch, "git", NULL);
    g_autoptr(TbGit) git = tb_git_create(path, sha256, (const char *const *)alternates, error);
    return git && prove(project, git, info, fd, from_files, error);
}

TbPatchInfo *tb_verify_patch(int fd, const char *dir, bool *from_files, GError **error)
{
    g_autoptr(TbPatchInfo) info = tb_patch_info_read(fd, NULL, error);
    g_autoptr(TbProject) project = info ? tb_project_open(dir, error) : NULL;
    if (!project)
        return NULL;
    g_autoptr(GError) why = NULL;
    g_autofree char *scratch = g_dir_make_tmp("taskbox-verify-XXXXXX", &why);
    if (!scratch) {
        tb_error_set(error, TB_ERROR_IO, "cannot make a temporary directory: %s", why->message);
        return NULL;
    }
    bool done = verify_in(scratch, project, info, fd, from_files, error);
    if (!tb_remove_tree(AT_FDCWD, scratch, done ? error : NULL))
        done = false;
    return done ? g_steal_pointer(&info) : NULL;
}
