/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A project as its box gets it, at top/x: the image as fsck.erofs unpacks it, with the delta
 * applied to it by the rules of channel/entry.h. */
#pragma once

#include "repo.h"

#include <errno.h>

static inline void unpack(const char *image)
{
    run("rm -rf x; mkdir x; fsck.erofs --extract=x --overwrite --preserve '%s' >&2", image);
}

static inline void receive_file(TbDelta *delta, const TbEntry *entry, const char *path)
{
    g_autoptr(GError) error = NULL;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    for (uint64_t left = entry->size; left > 0;) {
        uint8_t buffer[7000];
        size_t length = 0;
        ck_assert_msg(tb_delta_read(delta, buffer, sizeof buffer, &length, &error), "%s",
                      error ? error->message : "");
        ck_assert(length > 0 && length <= left);
        ck_assert_int_eq(write(fd, buffer, length), (ssize_t)length);
        left -= length;
    }
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {entry->mtime_sec, entry->mtime_nsec}};
    ck_assert_int_eq(fchmod(fd, entry->mode), 0);
    ck_assert_int_eq(futimens(fd, times), 0);
    close(fd);
}

static inline void receive(TbDelta *delta, const TbEntry *entry, int x)
{
    g_autofree char *name = g_strndup((const char *)entry->path, entry->path_length);
    g_autofree char *path = g_strdup_printf("%s/x/%s", top, name);
    struct stat st;
    bool dir = fstatat(x, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
    g_autofree char *parent = g_path_get_dirname(path);
    ck_assert_msg(g_file_test(parent, G_FILE_TEST_IS_DIR), "no parent yet: %s", name);
    if (entry->kind != TB_ENTRY_DIR || !dir) {
        ck_assert(entry->kind == TB_ENTRY_DIR || tb_remove_tree(x, name, NULL));
    }
    if (entry->kind == TB_ENTRY_FILE) {
        receive_file(delta, entry, path);
    } else if (entry->kind == TB_ENTRY_SYMLINK) {
        g_autofree char *target = g_strndup((const char *)entry->target, entry->target_length);
        ck_assert_int_eq(symlink(target, path), 0);
    } else if (entry->kind != TB_ENTRY_DELETE) {
        if (entry->kind == TB_ENTRY_REPLACE || !dir)
            ck_assert_int_eq(mkdir(path, 0700), 0);
        ck_assert_int_eq(chmod(path, entry->mode), 0);
    }
}

static inline void enter_box(const char *image, TbDelta *delta)
{
    unpack(image);
    g_autofree char *path = in_top("x");
    int x = open(path, O_RDONLY | O_DIRECTORY);
    g_autoptr(GError) error = NULL;
    for (;;) {
        TbEntry entry;
        bool done = false;
        ck_assert_msg(tb_delta_next(delta, &entry, &done, &error), "%s",
                      error ? error->message : "");
        if (done)
            break;
        receive(delta, &entry, x);
    }
    close(x);
}
