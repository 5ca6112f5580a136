/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The project's index, read by git from a copy (so that versions, split and sparse indexes are
 * git's business) and judged by us: its stat data is compared with what our own scan saw. git would
 * believe "assume unchanged", file system monitors and caches; we compare every entry.
 *
 * An index can be forged, so an entry counts as clean only when change time and inode fit as well:
 * these nobody can choose who merely made an archive.
 */
#include "project/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"

#define MAX_OUTPUT ((size_t)4 << 30)
#define TIMEOUT    120

static void entry_clear(void *data)
{
    g_free(((TbIndexEntry *)data)->path);
}

static TbIndex *index_new(void)
{
    TbIndex *index = g_new0(TbIndex, 1);
    index->entries = g_array_new(FALSE, TRUE, sizeof(TbIndexEntry));
    g_array_set_clear_func(index->entries, entry_clear);
    return index;
}

void tb_index_free(TbIndex *index)
{
    if (!index)
        return;
    g_array_unref(index->entries);
    g_free(index);
}

static bool copy_file(int from_dir, const char *name, int to_dir, const char *to_name,
                      struct timespec *written, GError **error)
{
    struct stat st;
    tb_autofd from = tb_open_beneath(from_dir, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0);
    if (from < 0 || fstat(from, &st) < 0)
        return tb_error_set_errno(error, errno, "cannot open the project's git '%s'", name);
    if (!S_ISREG(st.st_mode))
        return tb_error_set(error, TB_ERROR_DENIED, "the project's git '%s' is no file", name);
    unlinkat(to_dir, to_name, 0);
    tb_autofd to =
        openat(to_dir, to_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0)
        return tb_error_set_errno(error, errno, "cannot create '%s'", to_name);
    if (written)
        *written = st.st_mtim;
    return tb_copy_file(from, to, to_name, error);
}

static bool is_shared_index(const char *name)
{
    if (!g_str_has_prefix(name, "sharedindex."))
        return false;
    const char *hex = name + strlen("sharedindex.");
    size_t digits = strspn(hex, "0123456789abcdef");
    return hex[digits] == '\0' && (digits == 40 || digits == 64);
}

/* A split index names the other half, which git looks for in its own directory. */
static bool copy_shared(int from_dir, int to_dir, GError **error)
{
    int copy = openat(from_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir)
        return tb_error_set_errno(error, errno, "cannot read the project's git directory");
    bool fine = true;
    for (struct dirent *entry; fine && (entry = readdir(dir));)
        if (is_shared_index(entry->d_name))
            fine = copy_file(from_dir, entry->d_name, to_dir, entry->d_name, NULL, error);
    closedir(dir);
    return fine;
}

