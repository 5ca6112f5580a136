/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The proof: the patch's diff, applied by git in a private index without a work tree, gives the
 * result tree, and every path that differs may be one. What git gets are the bytes on the disk.
 * They may be hostile: git runs in its jail, with limits, and never has a work tree to write to.
 *
 * Where the result tree is there (an export) the index holds the base's entries of those paths only
 * that differ between the two trees, and must hold the result's of them afterwards: a patch that
 * touches anything else finds nothing to touch, or leaves something over. Else the index holds the
 * whole base, and the tree it makes must have the result's id.
 */
#include "patch/patch.h"

#include <string.h>
#include <unistd.h>

#include "patch/base.h"
#include "patch/files.h"
#include "patch/path.h"
#include "patch/sink.h"
#include "util/error.h"
#include "util/escape.h"

#define PROOF_INDEX "taskbox-proof-index"

typedef struct {
    int fd;
    uint64_t at, end;
} Part;

static bool part_read(uint8_t *buffer, size_t size, size_t *length, void *user_data, GError **error)
{
    Part *part = user_data;
    *length = (size_t)MIN(part->end - part->at, size);
    if (!patch_read_at(part->fd, buffer, *length, part->at, error))
        return false;
    part->at += *length;
    return true;
}

/* The diff part onto the private index; an empty one changes nothing. */
static bool apply_part(TbGit *git, const char *index, const TbPatchInfo *info, int fd,
                       GError **error)
{
    if (info->length == 0)
        return true;
    Part part = {.fd = fd, .at = info->offset, .end = info->offset + info->length};
    g_autoptr(TbCommand) apply = tb_git_command(git, "apply", NULL, index);
    tb_command_add(apply, "--cached", "--binary", "--whitespace=nowarn", "-", NULL);
    tb_command_set_stdin_fn(apply, part_read, &part);
    g_autoptr(GError) why = NULL;
    if (tb_command_run(apply, NULL, &why))
        return true;
    TbErrorCode code = tb_error_code(why);
    if (code == TB_ERROR_INTERRUPTED || code == TB_ERROR_VERIFY || code == TB_ERROR_DEPENDENCY) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    return tb_error_set(error, TB_ERROR_VERIFY, "the patch does not apply to its base: %s",
                        why->message);
}

static bool check_paths(const GPtrArray *files, GError **error)
{
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        TbPathVerdict verdict = tb_path_check((const uint8_t *)file->path, strlen(file->path));
        if (verdict == TB_PATH_OK)
            continue;
        g_autofree char *name = tb_escape_name(file->path);
        return tb_error_set(error, TB_ERROR_VERIFY, "the patch changes '%s': %s", name,
                            tb_path_reason(verdict));
    }
    return true;
}

/* Nothing changed, and nothing is said to have. */
static bool is_empty(const TbPatchInfo *info)
{
    return info->length == 0 && strcmp(info->base_tree, info->result_tree) == 0;
}

static char *proof_index(TbGit *git)
{
    char *index = g_build_filename(tb_git_path(git), PROOF_INDEX, NULL);
    unlink(index);
    return index;
}

static bool is_other(const TbPatchInfo *info, GError **error)
{
    return tb_error_set(error, TB_ERROR_VERIFY,
                        "the patch does not make the result tree %s of its base",
                        info->result_tree);
}

/* One side of all files, as git lists an index: "MODE OID 0\tPATH\0", in git's order. */
static GString *entries_of(const GPtrArray *files, bool result)
{
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        uint32_t mode = result ? file->new_mode : file->old_mode;
        if (!mode)
            continue;
        g_string_append_printf(out, "%06o %s 0\t%s", mode, result ? file->new_oid : file->old_oid,
                               file->path);
        g_string_append_c(out, '\0');
    }
    return out;
}

static gint compare_paths(gconstpointer a, gconstpointer b)
{
    const TbPatchFile *const *one = a, *const *other = b;
    return strcmp((*one)->path, (*other)->path);
}

/* By what differs: from the base's entries to the result's. */
static bool files_hold(TbGit *git, const char *index, const TbPatchInfo *info, int fd,
                       const GPtrArray *files, GError **error)
{
    g_autoptr(GPtrArray) sorted = g_ptr_array_new();
    for (guint i = 0; i < files->len; i++)
        g_ptr_array_add(sorted, files->pdata[i]);
    g_ptr_array_sort(sorted, compare_paths);
    g_autoptr(GString) before = entries_of(sorted, false), after = entries_of(sorted, true);
    g_autoptr(TbCommand) fill = tb_git_command(git, "update-index", NULL, index);
    tb_command_add(fill, "-z", "--index-info", NULL);
    tb_command_set_stdin_bytes(fill, before->str, before->len);
    if (!tb_command_run(fill, NULL, error) || !apply_part(git, index, info, fd, error))
        return false;
    g_autoptr(GBytes) made = tb_index_list(git, index, error);
    if (!made)
        return false;
    gsize size = 0;
    const char *text = g_bytes_get_data(made, &size);
    return (size == after->len && (size == 0 || memcmp(text, after->str, size) == 0)) ||
           is_other(info, error);
}

/* By the whole: the tree that the patch makes of the base. */
static bool tree_holds(TbGit *git, const char *index, const TbPatchInfo *info, int fd,
                       GError **error)
{
    if (!apply_part(git, index, info, fd, error))
        return false;
    g_autoptr(TbCommand) command = tb_git_command(git, "write-tree", NULL, index);
    g_autofree char *tree = tb_git_run_oid(git, command, error);
    return tree && (strcmp(tree, info->result_tree) == 0 || is_other(info, error));
}

bool tb_patch_prove_files(TbGit *git, const TbPatchInfo *info, int fd, const GPtrArray *files,
                          GError **error)
{
    if (is_empty(info))
        return true;
    g_autofree char *index = proof_index(git);
    bool proved = files_hold(git, index, info, fd, files, error);
    unlink(index);
    return proved && check_paths(files, error);
}

bool tb_patch_prove(TbGit *git, const char *base_index, const TbPatchInfo *info, int fd,
                    GError **error)
{
    if (is_empty(info))
        return true;
    g_autofree char *index = proof_index(git);
    bool proved =
        tb_index_copy(base_index, index, error) && tree_holds(git, index, info, fd, error);
    unlink(index);
    g_autoptr(GPtrArray) files =
        proved ? tb_patch_raw(git, info->base_tree, info->result_tree, error) : NULL;
    return files && check_paths(files, error);
}
