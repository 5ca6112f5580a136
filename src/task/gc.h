/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is kept and no longer needed. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include "task/store.h"

typedef struct {
    char *what;     /* "task brave-otter-k3 (discarded)" */
    uint64_t bytes; /* on disk; 0: not known */
} TbGcItem;

/*
 * Finds, and with `apply` removes:
 *   - tasks that were discarded,
 *   - tasks that failed or were applied and ended more than `max_age` seconds ago,
 *   - boxes that were kept (--keep) by tasks that ended more than `max_age` seconds ago,
 *   - project images that no run uses and that are older than `max_age`,
 *   - what killed image builds left, and images that no name means.
 * A task whose patch is ready is never touched. Returns an array of TbGcItem, freed with it.
 */
GPtrArray *tb_gc(TbStore *store, uint64_t max_age, bool apply, GError **error);