static bool copy_index(TbProject *project, TbGit *git, const char *index_path, TbIndex *index,
                       bool *there, GError **error)
{
    *there = false;
    (void)unlink(index_path);
    if (!project->git_dir)
        return true;
    tb_autofd from = open(project->git_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    tb_autofd to = open(tb_git_path(git), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (from < 0 || to < 0)
        return tb_error_set_errno(error, errno, "cannot open the project's git directory");
    if (faccessat(from, "index", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return true;
    *there = true;
    g_autofree char *name = g_path_get_basename(index_path);
    return copy_file(from, "index", to, name, &index->written, error) &&
           copy_shared(from, to, error);
}

/* One entry of "ls-files -s -z --debug": "MODE OID STAGE\tPATH\0" and five lines of stat data.
 * Returns where the next one starts, NULL when it makes no sense. */
static const char *parse_entry(const char *at, const char *end, unsigned oid_length,
                               TbIndexEntry *entry)
{
    int used = 0;
    unsigned mode, stage;
    char oid[65];
    if (sscanf(at, "%o %64[0-9a-f] %u%n", &mode, oid, &stage, &used) != 3 || at[used] != '\t' ||
        strlen(oid) != oid_length || stage > 3)
        return NULL;
    const char *path = at + used + 1;
    size_t length = strlen(path);
    at = path + length + 1;
    if (length == 0 || at >= end)
        return NULL;
    used = 0;
    unsigned dev, uid, gid;
    if (sscanf(at,
               "  ctime: %" G_GUINT32_FORMAT ":%" G_GUINT32_FORMAT "\n  mtime: %" G_GUINT32_FORMAT
               ":%" G_GUINT32_FORMAT "\n  dev: %u\tino: %" G_GUINT32_FORMAT
               "\n  uid: %u\tgid: %u\n  size: %" G_GUINT32_FORMAT "\tflags: %x%n",
               &entry->ctime_sec, &entry->ctime_nsec, &entry->mtime_sec, &entry->mtime_nsec, &dev,
               &entry->ino, &uid, &gid, &entry->size, &entry->flags, &used) != 10 ||
        at[used] != '\n')
        return NULL;
    memcpy(entry->oid, oid, oid_length + 1);
    entry->mode = mode;
    entry->stage = stage;
    entry->path = g_strndup(path, length);
    return at + used + 1;
}

TbIndex *tb_index_read(TbProject *project, TbGit *git, const char *index_path, GError **error)
{
    g_autoptr(TbIndex) index = index_new();
    bool there = false;
    if (!copy_index(project, git, index_path, index, &there, error))
        return NULL;
    if (!there)
        return g_steal_pointer(&index);
    g_autoptr(TbCommand) command = tb_git_command(git, "ls-files", NULL, index_path);
    tb_command_add(command, "-s", "-z", "--debug", NULL);
    tb_command_set_stdout_limit(command, MAX_OUTPUT);
    tb_command_set_timeout(command, TIMEOUT);
    g_autoptr(GBytes) out = NULL;
    if (!tb_command_run(command, &out, error)) {
        g_prefix_error(error, "cannot read the index of '%s': ", project->root);
        return NULL;
    }
    size_t length = 0;
    const char *at = g_bytes_get_data(out, &length), *end = at + length;
    while (at < end) {
        TbIndexEntry entry = {0};
        at = parse_entry(at, end, tb_git_oid_length(git), &entry);
        if (!at) {
            tb_error_set(error, TB_ERROR_INTERNAL,
                         "cannot read the index of '%s': git's listing "
                         "is not understood",
                         project->root);
            return NULL;
        }
        g_array_append_val(index->entries, entry);
    }
    return g_steal_pointer(&index);
}

/* A missing fraction (some programs write none) matches any. */
static bool same_time(uint32_t sec, uint32_t nsec, const struct timespec *disk)
{
    return sec == (uint32_t)disk->tv_sec && (nsec == 0 || nsec == (uint32_t)disk->tv_nsec);
}

/* Changed so late that a later change need not show: as git's "racily clean". */
static bool racy(const TbIndex *index, const TbIndexEntry *entry)
{
    uint32_t written = (uint32_t)index->written.tv_sec;
    if (entry->mtime_sec != written)
        return entry->mtime_sec > written;
    return entry->mtime_nsec == 0 || entry->mtime_nsec >= (uint32_t)index->written.tv_nsec;
}

static const char *empty_blob(unsigned oid_length)
{
    return oid_length == 40 ? "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
                            : "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813";
}

bool tb_index_entry_clean(const TbIndex *index, const TbIndexEntry *entry, const TbItem *item,
                          unsigned oid_length)
{
    if (entry->stage != 0 || (entry->flags & TB_INDEX_INTENT_TO_ADD) || item->ours)
        return false;
    if (item->kind == TB_ENTRY_SYMLINK) {
        if (entry->mode != TB_MODE_SYMLINK)
            return false;
    } else if (entry->mode != (item->mode & S_IXUSR ? TB_MODE_EXECUTABLE : TB_MODE_FILE)) {
        return false;
    }
    /* git sets the size of a racy entry to 0 to have it looked at again. */
    if (entry->size == 0 && strcmp(entry->oid, empty_blob(oid_length)) != 0)
        return false;
    return entry->size == (uint32_t)item->size &&
           (entry->ino == 0 || entry->ino == (uint32_t)item->ino) &&
           same_time(entry->mtime_sec, entry->mtime_nsec, &item->mtime) &&
           same_time(entry->ctime_sec, entry->ctime_nsec, &item->ctime) && !racy(index, entry);
}
