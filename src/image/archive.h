/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an image travels in: a tar archive (POSIX ustar) of plain files whose names and order are
 * known beforehand. Nothing else is understood: no directories, links, devices, owners, modes,
 * extensions; so there is nothing a path could lead to. Any tar reads what is written here.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TB_ARCHIVE_BLOCK 512

/* The block before a file's bytes; after them zeros up to a whole block. `name` has at most 99. */
void tb_archive_header(uint8_t block[TB_ARCHIVE_BLOCK], const char *name, uint64_t size);

typedef struct TbArchive TbArchive;

/* Called for the files in order. False with error ends the reading. */
typedef struct {
    bool (*begin)(unsigned index, uint64_t size, void *data, GError **error);
    bool (*bytes)(const uint8_t *bytes, size_t length, void *data, GError **error);
    bool (*end)(unsigned index, void *data, GError **error);
    void *data;
} TbArchiveHandlers;

/* `names` (NULL-terminated) are the files that must be in it, in this order; kept by the caller, as
 * is `label`, which stands for the archive in messages. */
TbArchive *tb_archive_new(const char *label, const char *const *names,
                          const TbArchiveHandlers *handlers);
void tb_archive_free(TbArchive *archive);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbArchive, tb_archive_free)

/* Takes in more of the archive. TB_ERROR_IMAGE when it is not what it must be. */
bool tb_archive_feed(TbArchive *archive, const uint8_t *data, size_t length, GError **error);
/* No more comes: false with error unless all of it was there. */
bool tb_archive_finish(TbArchive *archive, GError **error);
