/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A patch file's bytes. Written: never larger than allowed, the diff part hashed. Read: all that
 * was asked for. Private to src/patch. */
#pragma once

#include "patch/patch.h"

#define SINK_END "-- \ntaskbox " TB_VERSION "\n\n"

typedef struct {
    int fd;
    uint64_t written, limit;
    GChecksum *sum; /* of the diff part while that is written; NULL else */
} Sink;

/* `sink` is a Sink; the prototype is that of TbOutputFn. */
bool sink_write(const uint8_t *data, size_t length, void *sink, GError **error);
bool sink_text(Sink *sink, const char *text, GError **error);
/* The diff between two trees as all patches of ours have it. */
bool sink_diff(Sink *sink, TbGit *git, const char *from_tree, const char *to_tree, GError **error);

/* Reads all of `size` bytes at `offset` of a patch file; TB_ERROR_VERIFY when there are fewer. */
bool patch_read_at(int fd, uint8_t *buffer, size_t size, uint64_t offset, GError **error);
