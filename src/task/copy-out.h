/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file or directory on its way out of a box onto the host, as taskbox-guest's "copy" writes it
 * (docs/protocol.md, "Copies"). All of it is hostile: it is made in a directory of our own beside
 * the place it goes to, and put there by one rename once it is whole.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include "task/store.h"

typedef struct TbCopyOut TbCopyOut;

/* What comes becomes `name` in `dirfd` (the caller's); at most `max` bytes. TB_ERROR_EXISTS when
 * something is there, unless `force`, and then when it is a directory. */
TbCopyOut *tb_copy_out_new(int dirfd, const char *name, bool force, uint64_t max, GError **error);
/* Gives it all of the stream for a path of a task that has ended: the project as the task left it.
 */
bool tb_copy_out_ended(TbCopyOut *copy, const TbTask *task, const char *path, GError **error);
/* Takes bytes of the stream, in any pieces. */
bool tb_copy_out_take(TbCopyOut *copy, const void *data, size_t length, GError **error);
/* The stream has ended: puts it in place, if it is whole. */
bool tb_copy_out_finish(TbCopyOut *copy, GError **error);
/* What is not in it and why, a line each, escaped; and how much is. */
const GPtrArray *tb_copy_out_notes(const TbCopyOut *copy);
void tb_copy_out_size(const TbCopyOut *copy, uint64_t *files, uint64_t *bytes);
/* What was not put in place is removed. */
void tb_copy_out_free(TbCopyOut *copy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbCopyOut, tb_copy_out_free)

/* Whether a link at `path` (relative, as the copy has it) with this target stays in the copy: some
 * ".." at its beginning, as many as there are directories above, and only names after them. */
bool tb_copy_out_link_stays(const char *path, const char *target);
