/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A task that begins with what another one has left. The project is read as it is now, as ever;
 * what differs between it and the wanted tree goes into the box on top of the delta.
 */
#include "patch/files.h"
#include "run/run-private.h"
#include "util/error.h"

/* The project's, and the other task's. */
static char **more_alternates(const Run *run, char **own)
{
    g_autofree char *theirs = g_build_filename(run->from->dir, "git", "objects", NULL);
    g_autoptr(GStrvBuilder) more = g_strv_builder_new();
    g_strv_builder_addv(more, (const char **)own);
    g_strv_builder_add(more, theirs);
    return g_strv_builder_end(more);
}

char **run_alternates(const Run *run, GError **error)
{
    g_auto(GStrv) own = tb_project_alternates(run->project, error);
    return own && run->trial ? more_alternates(run, own) : g_steal_pointer(&own);
}

/* The objects become the task's own, and the index what the box begins with. Borrowed from only
 * meanwhile: the other task may go, and what it has alone was not to be left out of this one's. */
static bool adopt(Run *run, GError **error)
{
    g_auto(GStrv) own = tb_project_alternates(run->project, error);
    g_auto(GStrv) more = own ? more_alternates(run, own) : NULL;
    return more && tb_git_set_alternates(run->git, (const char *const *)more, error) &&
           tb_patch_keep(run->git, run->task->base_tree, run->now_tree, error) &&
           tb_patch_keep(run->git, run->begin_tree, run->now_tree, error) &&
           tb_git_set_alternates(run->git, (const char *const *)own, error) &&
           tb_git_read_tree(run->git, run->begin_tree, run->base_index, error);
}

bool run_begin(Run *run, GError **error)
{
    bool result = run->trial || run->options->on_top;
    const TbTask *from = run->from;
    run->begin_tree = g_strdup(!from    ? run->now_tree
                               : result ? from->result_tree
                                        : from->base_tree);
    run->task->base_tree = g_strdup(from ? from->base_tree : run->now_tree);
    return !from || run->trial || adopt(run, error);
}

bool run_begin_delta(Run *run, GError **error)
{
    if (g_str_equal(run->now_tree, run->begin_tree))
        return true;
    g_autoptr(GPtrArray) files = tb_patch_raw(run->git, run->now_tree, run->begin_tree, error);
    if (!files)
        return false;
    g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(TbTreeEntry));
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        TbTreeEntry entry = {file->path, file->new_oid, file->new_mode};
        g_array_append_val(entries, entry);
    }
    return tb_delta_put_tree(run->delta, run->git, (const TbTreeEntry *)(void *)entries->data,
                             entries->len, error);
}
