/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The qcow2 overlay of a box. It names its backing file as the jail will see it, so nothing opens
 * that here (-u), and once a box has run nobody on the host opens the overlay again. */
#include "vm/box-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/command.h"
#include "util/error.h"
#include "vm/layout.h"

#define HEADER_SIZE 32
#define SIZE_OFFSET 24
#define SECONDS     30

bool tb_overlay_size(const char *image, uint64_t *size, GError **error)
{
    static const uint8_t magic[] = {'Q', 'F', 'I', 0xfb};
    uint8_t header[HEADER_SIZE];
    tb_autofd fd = open(image, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return tb_error_set_errno(error, errno, "cannot open image '%s'", image);
    ssize_t got = pread(fd, header, sizeof header, 0);
    if (got < 0)
        return tb_error_set_errno(error, errno, "cannot read image '%s'", image);
    if (got != HEADER_SIZE || memcmp(header, magic, sizeof magic) != 0)
        return tb_error_set(error, TB_ERROR_IMAGE,
                            "cannot use image '%s': it is not a qcow2 file (build it again)",
                            image);
    uint64_t big_endian;
    memcpy(&big_endian, header + SIZE_OFFSET, sizeof big_endian);
    *size = GUINT64_FROM_BE(big_endian);
    return true;
}

const char tb_box_layer_backing[] = TB_JAIL_BASE;

bool tb_box_layer_disk(int to, const char *name, uint64_t size, GError **error)
{
    return tb_overlay_create(to, name, tb_box_layer_backing, size, error);
}

bool tb_overlay_create(int dir_fd, const char *name, const char *backing, uint64_t size,
                       GError **error)
{
    g_autofree char *folder = g_strdup_printf("/proc/%d/fd/%d", (int)getpid(), dir_fd);
    g_autoptr(TbCommand) command = tb_command_new("qemu-img");
    tb_command_add(command, "create", "-q", "-f", "qcow2", "-u", "-b", backing, "-F", "qcow2", name,
                   NULL);
    tb_command_add_format(command, "%" G_GUINT64_FORMAT, size);
    tb_command_set_cwd(command, folder);
    tb_command_set_timeout(command, SECONDS);
    return tb_command_run(command, NULL, error);
}
