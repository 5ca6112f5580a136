/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The list of changes: a walk over the overlay's upper, which holds exactly what the task touched.
 * Whiteouts are deletions. An opaque or moved directory is told as replaced, and what is in it is
 * then taken from the merged view, since the upper alone does not know. Nothing is followed: every
 * step is openat with O_NOFOLLOW. Nothing is judged either: that is the host's business. Git's own
 * state (.git) is told as a directory and not entered.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "guest/guest.h"
#include "guest/walk.h"

typedef struct {
    TbList *list;
    int merged; /* root of the merged view; -1: the upper has to do for it, too */
    bool in_merged;
    size_t length;
    char path[TB_PATH_LIMIT + 1];
    char target[TB_TARGET_LIMIT + 1]; /* here, since the walk is recursive and may be deep */
    TbFault *fault;
} Walk;

static bool grow(TbList *list)
{
    if (list->used + TB_ENTRY_WIRE_LIMIT > list->size) {
        size_t size = 2 * list->size + 16 * TB_ENTRY_WIRE_LIMIT;
        uint8_t *arena = realloc(list->arena, size);
        if (!arena)
            return false;
        list->arena = arena;
        list->size = size;
    }
    if (list->count + 1 >= list->room) {
        uint32_t room = 2 * list->room + 1024;
        size_t *starts = realloc(list->starts, room * sizeof *starts);
        if (!starts)
            return false;
        list->starts = starts;
        list->room = room;
    }
    return true;
}

static bool add(Walk *walk, const TbEntry *entry)
{
    TbList *list = walk->list;
    if (list->count >= list->limit)
        return tb_fault(walk->fault, "more than %u changed files and directories", list->limit);
    if (!grow(list))
        return tb_fault(walk->fault, "no memory for the list of changes");
    TbWriter writer = tb_writer(list->arena + list->used, list->size - list->used);
    tb_encode_entry(&writer, entry);
    list->starts[list->count++] = list->used;
    list->used += writer.length;
    list->starts[list->count] = list->used;
    return true;
}

static TbEntryKind kind_of(const struct stat *st)
{
    if (S_ISREG(st->st_mode))
        return TB_ENTRY_FILE;
    if (S_ISLNK(st->st_mode))
        return TB_ENTRY_SYMLINK;
    if (S_ISDIR(st->st_mode))
        return TB_ENTRY_DIR;
    if (S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0)) /* overlayfs shows none itself */
        return TB_ENTRY_DELETE;
    return TB_ENTRY_OTHER;
}

static bool add_path(Walk *walk, TbEntryKind kind, const struct stat *st, const char *target,
                     size_t target_length)
{
    TbEntry entry = {
        .kind = kind,
        .mode = kind == TB_ENTRY_DELETE ? 0 : st->st_mode & 07777,
        .size = kind == TB_ENTRY_FILE ? (uint64_t)st->st_size : 0,
        .mtime_sec = st->st_mtim.tv_sec,
        .mtime_nsec = (uint32_t)st->st_mtim.tv_nsec,
        .path = (const uint8_t *)walk->path,
        .path_length = walk->length,
        .target = (const uint8_t *)target,
        .target_length = target_length,
    };
    return add(walk, &entry);
}

static bool fail(Walk *walk)
{
    return tb_fault_errno(walk->fault, "cannot read '%.300s'", walk->path);
}

static bool is_opaque(int fd)
{
    char value[8];
    ssize_t n = fgetxattr(fd, "trusted.overlay.opaque", value, sizeof value);
    return (n == 1 && value[0] == 'y') || fgetxattr(fd, "trusted.overlay.redirect", NULL, 0) >= 0;
}

int tb_open_in(int root, const char *path, int flags)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };
    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

static bool walk_dir(Walk *walk, int fd);

/* A path that is too long is told once, cut, so that the host sees that something was left out. */
static bool push_name(Walk *walk, const char *name, size_t *old)
{
    size_t length = strlen(name), slash = walk->length > 0;
    *old = walk->length;
    if (walk->length + slash + length > TB_PATH_LIMIT - 2) /* add_cut needs the two */
        return false;
    if (slash)
        walk->path[walk->length++] = '/';
    memcpy(walk->path + walk->length, name, length + 1);
    walk->length += length;
    return true;
}

