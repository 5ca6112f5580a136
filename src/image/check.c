/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * "A changed byte is noticed before use" without hashing gigabytes at each start: after a full
 * check the device, inode, size and ctime of every file are noted in the cache. A write changes the
 * ctime, and no call sets it back; so as long as they are the same, the content is. Else: a full
 * check.
 */
#include <fcntl.h>
#include <string.h>
#include "image/manifest.h"
#include "image/store-private.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/paths.h"

#define SMALL_LIMIT 65536

static int open_notes(char **name, const char *digest, GError **error)
{
    g_autofree char *cache = tb_path_cache();
    g_autofree char *path = g_build_filename(cache, "images", NULL);
    *name = g_strconcat(digest, ".seal", NULL);
    return tb_open_private_dir(path, error);
}

/* The state of all files as text; NULL when one is missing or no regular file. */
static char *state_of(int dirfd, const char **bad)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const char *const *file = tb_image_files;
    for (const char *name = TB_IMAGE_SUMS; name; name = *file++) {
        struct stat st;
        if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode)) {
            *bad = name;
            return NULL;
        }
        g_string_append_printf(text, "%s %lu %lu %ld %ld.%09ld\n", name, (unsigned long)st.st_dev,
                               (unsigned long)st.st_ino, (long)st.st_size, (long)st.st_ctim.tv_sec,
                               st.st_ctim.tv_nsec);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static bool damaged(const char *name, const char *file, GError **error)
{
    return tb_error_set(error, TB_ERROR_IMAGE,
                        "image '%s' has changed since it was built: %s (run 'taskbox image build "
                        "%s')",
                        name, file, name);
}

char *tb_image_sums_format(const char *const sums[3], const char *manifest)
{
    return g_strdup_printf("%s  " TB_IMAGE_DISK "\n%s  " TB_IMAGE_KERNEL "\n%s  " TB_IMAGE_INITRD
                           "\n%s  " TB_IMAGE_MANIFEST "\n",
                           sums[0], sums[1], sums[2], manifest);
}

/* "HEX  NAME\n" for exactly our files, in order. */
bool tb_image_sums_parse(const char *text, char *sums[4])
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    unsigned i = 0;
    for (; tb_image_files[i]; i++) {
        const char *line = lines[i];
        if (!line || strlen(line) < 67 || strncmp(line + 64, "  ", 2) != 0 ||
            !g_str_equal(line + 66, tb_image_files[i]))
            return false;
        sums[i] = g_strndup(line, 64);
    }
    return lines[i] && !lines[i][0];
}

char *tb_image_disk_sum(const char *dir, GError **error)
{
    tb_autofd fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autoptr(GBytes) data = fd < 0 ? NULL : tb_read_file_at(fd, TB_IMAGE_SUMS, SMALL_LIMIT, NULL);
    char *sums[5] = {0};
    bool ok = data && tb_image_sums_parse(g_bytes_get_data(data, NULL), sums);
    for (unsigned i = ok ? 1 : 0; i < 4; i++)
        g_free(sums[i]);
    if (!ok)
        tb_error_set(error, TB_ERROR_IMAGE, "cannot read '%s/%s'", dir, TB_IMAGE_SUMS);
    return ok ? sums[0] : NULL;
}

static bool check_file(int dirfd, const char *file, const char *sum, const char *name,
                       GError **error)
{
    tb_autofd fd = tb_open_beneath(dirfd, file, O_RDONLY, 0);
    if (fd < 0)
        return damaged(name, file, error);
    g_autofree char *hex = tb_sha256_fd(fd, file, error);
    if (!hex)
        return false;
    return g_str_equal(hex, sum) || damaged(name, file, error);
}

static void note(const char *digest, const char *state)
{
    g_autofree char *file = NULL;
    g_autoptr(GError) error = NULL;
    tb_autofd dir = open_notes(&file, digest, &error);
    if (dir < 0 || !tb_write_atomic(dir, file, state, strlen(state), 0600, &error))
        tb_verbose("cannot note that the image is good: %s", error->message);
}

bool tb_image_check_full(const char *dir, const char *digest, const char *name, GError **error)
{
    tb_autofd fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *bad = "its directory";
    g_autofree char *before = fd < 0 ? NULL : state_of(fd, &bad);
    if (!before)
        return damaged(name, bad, error);
    g_autoptr(GBytes) data = tb_read_file_at(fd, TB_IMAGE_SUMS, SMALL_LIMIT, NULL);
    char *sums[5] = {0};
    bool ok = data && tb_image_sums_parse(g_bytes_get_data(data, NULL), sums);
    if (!ok)
        damaged(name, TB_IMAGE_SUMS, error);
    for (unsigned i = 0; ok && tb_image_files[i]; i++)
        ok = check_file(fd, tb_image_files[i], sums[i], name, error);
    for (unsigned i = 0; i < 4; i++)
        g_free(sums[i]);
    if (!ok)
        return false;
    g_autofree char *after = state_of(fd, &bad);
    if (g_strcmp0(before, after) != 0)
        return damaged(name, "a file, while it was checked", error);
    note(digest, before);
    return true;
}

bool tb_image_check(const char *dir, const char *digest, const char *name, GError **error)
{
    g_autofree char *file = NULL;
    tb_autofd notes = open_notes(&file, digest, NULL);
    g_autoptr(GBytes) noted = notes < 0 ? NULL : tb_read_file_at(notes, file, SMALL_LIMIT, NULL);
    tb_autofd fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *bad = NULL;
    g_autofree char *state = fd < 0 ? NULL : state_of(fd, &bad);
    if (noted && state && g_str_equal(state, g_bytes_get_data(noted, NULL)))
        return true;
    if (state)
        tb_status("checking image '%s'", name);
    bool ok = tb_image_check_full(dir, digest, name, error);
    tb_status_done();
    return ok;
}

void tb_image_check_forget(const char *digest)
{
    g_autofree char *file = NULL;
    tb_autofd dir = open_notes(&file, digest, NULL);
    if (dir >= 0)
        unlinkat(dir, file, 0);
}
