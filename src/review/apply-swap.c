/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files of a git directory, replaced under git's own locks ("NAME.lock"), so that git and taskbox
 * keep out of each other's way.
 *
 * All that a swap needs lies in a staging directory beside: the lock ("l"), the new file ("n"), the
 * old one ("o"). What is put somewhere else is a hard link of these, so whether a step was done,
 * and whether a lock is ours, can be read off the disk by inode, without notes made on the way.
 */
#include "review/apply-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"

#define FILE_LIMIT ((size_t)4 << 30)

/* One swap at work. */
typedef struct {
    const TbSwap *swap;
    unsigned number;
    int dir, staging, parent; /* -1 */
    const char *name;
    char *lock; /* NAME.lock */
} Work;

static void work_clear(Work *work)
{
    tb_clear_fd(&work->dir);
    tb_clear_fd(&work->staging);
    tb_clear_fd(&work->parent);
    g_clear_pointer(&work->lock, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Work, work_clear)

TbSwap *tb_swap_new(const char *dir, const char *path, GBytes *old, GBytes *fresh)
{
    TbSwap *swap = g_new0(TbSwap, 1);
    swap->dir = g_strdup(dir);
    swap->path = g_strdup(path);
    swap->old = old ? g_bytes_ref(old) : NULL;
    swap->fresh = fresh ? g_bytes_ref(fresh) : NULL;
    return swap;
}

void tb_swap_free(TbSwap *swap)
{
    if (!swap)
        return;
    g_free(swap->dir);
    g_free(swap->path);
    g_clear_pointer(&swap->old, g_bytes_unref);
    g_clear_pointer(&swap->fresh, g_bytes_unref);
    g_free(swap);
}

GPtrArray *tb_swaps_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)tb_swap_free);
}

static bool swap_failed(const TbSwap *swap, const char *what, GError **error)
{
    int err = errno;
    g_autofree char *full = g_build_filename(swap->dir, swap->path, NULL);
    g_autofree char *name = tb_escape_name(full);
    return tb_error_set_errno(error, err, "cannot %s '%s'", what, name);
}

/* New files and directories belong to whom the git directory does. */
static bool give(const Work *work, int dir, const char *name)
{
    struct stat st;
    return geteuid() != 0 || (fstat(work->dir, &st) == 0 &&
                              fchownat(dir, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) == 0);
}

/* A branch's name may have directories that are not there yet; git does not mind empty ones. */
static bool make_parents(const Work *work)
{
    const char *path = work->swap->path;
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        const char *name = NULL;
        g_autofree char *prefix = g_strndup(path, (gsize)(slash - path));
        tb_autofd parent = look_open_parent(work->dir, prefix, &name);
        if (parent < 0)
            return false;
        if (mkdirat(parent, name, 0777) == 0 ? !give(work, parent, name) : errno != EEXIST)
            return false;
    }
    return true;
}

/* With `make` what is missing of directories is made; else a git directory that is gone, one
 * without staging, or a place that cannot be reached (where nothing of ours is, then) leave the
 * descriptors at -1. */