static bool add_cut(Walk *walk, const char *name, const struct stat *st)
{
    if (walk->list->cut)
        return true;
    walk->list->cut = true;
    size_t old = walk->length;
    walk->path[walk->length++] = '/';
    size_t length = strnlen(name, TB_PATH_LIMIT - walk->length);
    memcpy(walk->path + walk->length, name, length);
    walk->length += length;
    walk->path[walk->length] = '\0';
    bool ok = add_path(walk, TB_ENTRY_OTHER, st, NULL, 0);
    walk->length = old;
    walk->path[old] = '\0';
    return ok;
}

static bool walk_child_dir(Walk *walk, int parent, const char *name, const struct stat *st)
{
    tb_auto_fd fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail(walk);
    if (strcmp(name, ".git") == 0)
        return add_path(walk, TB_ENTRY_DIR, st, NULL, 0);
    if (walk->in_merged || !is_opaque(fd))
        return add_path(walk, TB_ENTRY_DIR, st, NULL, 0) && walk_dir(walk, fd);
    tb_auto_fd merged = -1;
    if (walk->merged >= 0 &&
        (merged = tb_open_in(walk->merged, walk->path, O_RDONLY | O_DIRECTORY)) < 0)
        return fail(walk);
    walk->in_merged = true;
    bool ok =
        add_path(walk, TB_ENTRY_REPLACE, st, NULL, 0) && walk_dir(walk, merged >= 0 ? merged : fd);
    walk->in_merged = false;
    return ok;
}

static bool walk_child(Walk *walk, int parent, const char *name, const struct stat *st)
{
    TbEntryKind kind = kind_of(st);
    if (kind == TB_ENTRY_DELETE && walk->in_merged) /* REPLACE has told it already */
        return true;
    if (kind == TB_ENTRY_DIR)
        return walk_child_dir(walk, parent, name, st);
    if (kind != TB_ENTRY_SYMLINK)
        return add_path(walk, kind, st, NULL, 0);
    ssize_t length = readlinkat(parent, name, walk->target, sizeof walk->target);
    if (length < 0 || length > TB_TARGET_LIMIT)
        return fail(walk);
    return add_path(walk, kind, st, walk->target, (size_t)length);
}

static bool walk_names(Walk *walk, DIR *dir)
{
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry)
            return errno == 0 || fail(walk);
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        struct stat st;
        if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            return fail(walk);
        size_t old;
        bool fits = push_name(walk, name, &old);
        bool ok = fits ? walk_child(walk, dirfd(dir), name, &st) : add_cut(walk, name, &st);
        walk->length = old;
        walk->path[old] = '\0';
        if (!ok)
            return false;
    }
}

static bool walk_dir(Walk *walk, int fd)
{
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own >= 0 ? fdopendir(own) : NULL;
    if (!dir) {
        tb_close(&own);
        return fail(walk);
    }
    bool ok = walk_names(walk, dir);
    closedir(dir);
    return ok;
}

bool tb_list_make(TbList *list, const char *upper, const char *merged, uint32_t limit,
                  TbFault *fault)
{
    tb_list_clear(list);
    list->limit = limit;
    Walk *walk = calloc(1, sizeof *walk);
    if (!walk)
        return tb_fault(fault, "no memory");
    walk->list = list;
    walk->fault = fault;
    walk->merged = merged ? open(merged, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    tb_auto_fd top = open(upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = (!merged || walk->merged >= 0) && top >= 0
                  ? walk_dir(walk, top)
                  : tb_fault_errno(fault, "cannot open '%s'", upper);
    tb_close(&walk->merged);
    free(walk);
    if (!ok)
        tb_list_clear(list);
    return ok;
}

const uint8_t *tb_list_entry(const TbList *list, uint32_t index, size_t *length)
{
    *length = list->starts[index + 1] - list->starts[index];
    return list->arena + list->starts[index];
}

void tb_list_clear(TbList *list)
{
    free(list->arena);
    free(list->starts);
    *list = (TbList){0};
}
