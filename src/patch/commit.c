/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A commit object is a few lines of text, and git stores what it is given: so nobody's identity,
 * clock, encoding or signing key comes in but by our own hand.
 */
#include "patch/commit.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "patch/files.h"
#include "util/error.h"

#define PACK_DIR "taskbox-packs"

char *tb_commit_write(TbGit *git, const TbCommit *commit, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_string_append_printf(text, "tree %s\n", commit->tree);
    if (commit->parent)
        g_string_append_printf(text, "parent %s\n", commit->parent);
    g_string_append_printf(text, "author %s\ncommitter %s\n", commit->author, commit->committer);
    g_string_append_printf(text, "\n%s", commit->message);
    g_autoptr(TbCommand) command = tb_git_command(git, "hash-object", NULL, NULL);
    tb_command_add(command, "-t", "commit", "-w", "--stdin", NULL);
    tb_command_set_stdin_bytes(command, text->str, text->len);
    return tb_git_run_oid(git, command, error);
}

char *tb_commit_tree(TbGit *git, const char *commit, GError **error)
{
    g_autoptr(TbCommand) command = tb_git_command(git, "rev-parse", NULL, NULL);
    tb_command_add(command, "--verify", "--quiet", "--end-of-options", NULL);
    tb_command_add_format(command, "%s^{tree}", commit);
    g_autoptr(GError) why = NULL;
    char *tree = tb_git_run_oid(git, command, &why);
    if (!tree)
        tb_error_set(error, TB_ERROR_NOT_FOUND, "cannot find commit %s in the repository", commit);
    return tree;
}

char *tb_tree_empty(TbGit *git, GError **error)
{
    g_autoptr(TbCommand) command = tb_git_command(git, "mktree", NULL, NULL);
    return tb_git_run_oid(git, command, error);
}

/* Ids of what is new on the way from one commit to the next, a line each. */
static bool list_new(TbGit *git, const char *from, const char *commit, GString *oids,
                     GError **error)
{
    g_autofree char *to = tb_commit_tree(git, commit, error);
    if (!to)
        return false;
    g_string_append_printf(oids, "%s\n%s\n", commit, to);
    return tb_patch_list_objects(git, from, to, oids, error);
}

static char *pack(TbGit *git, const GString *oids, GError **error)
{
    g_autofree char *dir = g_build_filename(tb_git_path(git), PACK_DIR, NULL);
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        tb_error_set_errno(error, errno, "cannot create '%s'", dir);
        return NULL;
    }
    g_autoptr(TbCommand) command = tb_git_command(git, "pack-objects", NULL, NULL);
    tb_command_add(command, "-q", "--delta-base-offset", NULL);
    tb_command_add_format(command, "%s/pack", dir);
    tb_command_set_stdin_bytes(command, oids->str, oids->len);
    g_autofree char *id = tb_git_run_oid(git, command, error);
    return id ? g_strdup_printf("%s/pack-%s", dir, id) : NULL;
}

char *tb_commits_pack(TbGit *git, const char *base, const GPtrArray *commits, GError **error)
{
    g_autoptr(GString) oids = g_string_new(NULL);
    g_autofree char *from = g_strdup(base);
    for (guint i = 0; i < commits->len; i++) {
        if (!list_new(git, from, commits->pdata[i], oids, error))
            return NULL;
        g_free(from);
        from = tb_commit_tree(git, commits->pdata[i], error);
        if (!from)
            return NULL;
    }
    return pack(git, oids, error);
}

char *tb_files_pack(TbGit *git, const GPtrArray *files, GError **error)
{
    g_autoptr(GString) oids = g_string_new(NULL);
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        if (file->new_mode && file->new_mode != TB_MODE_GITLINK)
            g_string_append_printf(oids, "%s\n", file->new_oid);
    }
    return pack(git, oids, error);
}
