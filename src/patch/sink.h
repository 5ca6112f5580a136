/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A patch file while it is written: never larger than allowed, the diff part hashed. Private to
 * src/patch. */
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
