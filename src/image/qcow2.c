/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2 headers. A qcow2 file may name another file (a backing file, an external data file) which
 * every tool then reads as part of the disk: with a file from elsewhere that is a way to read this
 * machine's files into the image. So the header is looked at before any tool opens the file.
 */
#include <fcntl.h>
#include <string.h>
#include "image/build-private.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/hole.h"

#define HEADER_SIZE        104
#define BACKING_OFFSET_AT  8
#define CRYPT_AT           32
#define INCOMPATIBLE_AT    72
#define EXTERNAL_DATA_FLAG (1ULL << 2)

static uint64_t big_endian(const uint8_t *p, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | p[i];
    return value;
}

bool tb_qcow2_check_header(const void *data, size_t length, const char *name, GError **error)
{
    const uint8_t *p = data;
    if (length < HEADER_SIZE || memcmp(p, "QFI\xfb", 4) != 0)
        return tb_error_set(error, TB_ERROR_IMAGE,
                            "cannot use '%s': it is no qcow2 image (convert it with qemu-img)",
                            name);
    uint64_t version = big_endian(p + 4, 4);
    if (version != 2 && version != 3)
        return tb_error_set(error, TB_ERROR_IMAGE, "cannot use '%s': unknown qcow2 version", name);
    if (tb_hole("image-backing"))
        return true;
    if (big_endian(p + BACKING_OFFSET_AT, 8) != 0)
        return tb_error_set(error, TB_ERROR_IMAGE,
                            "cannot use '%s': it has a backing file (flatten it with 'qemu-img "
                            "convert')",
                            name);
    if (big_endian(p + CRYPT_AT, 4) != 0)
        return tb_error_set(error, TB_ERROR_IMAGE, "cannot use '%s': it is encrypted", name);
    if (version == 3 && (big_endian(p + INCOMPATIBLE_AT, 8) & EXTERNAL_DATA_FLAG))
        return tb_error_set(error, TB_ERROR_IMAGE,
                            "cannot use '%s': its data lie in another file (flatten it with "
                            "'qemu-img convert')",
                            name);
    return true;
}

bool tb_qcow2_check(const char *path, GError **error)
{
    uint8_t header[HEADER_SIZE];
    tb_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t got = fd < 0 ? -1 : pread(fd, header, sizeof header, 0);
    if (got < 0)
        return tb_error_set_errno(error, errno, "cannot read '%s'", path);
    return tb_qcow2_check_header(header, (size_t)got, path, error);
}
