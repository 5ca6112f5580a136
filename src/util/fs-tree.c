/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Removing a tree that somebody hostile may have filled.
 *
 * Directories are opened without following links and never entered when they are a mount point.
 * A tree may be deeper than we may have open files: below MAX_DEPTH a directory is not entered
 * but moved up into the top of the tree, which is gone over again until it is empty.
 */
#include "util/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"

#define MAX_DEPTH 64

typedef struct {
    int top; /* the tree's own directory, -1 before it is open */
    uint64_t device_major, device_minor;
    unsigned moved; /* names those that were moved up */
    const char *name;
} Removal;

G_DEFINE_AUTOPTR_CLEANUP_FUNC(DIR, closedir)

static bool cannot(const Removal *removal, const char *entry, GError **error)
{
    return tb_error_set_errno(error, errno, "cannot remove '%s' in '%s'", entry, removal->name);
}

/* Gives ourselves all rights on a directory, by its descriptor (which may be O_PATH). */
static bool make_writable(int fd)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return chmod(path, 0700) == 0;
}

/* Opens for listing; -1 and errno EXDEV when another file system is mounted there. */
static int open_folder(Removal *removal, int parent, const char *name)
{
    tb_autofd handle = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct statx st;
    if (handle < 0 || statx(handle, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_MODE, &st) < 0)
        return -1;
    if (removal->top < 0) {
        removal->device_major = st.stx_dev_major;
        removal->device_minor = st.stx_dev_minor;
    }
    if ((st.stx_attributes & STATX_ATTR_MOUNT_ROOT) || st.stx_dev_major != removal->device_major ||
        st.stx_dev_minor != removal->device_minor) {
        errno = EXDEV;
        return -1;
    }
    if ((st.stx_mode & 0700) != 0700 && geteuid() != 0 && !make_writable(handle))
        return -1;
    return openat(handle, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool empty_folder(Removal *removal, int fd, int depth, GError **error);

/* Too deep: to the top with it, under a name nobody has. */
static bool move_up(Removal *removal, int parent, const char *name, GError **error)
{
    for (;;) {
        char fresh[32];
        snprintf(fresh, sizeof fresh, ".tb-deep-%u", removal->moved++);
        if (renameat2(parent, name, removal->top, fresh, 1 /* RENAME_NOREPLACE */) == 0)
            return true;
        if (errno != EEXIST)
            return cannot(removal, name, error);
    }
}

static bool remove_folder(Removal *removal, int parent, const char *name, int depth, GError **error)
{
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return true;
    tb_autofd fd = open_folder(removal, parent, name);
    if (fd < 0)
        return cannot(removal, name, error);
    if (depth >= MAX_DEPTH)
        return move_up(removal, parent, name, error);
    if (!empty_folder(removal, tb_steal_fd(&fd), depth, error))
        return false;
    if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return cannot(removal, name, error);
    return true;
}

static bool remove_entry(Removal *removal, int parent, const char *name, int depth, GError **error)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return true;
    if (errno == EISDIR)
        return remove_folder(removal, parent, name, depth + 1, error);
    return cannot(removal, name, error);
}

/* Takes `fd` over. Goes over the entries until a pass finds none. */
static bool empty_folder(Removal *removal, int fd, int depth, GError **error)
{
    g_autoptr(DIR) stream = fdopendir(fd);
    if (!stream) {
        tb_error_set_errno(error, errno, "cannot list a directory in '%s'", removal->name);
        close(fd);
        return false;
    }
    for (bool found = true; found;) {
        found = false;
        rewinddir(stream);
        for (struct dirent *entry; (errno = 0, entry = readdir(stream));) {
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            found = true;
            if (!remove_entry(removal, dirfd(stream), entry->d_name, depth, error))
                return false;
        }
        if (errno != 0)
            return tb_error_set_errno(error, errno, "cannot list a directory in '%s'",
                                      removal->name);
    }
    return true;
}

bool tb_remove_tree(int dirfd, const char *name, GError **error)
{
    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return true;
    if (errno != EISDIR)
        return tb_error_set_errno(error, errno, "cannot remove '%s'", name);
    Removal removal = {.top = -1, .name = name};
    tb_autofd top = open_folder(&removal, dirfd, name);
    if (top < 0)
        return tb_error_set_errno(error, errno, "cannot remove '%s'", name);
    removal.top = top;
    int again = fcntl(top, F_DUPFD_CLOEXEC, 3);
    if (again < 0)
        return tb_error_set_errno(error, errno, "cannot remove '%s'", name);
    if (!empty_folder(&removal, again, 0, error))
        return false;
    if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return tb_error_set_errno(error, errno, "cannot remove '%s'", name);
    return true;
}
