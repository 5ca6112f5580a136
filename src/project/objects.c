/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pack of ours becomes one of the project's. It is copied under a name that `git prune` takes for
 * a leftover, and gets its own last: the index of a pack, by which git finds it, comes after the
 * pack. What is in it was made or checked by git in our own directory.
 */
#include "project/repository.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "project/private.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"

static bool failed(const TbProject *project, GError **error)
{
    return tb_error_set_errno(error, errno, "cannot add objects to the repository of '%s'",
                              project->root);
}

static int open_packs(const TbProject *project)
{
    tb_autofd common = open(project->common_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    tb_autofd objects =
        common < 0 ? -1 : tb_open_beneath(common, "objects", O_PATH | O_DIRECTORY, 0);
    if (objects < 0 || (mkdirat(objects, "pack", 0777) != 0 && errno != EEXIST))
        return -1;
    return tb_open_beneath(objects, "pack", O_RDONLY | O_DIRECTORY, 0);
}

static bool copy(const TbProject *project, const char *from, int packs, const char *temporary,
                 GError **error)
{
    tb_autofd in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    tb_autofd out =
        openat(packs, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
    if (in < 0 || out < 0)
        return failed(project, error);
    if (geteuid() == 0 && fchown(out, project->owner, (gid_t)-1) != 0)
        return failed(project, error);
    return tb_copy_file(in, out, temporary, error) && (fsync(out) == 0 || failed(project, error));
}

static bool add(const TbProject *project, const char *base, const char *suffix, int packs,
                GError **error)
{
    struct stat st;
    g_autofree char *from = g_strconcat(base, suffix, NULL);
    g_autofree char *name = g_path_get_basename(from);
    if (fstatat(packs, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return true; /* a pack is named by what it holds */
    g_autofree char *temporary = g_strdup_printf("tmp_taskbox_%08x%s", g_random_int(), suffix);
    bool done = copy(project, from, packs, temporary, error) &&
                (renameat(packs, temporary, packs, name) == 0 || failed(project, error));
    if (!done)
        (void)unlinkat(packs, temporary, 0);
    return done;
}

bool tb_project_add_pack(const TbProject *project, const char *base, GError **error)
{
    tb_autofd packs = open_packs(project);
    if (packs < 0)
        return failed(project, error);
    return add(project, base, ".pack", packs, error) && add(project, base, ".idx", packs, error) &&
           (fsync(packs) == 0 || failed(project, error));
}
