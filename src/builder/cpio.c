/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All times are zero and inodes count up: the same content gives the same bytes. */
#include "builder/cpio.h"

#include <string.h>
#include <sys/stat.h>

typedef struct {
    unsigned mode, links, major, minor;
    size_t size;
} Header;

static void pad(GByteArray *out)
{
    static const uint8_t zeros[4];
    g_byte_array_append(out, zeros, (4 - out->len % 4) % 4);
}

static void add(TbCpio *cpio, const char *path, const Header *header, const void *data)
{
    char text[111];
    size_t name_size = strlen(path) + 1;
    g_snprintf(text, sizeof text, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
               cpio->inode++, header->mode, 0U, 0U, header->links, 0U, (unsigned)header->size, 0U,
               0U, header->major, header->minor, (unsigned)name_size, 0U);
    g_byte_array_append(cpio->out, (const uint8_t *)text, 110);
    g_byte_array_append(cpio->out, (const uint8_t *)path, (unsigned)name_size);
    pad(cpio->out);
    if (header->size > 0)
        g_byte_array_append(cpio->out, data, (unsigned)header->size);
    pad(cpio->out);
}

void tb_cpio_begin(TbCpio *cpio)
{
    cpio->out = g_byte_array_new();
    cpio->inode = 1;
}

void tb_cpio_dir(TbCpio *cpio, const char *path, unsigned mode)
{
    add(cpio, path, &(Header){.mode = S_IFDIR | mode, .links = 2}, NULL);
}

void tb_cpio_file(TbCpio *cpio, const char *path, unsigned mode, const void *data, size_t length)
{
    add(cpio, path, &(Header){.mode = S_IFREG | mode, .links = 1, .size = length}, data);
}

void tb_cpio_char(TbCpio *cpio, const char *path, unsigned mode, unsigned major, unsigned minor)
{
    add(cpio, path, &(Header){.mode = S_IFCHR | mode, .links = 1, .major = major, .minor = minor},
        NULL);
}

GBytes *tb_cpio_end(TbCpio *cpio)
{
    add(cpio, "TRAILER!!!", &(Header){.links = 1}, NULL);
    return g_byte_array_free_to_bytes(g_steal_pointer(&cpio->out));
}
