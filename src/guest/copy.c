/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file or directory on its way out of a running box: entries and bytes as frames, parents first.
 * The root's path is "x", whatever its name is; the host knows what it asked for. A file may change
 * while it is read, so its size is only what it was; its bytes end with FILE_END.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel/sha256.h"
#include "guest/guest.h"

enum { DEPTH_LIMIT = 200, CHUNK = 32 * 1024 };

typedef struct {
    int out;
    bool incomplete, broken; /* broken: nobody takes it any more */
    uint32_t count;
    int depth;
    size_t length; /* of the path */
    char path[TB_PATH_LIMIT + 1];
    char target[TB_TARGET_LIMIT + 1];
} Copy;

static void put(Copy *copy, TbMessageType type, const void *payload, size_t length)
{
    uint8_t header[TB_FRAME_HEADER];
    tb_frame_header(header, (uint8_t)type, 0, (uint32_t)length);
    if (!copy->broken && (!tb_write_full(copy->out, header, sizeof header) ||
                          !tb_write_full(copy->out, payload, length)))
        copy->broken = true;
}

static void left_out(Copy *copy, const char *why)
{
    char text[TB_ERROR_TEXT_LIMIT];
    const char *path = copy->path[1] == '/' ? copy->path + 2 : "";
    int length = snprintf(text, sizeof text, "%.900s%s%.100s", path, *path ? ": " : "", why);
    copy->incomplete = true;
    put(copy, TB_MSG_ERROR, text, (size_t)length);
}

static void put_entry(Copy *copy, TbEntryKind kind, const struct stat *st, size_t target_length)
{
    uint8_t payload[TB_ENTRY_WIRE_LIMIT];
    TbWriter writer = tb_writer(payload, sizeof payload);
    const TbEntry entry = {.kind = kind,
                           .mode = st->st_mode & 07777,
                           .size = kind == TB_ENTRY_FILE ? (uint64_t)st->st_size : 0,
                           .mtime_sec = st->st_mtim.tv_sec,
                           .mtime_nsec = (uint32_t)st->st_mtim.tv_nsec,
                           .path = (const uint8_t *)copy->path,
                           .path_length = copy->length,
                           .target = (const uint8_t *)copy->target,
                           .target_length = target_length};
    tb_encode_entry(&writer, &entry);
    put(copy, TB_MSG_ENTRY, payload, writer.length);
    copy->count++;
}

static void put_file(Copy *copy, int fd, const struct stat *st)
{
    static uint8_t buffer[CHUNK];
    TbSha256 hash;
    uint8_t digest[TB_HASH_SIZE];
    put_entry(copy, TB_ENTRY_FILE, st, 0);
    tb_sha256_init(&hash);
    ssize_t n;
    while (!copy->broken && (n = read(fd, buffer, sizeof buffer)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            left_out(copy, strerror(errno));
            break;
        }
        tb_sha256_add(&hash, buffer, (size_t)n);
        put(copy, TB_MSG_FILE_DATA, buffer, (size_t)n);
    }
    tb_sha256_end(&hash, digest);
    put(copy, TB_MSG_FILE_END, digest, sizeof digest);
}

static void put_any(Copy *copy, int dir, const char *name, bool follow);

static void put_children(Copy *copy, int fd)
{
    DIR *stream = fdopendir(fd);
    size_t length = copy->length;
    if (!stream) {
        left_out(copy, strerror(errno));
        close(fd);
        return;
    }
    copy->depth++;
    for (struct dirent *entry; !copy->broken && (entry = readdir(stream));) {
        size_t name_length = strlen(entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (length + 1 + name_length > TB_PATH_LIMIT || copy->depth > DEPTH_LIMIT) {
            left_out(copy, "what is below is too deep");
            break;
        }
        copy->path[length] = '/';
        memcpy(copy->path + length + 1, entry->d_name, name_length + 1);
        copy->length = length + 1 + name_length;
        put_any(copy, dirfd(stream), entry->d_name, false);
        copy->path[copy->length = length] = '\0';
    }
    copy->depth--;
    closedir(stream);
}

static void put_link(Copy *copy, int dir, const char *name, const struct stat *st)
{
    ssize_t length = readlinkat(dir, name, copy->target, sizeof copy->target);
    if (length < 0 || length > TB_TARGET_LIMIT)
        left_out(copy, length < 0 ? strerror(errno) : "the link is too long");
    else
        put_entry(copy, TB_ENTRY_SYMLINK, st, (size_t)length);
}

/* O_NONBLOCK: a pipe that took a file's place must not hold us. */
static void put_any(Copy *copy, int dir, const char *name, bool follow)
{
    struct stat st;
    if (fstatat(dir, name, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) != 0) {
        left_out(copy, strerror(errno));
        return;
    }
    if (S_ISLNK(st.st_mode)) {
        put_link(copy, dir, name, &st);
        return;
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        put_entry(copy, TB_ENTRY_OTHER, &st, 0);
        return;
    }
    int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW);
    int fd = openat(dir, name, flags);
    if (fd < 0 || fstat(fd, &st) != 0) {
        left_out(copy, strerror(errno));
        tb_close(&fd);
    } else if (S_ISDIR(st.st_mode)) {
        put_entry(copy, TB_ENTRY_DIR, &st, 0);
        put_children(copy, fd);
    } else if (S_ISREG(st.st_mode)) {
        put_file(copy, fd, &st);
        tb_close(&fd);
    } else {
        put_entry(copy, TB_ENTRY_OTHER, &st, 0);
        tb_close(&fd);
    }
}

int tb_copy_run(int fd, const char *path)
{
    Copy *copy = calloc(1, sizeof *copy);
    if (!copy)
        return 1;
    copy->out = fd;
    copy->path[copy->length++] = 'x';
    put_any(copy, AT_FDCWD, path, true);
    uint8_t payload[4];
    TbWriter writer = tb_writer(payload, sizeof payload);
    tb_put_u32(&writer, copy->count);
    put(copy, TB_MSG_LIST_END, payload, writer.length);
    int status = copy->incomplete || copy->broken;
    free(copy);
    return status;
}
