/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which device is the root: options of the command line, labels and ids in ext4 superblocks. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "guest/initrd.h"
#include "guest/util.h"

enum { SUPERBLOCK = 1024, MAGIC_AT = 56, UUID_AT = 104, LABEL_AT = 120, LABEL_SIZE = 16 };

bool tb_initrd_option(const char *cmdline, const char *key, char *out, size_t size)
{
    bool found = false;
    size_t key_length = strlen(key);
    while (*cmdline) {
        cmdline += strspn(cmdline, " \t\n");
        size_t length = strcspn(cmdline, " \t\n");
        if (length >= key_length && strncmp(cmdline, key, key_length) == 0) {
            size_t value = length - key_length;
            if (value >= size)
                value = size - 1;
            memcpy(out, cmdline + key_length, value);
            out[value] = '\0';
            found = true;
        }
        cmdline += length;
    }
    return found;
}

static void uuid_text(const uint8_t *id, char out[37])
{
    char *at = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        at += sprintf(at, "%02x", id[i]);
    }
}

bool tb_initrd_matches(const char *device, const char *root)
{
    uint8_t block[256];
    tb_auto_fd fd = open(device, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, block, sizeof block, SUPERBLOCK) != (ssize_t)sizeof block ||
        block[MAGIC_AT] != 0x53 || block[MAGIC_AT + 1] != 0xef)
        return false;
    if (strncmp(root, "LABEL=", 6) == 0)
        return strlen(root + 6) <= LABEL_SIZE &&
               strncmp((const char *)block + LABEL_AT, root + 6, LABEL_SIZE) == 0;
    char uuid[37];
    uuid_text(block + UUID_AT, uuid);
    return strncmp(root, "UUID=", 5) == 0 && strcasecmp(uuid, root + 5) == 0;
}
