/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes the host's delta as an overlay layer that will lie between the project image and the
 * upper: a deletion is a whiteout, a replaced directory an opaque one. So the upper holds nothing
 * but what the task itself changes. Entries may come in any order; parents are made on demand.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "guest/guest.h"

void tb_delta_clear(TbDelta *delta)
{
    tb_close(&delta->dir);
    tb_close(&delta->file);
    delta->active = delta->failed = false;
    delta->left = 0;
}

bool tb_delta_begin(TbDelta *delta, const TbGuestConfig *config, TbFault *fault)
{
    char path[TB_PATH_SIZE];
    tb_delta_clear(delta);
    snprintf(path, sizeof path, "%s/delta", config->state);
    if (!tb_make_dirs(config->state, 0700) || !tb_make_dirs(path, 0755) ||
        (delta->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return tb_fault_errno(fault, "cannot make '%s'", path);
    delta->active = true;
    return true;
}

static bool component_is_fine(const char *name)
{
    return name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static bool make_opaque(int fd)
{
    return fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) == 0;
}

/* Makes `name` in `parent` a directory, replacing what else is there, and opens it. What was
 * replaced had hidden a directory of the image, maybe, which must not come back. */
static int open_dir(int parent, const char *name, const TbUser *user)
{
    bool made = mkdirat(parent, name, 0755) == 0, replaced = false;
    struct stat st;
    if (!made && errno == EEXIST && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        !S_ISDIR(st.st_mode)) {
        unlinkat(parent, name, 0);
        made = replaced = mkdirat(parent, name, 0755) == 0;
    }
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && made &&
        (fchown(fd, user->uid, user->gid) != 0 || (replaced && !make_opaque(fd))))
        tb_close(&fd);
    return fd;
}

/* Opens the directory that `path` lies in; *name is the last component, in `path`, which is cut. */
static int open_parent(int dir, char *path, const char **name, const TbUser *user)
{
    int fd = fcntl(dir, F_DUPFD_CLOEXEC, 3);
    char *part = path;
    for (char *slash; fd >= 0 && (slash = strchr(part, '/')); part = slash + 1) {
        *slash = '\0';
        tb_auto_fd parent = fd;
        errno = EINVAL;
        fd = component_is_fine(part) ? open_dir(parent, part, user) : -1;
    }
    *name = part;
    if (!component_is_fine(part)) {
        tb_close(&fd);
        errno = EINVAL;
    }
    return fd;
}

static bool set_times(int fd, const TbEntry *entry)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                {.tv_sec = entry->mtime_sec, .tv_nsec = entry->mtime_nsec}};
    return futimens(fd, times) == 0;
}

static bool finish_file(TbDelta *delta, TbFault *fault)
{
    const TbEntry *entry = &delta->entry;
    if (fchmod(delta->file, entry->mode) != 0 || !set_times(delta->file, entry))
        return tb_fault_errno(fault, "cannot set the attributes of a file of the delta");
    tb_close(&delta->file);
    return true;
}

static bool make_dir(int parent, const char *name, const TbEntry *entry, const TbUser *user)
{
    tb_auto_fd fd = open_dir(parent, name, user);
    if (fd < 0)
        return false;
    if (entry->kind == TB_ENTRY_REPLACE && !make_opaque(fd))
        return false;
    return fchown(fd, user->uid, user->gid) == 0 && fchmod(fd, entry->mode) == 0 &&
           set_times(fd, entry);
}

static bool make_symlink(int parent, const char *name, const TbEntry *entry, const TbUser *user)
{
    char target[TB_TARGET_LIMIT + 1];
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                {.tv_sec = entry->mtime_sec, .tv_nsec = entry->mtime_nsec}};
    if (entry->target_length > 0)
        memcpy(target, entry->target, entry->target_length);
    target[entry->target_length] = '\0';
    return symlinkat(target, parent, name) == 0 &&
           fchownat(parent, name, user->uid, user->gid, AT_SYMLINK_NOFOLLOW) == 0 &&
           utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool make_entry(TbDelta *delta, int parent, const char *name, const TbEntry *entry,
                       const TbUser *user)
{
    if (entry->kind == TB_ENTRY_DIR || entry->kind == TB_ENTRY_REPLACE)
        return make_dir(parent, name, entry, user);
    tb_remove_all(parent, name);
    switch (entry->kind) {
    case TB_ENTRY_FILE:
        delta->file = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        return delta->file >= 0 && fchown(delta->file, user->uid, user->gid) == 0;
    case TB_ENTRY_SYMLINK:
        return make_symlink(parent, name, entry, user);
    case TB_ENTRY_DELETE:
        return mknodat(parent, name, S_IFCHR, makedev(0, 0)) == 0;
    default:
        errno = EINVAL;
        return false;
    }
}

bool tb_delta_entry(TbDelta *delta, const TbEntry *entry, const TbUser *user, TbFault *fault)
{
    char path[TB_PATH_LIMIT + 1];
    const char *name = "";
    if (!delta->active || delta->file >= 0)
        return tb_fault(fault, "an entry of the delta came out of order");
    memcpy(path, entry->path, entry->path_length);
    path[entry->path_length] = '\0';
    tb_auto_fd parent = open_parent(delta->dir, path, &name, user);
    if (parent < 0 || !make_entry(delta, parent, name, entry, user))
        return tb_fault_errno(fault, "cannot write '%.*s' of the delta",
                              (int)(entry->path_length < 300 ? entry->path_length : 300),
                              (const char *)entry->path);
    delta->entry = *entry;
    delta->left = entry->size;
    return entry->kind != TB_ENTRY_FILE || entry->size > 0 || finish_file(delta, fault);
}

bool tb_delta_data(TbDelta *delta, const void *data, size_t length, TbFault *fault)
{
    if (delta->file < 0 || length > delta->left)
        return tb_fault(fault, "data of the delta came out of order");
    if (!tb_write_full(delta->file, data, length))
        return tb_fault_errno(fault, "cannot write a file of the delta");
    delta->left -= length;
    return delta->left > 0 || finish_file(delta, fault);
}

bool tb_delta_end(TbDelta *delta, TbFault *fault)
{
    if (!delta->active || delta->file >= 0)
        return tb_fault(fault, "the end of the delta came out of order");
    tb_delta_clear(delta);
    return true;
}
