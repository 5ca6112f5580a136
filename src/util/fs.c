/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening, reading, writing and locking by descriptor. Trees are in fs-tree.c, copies and digests
 * in fs-copy.c. */
#include "util/fs.h"
#include "util/fs-testing.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/hole.h"
#include "util/interrupt.h"
#include "util/units.h"

#define OPENAT2_TRIES  32 /* EAGAIN: somebody renamed beside us */
#define READ_CHUNK     65536
#define LOCK_STEP_MS   50
#define TEMP_NAME_SIZE 32

/* Opens the directory that holds the last component of `path`, which is cut off by *last. */
static int walk_to_parent(int dirfd, char *path, const char **last)
{
    tb_autofd folder = openat(dirfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    char *component = path;
    for (char *slash; folder >= 0 && (slash = strchr(component, '/')); component = slash + 1) {
        *slash = '\0';
        if (strcmp(component, "..") == 0) {
            errno = EXDEV;
            return -1;
        }
        if (*component == '\0' || strcmp(component, ".") == 0)
            continue;
        int next = openat(folder, component, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        tb_clear_fd(&folder);
        folder = next;
    }
    *last = *component == '\0' ? "." : component; /* "a/" is a directory */
    return tb_steal_fd(&folder);
}

int tb_open_beneath_by_walk(int dirfd, const char *path, int flags, mode_t mode)
{
    if (*path == '\0' || *path == '/') {
        errno = *path ? EXDEV : ENOENT;
        return -1;
    }
    g_autofree char *copy = g_strdup(path);
    const char *last;
    tb_autofd parent = walk_to_parent(dirfd, copy, &last);
    if (parent < 0)
        return -1;
    if (strcmp(last, "..") == 0) {
        errno = EXDEV;
        return -1;
    }
    return openat(parent, last, flags | O_NOFOLLOW | O_CLOEXEC, mode);
}

int tb_open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
    bool creates = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = creates ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    if (tb_hole("apply-beneath"))
        how.resolve = 0;
    for (int tries = 0; tries < OPENAT2_TRIES; tries++) {
        int fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);
        if (fd >= 0)
            return fd;
        if (errno == ENOSYS)
            return tb_open_beneath_by_walk(dirfd, path, flags, mode);
        if (errno != EAGAIN && errno != EINTR)
            return -1;
    }
    return -1;
}

bool tb_write_all(int fd, const void *data, size_t length, const char *what, GError **error)
{
    const uint8_t *bytes = data;
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return tb_error_set_errno(error, errno, "cannot write '%s'", what);
        bytes += written;
        length -= (size_t)written;
    }
    return true;
}

/* Makes what was renamed in `dirfd` last over a crash. */
static bool sync_folder(int dirfd, const char *name, GError **error)
{
    tb_autofd folder = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || (fsync(folder) < 0 && errno != EINVAL)) /* EINVAL: it needs none */
        return tb_error_set_errno(error, errno, "cannot make '%s' durable", name);
    return true;
}

static bool write_and_rename(int dirfd, const char *temp, const char *name, const void *data,
                             size_t length, mode_t mode, GError **error)
{
    tb_autofd fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return tb_error_set_errno(error, errno, "cannot create '%s'", name);
    if (!tb_write_all(fd, data, length, name, error))
        return false;
    if (fchmod(fd, mode) < 0 || fsync(fd) < 0 || renameat(dirfd, temp, dirfd, name) < 0)
        return tb_error_set_errno(error, errno, "cannot write '%s'", name);
    return true;
}

bool tb_write_atomic(int dirfd, const char *name, const void *data, size_t length, mode_t mode,
                     GError **error)
{
    if (strchr(name, '/'))
        return tb_error_set(error, TB_ERROR_INTERNAL, "'%s' is no name in a folder", name);
    char temp[TEMP_NAME_SIZE];
    snprintf(temp, sizeof temp, ".tb-%08x%08x.tmp", g_random_int(), g_random_int());
    if (!write_and_rename(dirfd, temp, name, data, length, mode, error)) {
        unlinkat(dirfd, temp, 0);
        return false;
    }
    return sync_folder(dirfd, name, error);
}

