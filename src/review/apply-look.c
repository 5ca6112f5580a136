/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is on disk at a path, and the id git would give to its bytes as they are. Parents are opened
 * beneath the root without following links, so a directory that somebody swaps for a link leads
 * nowhere.
 */
#include "review/apply-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"

#define TARGET_MAX 4096

int look_open_parent(int root, const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    *name = slash ? slash + 1 : path;
    g_autofree char *parent = slash ? g_strndup(path, (gsize)(slash - path)) : g_strdup(".");
    return tb_open_beneath(root, parent, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
}

bool look_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static bool cannot_read(const char *path, GError **error)
{
    int err = errno;
    g_autofree char *name = tb_escape_name(path);
    return tb_error_set_errno(error, err, "cannot read '%s'", name);
}

static bool changes_while_read(const char *path, GError **error)
{
    g_autofree char *name = tb_escape_name(path);
    return tb_error_set(error, TB_ERROR_CONFLICT, "'%s' changes while it is read (try again)",
                        name);
}

static GChecksum *blob_start(unsigned oid_length, uint64_t size)
{
    GChecksum *sum = g_checksum_new(oid_length == 64 ? G_CHECKSUM_SHA256 : G_CHECKSUM_SHA1);
    g_autofree char *head = g_strdup_printf("blob %" G_GUINT64_FORMAT, size);
    g_checksum_update(sum, (const guchar *)head, (gssize)strlen(head) + 1);
    return sum;
}

static bool hash_file(int parent, const char *name, const char *path, unsigned oid_length,
                      Look *look, GError **error)
{
    tb_autofd fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return cannot_read(path, error);
    struct stat after;
    if (fstat(fd, &look->st) != 0)
        return cannot_read(path, error);
    if (!S_ISREG(look->st.st_mode))
        return changes_while_read(path, error);
    g_autoptr(GChecksum) sum = blob_start(oid_length, (uint64_t)look->st.st_size);
    g_autofree guchar *buffer = g_malloc(128 * 1024);
    int64_t total = 0;
    ssize_t got;
    while ((got = read(fd, buffer, 128 * 1024)) != 0) {
        if (got < 0 && errno != EINTR)
            return cannot_read(path, error);
        if (got > 0)
            g_checksum_update(sum, buffer, got);
        total += MAX(got, 0);
        if (total > look->st.st_size)
            break;
    }
    if (total != look->st.st_size || fstat(fd, &after) != 0 || !look_same(&look->st, &after))
        return changes_while_read(path, error);
    g_strlcpy(look->oid, g_checksum_get_string(sum), sizeof look->oid);
    return true;
}

static bool hash_link(int parent, const char *name, const char *path, unsigned oid_length,
                      Look *look, GError **error)
{
    char target[TARGET_MAX];
    ssize_t length = readlinkat(parent, name, target, sizeof target);
    if (length < 0)
        return cannot_read(path, error);
    g_autoptr(GChecksum) sum = blob_start(oid_length, (uint64_t)length);
    g_checksum_update(sum, (const guchar *)target, length);
    g_strlcpy(look->oid, g_checksum_get_string(sum), sizeof look->oid);
    return true;
}

/* The shortest parent of `path` that is not a directory. */
static bool find_blocker(int root, const char *path, Look *look, GError **error)
{
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        Look parent;
        g_autofree char *prefix = g_strndup(path, (gsize)(slash - path));
        if (!look_at(root, prefix, 0, &parent, error))
            return false;
        if (parent.kind == LOOK_DIR)
            continue;
        look->kind = parent.kind == LOOK_ABSENT ? LOOK_ABSENT : LOOK_BLOCKED;
        look->blocked_at = (size_t)(slash - path);
        return true;
    }
    return changes_while_read(path, error);
}

bool look_at(int root, const char *path, unsigned oid_length, Look *look, GError **error)
{
    *look = (Look){.kind = LOOK_ABSENT};
    const char *name = NULL;
    tb_autofd parent = look_open_parent(root, path, &name);
    if (parent < 0 && errno == ENOENT)
        return true;
    if (parent < 0 && (errno == ENOTDIR || errno == ELOOP))
        return find_blocker(root, path, look, error);
    if (parent < 0)
        return cannot_read(path, error);
    if (fstatat(parent, name, &look->st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || cannot_read(path, error);
    switch (look->st.st_mode & S_IFMT) {
    case S_IFREG:
        look->kind = LOOK_FILE;
        return !oid_length || hash_file(parent, name, path, oid_length, look, error);
    case S_IFLNK:
        look->kind = LOOK_LINK;
        return !oid_length || hash_link(parent, name, path, oid_length, look, error);
    case S_IFDIR:
        look->kind = LOOK_DIR;
        return true;
    default:
        look->kind = LOOK_OTHER;
        return true;
    }
}