static bool work_begin(Work *work, const Plan *plan, unsigned number, bool make, GError **error)
{
    const TbSwap *swap = plan->swaps->pdata[number];
    *work = (Work){.swap = swap, .number = number, .dir = -1, .staging = -1, .parent = -1};
    work->dir = open(swap->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (work->dir < 0)
        return (!make && errno == ENOENT) || swap_failed(swap, "reach", error);
    if (make &&
        (!make_parents(work) || (mkdirat(work->dir, plan->staging, 0700) != 0 && errno != EEXIST)))
        return swap_failed(swap, "write to the repository for", error);
    work->staging =
        openat(work->dir, plan->staging, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (work->staging < 0 && (make || errno != ENOENT))
        return swap_failed(swap, "write to the repository for", error);
    work->parent = look_open_parent(work->dir, swap->path, &work->name);
    if (work->parent < 0 && make)
        return swap_failed(swap, "reach", error);
    work->lock = g_strconcat(work->name, ".lock", NULL);
    return true;
}

static char *staged(const Work *work, char kind)
{
    return g_strdup_printf("%c%u", kind, work->number);
}

/* Are they one file? */
static bool is_link(int a_dir, const char *a, int b_dir, const char *b)
{
    struct stat one, two;
    return fstatat(a_dir, a, &one, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstatat(b_dir, b, &two, AT_SYMLINK_NOFOLLOW) == 0 && one.st_ino == two.st_ino &&
           one.st_dev == two.st_dev;
}

static bool stage_one(const Work *work, char kind, GBytes *bytes, GError **error)
{
    struct stat st;
    g_autofree char *name = staged(work, kind);
    bool there = fstatat(work->parent, work->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    tb_autofd fd =
        openat(work->staging, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0 || (there && S_ISREG(st.st_mode) && fchmod(fd, st.st_mode & 0777) != 0))
        return swap_failed(work->swap, "write the new", error);
    if (geteuid() == 0 && (fstat(work->dir, &st) != 0 || fchown(fd, st.st_uid, st.st_gid) != 0))
        return swap_failed(work->swap, "write the new", error);
    gsize size = 0;
    const void *data = bytes ? g_bytes_get_data(bytes, &size) : "";
    return tb_write_all(fd, data, size, work->swap->path, error) &&
           (fsync(fd) == 0 || swap_failed(work->swap, "store the new", error));
}

bool swaps_stage(const Plan *plan, GError **error)
{
    for (guint i = 0; i < plan->swaps->len; i++) {
        g_auto(Work) work = {.dir = -1, .staging = -1, .parent = -1};
        const TbSwap *swap = plan->swaps->pdata[i];
        if (!work_begin(&work, plan, i, true, error) || !stage_one(&work, 'l', NULL, error) ||
            (swap->old && !stage_one(&work, 'o', swap->old, error)) ||
            (swap->fresh && !stage_one(&work, 'n', swap->fresh, error)))
            return false;
    }
    return apply_fault_point(error);
}

static bool is_locked(const Work *work, GError **error)
{
    g_autofree char *full = g_build_filename(work->swap->dir, work->swap->path, NULL);
    g_autofree char *name = tb_escape_name(full);
    return tb_error_set(
        error, TB_ERROR_BUSY,
        "'%s.lock' is there: another git is at work, or one crashed (remove it when "
        "none is)",
        name);
}

static bool is_as_before(const Work *work, GError **error)
{
    const TbSwap *swap = work->swap;
    g_autoptr(GError) why = NULL;
    g_autoptr(GBytes) now = tb_read_file_at(work->parent, work->name, FILE_LIMIT, &why);
    if (!now && tb_error_code(why) != TB_ERROR_NOT_FOUND) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    if (now && swap->old ? g_bytes_equal(now, swap->old) : !now && !swap->old)
        return true;
    g_autofree char *full = g_build_filename(swap->dir, swap->path, NULL);
    g_autofree char *name = tb_escape_name(full);
    return tb_error_set(error, TB_ERROR_CONFLICT, "'%s' has changed meanwhile (try again)", name);
}

bool swaps_lock(const Plan *plan, GError **error)
{
    for (guint i = 0; i < plan->swaps->len; i++) {
        g_auto(Work) work = {.dir = -1, .staging = -1, .parent = -1};
        if (!work_begin(&work, plan, i, true, error))
            return false;
        g_autofree char *ours = staged(&work, 'l');
        if (linkat(work.staging, ours, work.parent, work.lock, 0) != 0)
            return errno == EEXIST ? is_locked(&work, error)
                                   : swap_failed(work.swap, "lock", error);
        if (!is_as_before(&work, error) || !apply_fault_point(error))
            return false;
    }
    return true;
}

/* Puts another link of a staged file at the swap's place; `spare` is a name for it on the way. */
static bool put(const Work *work, char kind, char spare)
{
    g_autofree char *from = staged(work, kind);
    g_autofree char *link = staged(work, spare);
    return (linkat(work->staging, from, work->staging, link, 0) == 0 || errno == EEXIST) &&
           renameat(work->staging, link, work->parent, work->name) == 0 &&
           syncfs(work->staging) == 0;
}

bool swaps_forward(const Plan *plan, GError **error)
{
    for (guint i = 0; i < plan->swaps->len; i++) {
        g_auto(Work) work = {.dir = -1, .staging = -1, .parent = -1};
        if (!work_begin(&work, plan, i, true, error))
            return false;
        if (work.swap->fresh ? !put(&work, 'n', 'm')
                             : unlinkat(work.parent, work.name, 0) != 0 && errno != ENOENT)
            return swap_failed(work.swap, "replace", error);
        if (!apply_fault_point(error))
            return false;
    }
    return true;
}

/* False: somebody has put something else there, lock or not; that stays. */
static bool work_back(const Work *work)
{
    g_autofree char *fresh = staged(work, 'n');
    struct stat st;
    bool there = fstatat(work->parent, work->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (work->swap->fresh) {
        if (!is_link(work->staging, fresh, work->parent, work->name))
            return true; /* not done, or undone already */
        return work->swap->old ? put(work, 'o', 'p') : unlinkat(work->parent, work->name, 0) == 0;
    }
    return there || !work->swap->old || put(work, 'o', 'p');
}

bool swaps_back(const Plan *plan, GError **error)
{
    for (guint i = plan->swaps->len; i-- > 0;) {
        g_auto(Work) work = {.dir = -1, .staging = -1, .parent = -1};
        if (!work_begin(&work, plan, i, false, error))
            return false;
        if (work.staging >= 0 && work.parent >= 0 && !work_back(&work))
            return swap_failed(work.swap, "put back", error);
    }
    return true;
}

bool swaps_end(const Plan *plan, GError **error)
{
    for (guint i = 0; i < plan->swaps->len; i++) {
        g_auto(Work) work = {.dir = -1, .staging = -1, .parent = -1};
        if (!work_begin(&work, plan, i, false, error))
            return false;
        g_autofree char *ours = work.staging >= 0 ? staged(&work, 'l') : NULL;
        if (ours && work.parent >= 0 && is_link(work.staging, ours, work.parent, work.lock) &&
            unlinkat(work.parent, work.lock, 0) != 0)
            return swap_failed(work.swap, "unlock", error);
    }
    for (guint i = 0; i < plan->swaps->len; i++) {
        const TbSwap *swap = plan->swaps->pdata[i];
        tb_autofd dir = open(swap->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (dir >= 0 && !tb_remove_tree(dir, plan->staging, error))
            return false;
    }
    return true;
}