static GBytes *read_to_limit(int fd, const char *path, size_t limit, GError **error)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    for (;;) {
        guint have = bytes->len;
        g_byte_array_set_size(bytes, have + READ_CHUNK);
        ssize_t got = read(fd, bytes->data + have, READ_CHUNK);
        g_byte_array_set_size(bytes, have + (got > 0 ? (guint)got : 0));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            tb_error_set_errno(error, errno, "cannot read '%s'", path);
            return NULL;
        }
        if (bytes->len > limit || bytes->len > G_MAXUINT - 2 * READ_CHUNK) {
            g_autofree char *size = tb_size_format(limit);
            tb_error_set(error, TB_ERROR_LIMIT, "cannot read '%s': larger than %s", path, size);
            return NULL;
        }
        if (got == 0)
            break;
    }
    gsize length = bytes->len;
    g_byte_array_append(bytes, (const uint8_t *)"", 1);
    return g_bytes_new_take(g_byte_array_free(g_steal_pointer(&bytes), FALSE), length);
}

GBytes *tb_read_file_at(int dirfd, const char *path, size_t limit, GError **error)
{
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    bool absolute = dirfd == AT_FDCWD && *path == '/';
    tb_autofd fd = absolute ? open(path, flags) : tb_open_beneath(dirfd, path, flags, 0);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        tb_error_set_errno(error, errno, "cannot read '%s'", path);
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        tb_error_set(error, TB_ERROR_IO, "cannot read '%s': not a regular file", path);
        return NULL;
    }
    return read_to_limit(fd, path, limit, error);
}

bool tb_make_dirs(const char *path, mode_t mode, GError **error)
{
    g_autofree char *partial = g_strdup(path);
    for (char *end = partial; *end;) {
        end += strspn(end, "/");
        end += strcspn(end, "/");
        char slash = *end;
        *end = '\0';
        /* Any failure of mkdir is fine when the directory is there: it may be on a file system
         * that is read-only. */
        int err = mkdir(partial, mode) == 0 ? 0 : errno;
        struct stat st;
        if (stat(partial, &st) < 0)
            return tb_error_set_errno(error, err ? err : errno, "cannot create directory '%s'",
                                      partial);
        if (!S_ISDIR(st.st_mode))
            return tb_error_set_errno(error, ENOTDIR, "cannot create directory '%s'", path);
        *end = slash;
    }
    return true;
}

int tb_open_private_dir(const char *path, GError **error)
{
    if (!tb_make_dirs(path, 0700, error))
        return -1;
    if (tb_hole("private-dir"))
        return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    tb_autofd fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR)) {
        tb_error_set(error, TB_ERROR_DENIED, "cannot use '%s': it is a symbolic link", path);
        return -1;
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        tb_error_set_errno(error, errno, "cannot open directory '%s'", path);
        return -1;
    }
    if (st.st_uid != geteuid()) {
        tb_error_set(error, TB_ERROR_DENIED, "cannot use '%s': it belongs to user %u", path,
                     (unsigned)st.st_uid);
        return -1;
    }
    if ((st.st_mode & 07777 & ~(mode_t)S_ISGID) != 0700) { /* setgid comes from the parent */
        tb_error_set(error, TB_ERROR_DENIED,
                     "cannot use '%s': its mode is %04o, not 0700 (run 'chmod 0700' on it)", path,
                     (unsigned)(st.st_mode & 07777));
        return -1;
    }
    return tb_steal_fd(&fd);
}

uint64_t tb_free_space(const char *path)
{
    struct statvfs st;
    return statvfs(path, &st) == 0 ? (uint64_t)st.f_bavail * st.f_frsize : 0;
}

/* Whether `name` still is the file that was locked: its last holder may have removed it. */
static bool still_named(int dirfd, const char *name, int fd)
{
    struct stat ours, named;
    return fstat(fd, &ours) == 0 && fstatat(dirfd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

/* Polling, as a blocking flock(2) would miss a signal that comes just before it. */
static bool pause_or_give_up(const char *name, bool wait, GError **error)
{
    if (!wait)
        return tb_error_set(error, TB_ERROR_BUSY, "'%s' is in use by another taskbox", name);
    if (!tb_interrupt_check(error))
        return false;
    struct pollfd interrupt = {.fd = tb_interrupt_fd(), .events = POLLIN};
    poll(&interrupt, 1, LOCK_STEP_MS);
    return true;
}

int tb_lock(int dirfd, const char *name, bool wait, GError **error)
{
    for (;;) {
        tb_autofd fd = openat(dirfd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0) {
            tb_error_set_errno(error, errno, "cannot open lock '%s'", name);
            return -1;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            if (still_named(dirfd, name, fd))
                return tb_steal_fd(&fd);
            continue;
        }
        if (errno != EWOULDBLOCK && errno != EINTR) {
            tb_error_set_errno(error, errno, "cannot lock '%s'", name);
            return -1;
        }
        if (!pause_or_give_up(name, wait, error))
            return -1;
    }
}
