/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Work in a process of its own, so that it can be ended at any moment. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Does the work in the child: true with the result's text in `out`, or false with error. */
typedef bool (*TbWorkFn)(void *data, GString *out, GError **error);

/* Forks, calls `work` in the child and gives back what it gave: text appended to `out`, or the
 * error. An interrupt, and our own death, kill the child's whole process group; what libguestfs
 * left of itself is removed. */
bool tb_worker_run(TbWorkFn work, void *data, GString *out, GError **error);
