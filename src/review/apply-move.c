/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The steps, forward and back. Every step is one rename, mkdir or rmdir, and whether it was done
 * can be read off the disk: a backup lies in staging, a staged file no longer does. So the way back
 * needs no notes made on the way, and may itself be interrupted and taken again.
 *
 * Nothing is ever overwritten: renames refuse an existing target, and what a backup has caught is
 * compared with what was checked, so that an editor's save in between ends the apply instead of
 * being lost.
 */
#include "review/apply-private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "review/apply-testing.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/hole.h"

static struct {
    int at, passed;
    bool kill;
    void (*call)(void);
} fault = {.at = -1};

void tb_apply_testing_fault(int point, bool kill)
{
    fault.at = point;
    fault.passed = 0;
    fault.kill = kill;
    fault.call = NULL;
}

void tb_apply_testing_call(int point, void (*call)(void))
{
    tb_apply_testing_fault(point, false);
    fault.call = call;
}

int tb_apply_testing_passed(void)
{
    return fault.passed;
}

bool apply_fault_point(GError **error)
{
    if (fault.passed++ != fault.at)
        return true;
    if (fault.call) {
        fault.call();
        return true;
    }
    if (fault.kill)
        raise(SIGKILL);
    return tb_error_set(error, TB_ERROR_IO, "a test stopped the apply");
}

static bool step_failed(const Step *step, const char *what, GError **error)
{
    int err = errno;
    g_autofree char *name = tb_escape_name(step->path);
    if (err == EEXIST || err == ENOENT || err == ENOTDIR || err == ELOOP || err == ENOTEMPTY)
        return tb_error_set(error, TB_ERROR_CONFLICT,
                            "cannot %s '%s': the project has changed meanwhile", what, name);
    return tb_error_set_errno(error, err, "cannot %s '%s'", what, name);
}

/* rename that refuses to overwrite; file systems without that flag get the check first. */
static int rename_new(int from_dir, const char *from, int to_dir, const char *to)
{
    if (renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    struct stat st;
    if (fstatat(to_dir, to, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return -1;
    }
    return renameat(from_dir, from, to_dir, to);
}

static bool backup(const Step *step, int parent, const char *name, int staging, GError **error)
{
    g_autofree char *kept = g_strdup_printf("o%u", step->number);
    struct stat st;
    if (rename_new(parent, name, staging, kept) != 0)
        return step_failed(step, "move", error);
    if (fstatat(staging, kept, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return step_failed(step, "move", error);
    errno = EEXIST;
    return look_same(&st, &step->st) || step_failed(step, "replace", error);
}

static bool make_dir(const Step *step, int root, int parent, const char *name, GError **error)
{
    struct stat owner;
    if (tb_hole("apply-beneath"))
        return true;
    if (mkdirat(parent, name, 0777) != 0 ||
        (step->st.st_mode && fchmodat(parent, name, step->st.st_mode & 07777, 0) != 0))
        return step_failed(step, "make directory", error);
    if (geteuid() == 0 &&
        (fstat(root, &owner) != 0 ||
         fchownat(parent, name, owner.st_uid, owner.st_gid, AT_SYMLINK_NOFOLLOW) != 0))
        return step_failed(step, "make directory", error);
    return true;
}

static bool place(const Step *step, int parent, const char *name, int staging, GError **error)
{
    g_autofree char *staged = g_strdup_printf("n%u", step->number);
    return rename_new(staging, staged, parent, name) == 0 || step_failed(step, "place", error);
}

static bool step_forward(const Step *step, int root, int staging, GError **error)
{
    const char *name = NULL;
    tb_autofd parent = look_open_parent(root, step->path, &name);
    if (parent < 0)
        return step_failed(step, "reach", error);
    switch (step->kind) {
    case STEP_BACKUP:
        return backup(step, parent, name, staging, error);
    case STEP_RMDIR:
        return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOTEMPTY || errno == EEXIST ||
               errno == EBUSY || step_failed(step, "remove", error);
    case STEP_MKDIR:
        return make_dir(step, root, parent, name, error);
    case STEP_PLACE:
        return place(step, parent, name, staging, error);
    }
    return false;
}

bool move_forward(const Plan *plan, int root, int staging, GError **error)
{
    for (guint i = 0; i < plan->steps->len; i++)
        if (!step_forward(plan->steps->pdata[i], root, staging, error) || !apply_fault_point(error))
            return false;
    return true;
}

static bool is_there(int dir, const char *name, struct stat *st)
{
    return fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* False: somebody has changed what was placed; it stays. */
static bool unplace(const Step *step, int parent, const char *name, int staging)
{
    g_autofree char *staged = g_strdup_printf("n%u", step->number);
    struct stat st;
    if (is_there(staging, staged, &st) || !is_there(parent, name, &st))
        return true;
    return look_same(&st, &step->st) && rename_new(parent, name, staging, staged) == 0;
}

static bool restore(const Step *step, int parent, const char *name, int staging)
{
    g_autofree char *kept = g_strdup_printf("o%u", step->number);
    struct stat st;
    return !is_there(staging, kept, &st) || rename_new(staging, kept, parent, name) == 0;
}

static bool remake_dir(const Step *step, int root, int parent, const char *name)
{
    if (mkdirat(parent, name, 0700) != 0)
        return errno == EEXIST;
    struct stat owner;
    if (geteuid() == 0 && fstat(root, &owner) == 0 &&
        fchownat(parent, name, owner.st_uid, owner.st_gid, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    return fchmodat(parent, name, step->st.st_mode & 07777, 0) == 0;
}

/* Is anything of the step's still to be taken back, although its parent cannot be reached? */
static bool nothing_left(const Step *step, int staging)
{
    g_autofree char *kept = g_strdup_printf("o%u", step->number);
    struct stat st;
    return step->kind != STEP_BACKUP || !is_there(staging, kept, &st);
}

static bool step_back(const Step *step, int root, int staging)
{
    const char *name = NULL;
    tb_autofd parent = look_open_parent(root, step->path, &name);
    if (parent < 0)
        return nothing_left(step, staging);
    switch (step->kind) {
    case STEP_BACKUP:
        return restore(step, parent, name, staging);
    case STEP_RMDIR:
        return remake_dir(step, root, parent, name);
    case STEP_MKDIR:
        /* Not empty: somebody works there already. */
        unlinkat(parent, name, AT_REMOVEDIR);
        return true;
    case STEP_PLACE:
        return unplace(step, parent, name, staging);
    }
    return false;
}

bool move_back(const Plan *plan, int root, int staging, GError **error)
{
    g_autoptr(GString) names = g_string_new(NULL);
    for (guint i = plan->steps->len; i-- > 0;) {
        const Step *step = plan->steps->pdata[i];
        if (step_back(step, root, staging))
            continue;
        g_autofree char *name = tb_escape_name(step->path);
        g_string_append_printf(names, "%s'%s'", names->len ? ", " : "", name);
        if (step->kind == STEP_BACKUP)
            g_string_append_printf(names, " (kept as '%s/o%u')", plan->staging, step->number);
    }
    if (names->len == 0)
        return true;
    return tb_error_set(error, TB_ERROR_CONFLICT,
                        "an interrupted apply could not be put back at %s: changed since",
                        names->str);
}
