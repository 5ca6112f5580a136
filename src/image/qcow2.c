/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2 headers. A qcow2 file may name another file (a backing file, an external data file) which
 * every tool then reads as part of the disk: with a file from elsewhere that is a way to read this
 * machine's files into the image. So the header is looked at before any tool opens the file.
 */
#include <json-glib/json-glib.h>
#include <fcntl.h>
#include <string.h>
#include "image/qcow2.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/hole.h"

#define HEADER_SIZE        104
#define BACKING_OFFSET_AT  8
#define BACKING_LENGTH_AT  16
#define BACKING_MAX        1024
#define SIZE_AT            24
#define CRYPT_AT           32
#define INCOMPATIBLE_AT    72
#define EXTERNAL_DATA_FLAG (1ULL << 2)
#define KNOWN_FLAGS        (1ULL << 3 | 1ULL << 4) /* compression, extended L2; not: dirty, corrupt */

static uint64_t big_endian(const uint8_t *p, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | p[i];
    return value;
}

/* All but what is behind it. */
static bool check_kind(const uint8_t *p, size_t length, const char *name, GError **error)
{
    if (length < HEADER_SIZE || memcmp(p, "QFI\xfb", 4) != 0)
        return tb_error_set(error, TB_ERROR_IMAGE,
                            "cannot use '%s': it is no qcow2 image (convert it with qemu-img)",
                            name);
    uint64_t version = big_endian(p + 4, 4);
    if (version != 2 && version != 3)
        return tb_error_set(error, TB_ERROR_IMAGE, "cannot use '%s': unknown qcow2 version", name);
    if (tb_hole("image-backing"))
        return true;
    if (big_endian(p + CRYPT_AT, 4) != 0)
        return tb_error_set(error, TB_ERROR_IMAGE, "cannot use '%s': it is encrypted", name);
    if (version == 3 && (big_endian(p + INCOMPATIBLE_AT, 8) & EXTERNAL_DATA_FLAG))
        return tb_error_set(error, TB_ERROR_IMAGE,
                            "cannot use '%s': its data lie in another file (flatten it with "
                            "'qemu-img convert')",
                            name);
    return true;
}

bool tb_qcow2_check_header(const void *data, size_t length, const char *name, GError **error)
{
    const uint8_t *p = data;
    if (!check_kind(p, length, name, error))
        return false;
    if (big_endian(p + BACKING_OFFSET_AT, 8) != 0 && !tb_hole("image-backing"))
        return tb_error_set(error, TB_ERROR_IMAGE,
                            "cannot use '%s': it has a backing file (flatten it with 'qemu-img "
                            "convert')",
                            name);
    return true;
}

static ssize_t read_header(int fd, uint8_t header[HEADER_SIZE], const char *path, GError **error)
{
    ssize_t got = fd < 0 ? -1 : pread(fd, header, HEADER_SIZE, 0);
    if (got < 0)
        tb_error_set_errno(error, errno, "cannot read '%s'", path);
    return got;
}

bool tb_qcow2_check(const char *path, GError **error)
{
    uint8_t header[HEADER_SIZE];
    tb_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t got = read_header(fd, header, path, error);
    return got >= 0 && tb_qcow2_check_header(header, (size_t)got, path, error);
}

bool tb_qcow2_check_layer(const char *path, const char *backing, GError **error)
{
    uint8_t header[HEADER_SIZE];
    char named[BACKING_MAX];
    tb_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t got = read_header(fd, header, path, error);
    if (got < 0 || !check_kind(header, (size_t)got, path, error))
        return false;
    uint64_t at = big_endian(header + BACKING_OFFSET_AT, 8);
    uint64_t length = big_endian(header + BACKING_LENGTH_AT, 4);
    if (at > 0 && at < INT32_MAX && length == strlen(backing) && length < sizeof named &&
        pread(fd, named, length, (off_t)at) == (ssize_t)length &&
        memcmp(named, backing, length) == 0)
        return true;
    return tb_error_set(error, TB_ERROR_IMAGE,
                        "cannot use '%s': it does not lie on what it was made on", path);
}

bool tb_qcow2_check_import(const char *path, uint64_t size, GError **error)
{
    uint8_t header[HEADER_SIZE];
    tb_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t got = read_header(fd, header, path, error);
    if (got < 0 || !tb_qcow2_check_header(header, (size_t)got, path, error))
        return false;
    bool plain = header[7] == 2 || (big_endian(header + INCOMPATIBLE_AT, 8) & ~KNOWN_FLAGS) == 0;
    return (plain && big_endian(header + SIZE_AT, 8) == size) ||
           tb_error_set(error, TB_ERROR_IMAGE,
                        "cannot use '%s': its size is not what the manifest says, or it is damaged",
                        path);
}

/* What QEMU is to open, whatever the headers name: this file and nothing behind it, or these. */
static void describe_disk(JsonBuilder *json, const char *disk, const char *const *bases)
{
    json_builder_begin_object(json);
    json_builder_set_member_name(json, "driver");
    json_builder_add_string_value(json, "qcow2");
    json_builder_set_member_name(json, "file");
    json_builder_begin_object(json);
    json_builder_set_member_name(json, "driver");
    json_builder_add_string_value(json, "file");
    json_builder_set_member_name(json, "filename");
    json_builder_add_string_value(json, disk);
    json_builder_end_object(json);
    json_builder_set_member_name(json, "backing");
    if (bases && *bases)
        describe_disk(json, *bases, bases + 1);
    else
        json_builder_add_null_value(json);
    json_builder_end_object(json);
}

char *tb_disk_description(const char *disk, const char *const *bases)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    describe_disk(json, disk, bases);
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    g_autofree char *text = json_to_string(root, FALSE);
    return g_strconcat("json:", text, NULL);
}
