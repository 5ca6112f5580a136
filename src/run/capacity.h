/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How much of this machine boxes may take together. Private to src/run. */
#pragma once

#include "config/settings.h"

/* `set` completed by what the machine has:
 *   cpus    the processors this process may run on (affinity), times TB_CAPACITY_OVERCOMMIT
 *   memory  the machine's, or the least limit of our control groups, less a reserve for all
 *           else: a tenth and at least 1 GiB, but never more than half */
TbCapacity tb_capacity_get(const TbCapacity *set);

/* An agent waits for its model and a build for its disk most of the time, so processors are shared:
 * eight boxes of the default shape (2 processors) run at once on a machine with two. */
#define TB_CAPACITY_OVERCOMMIT 8

/* How many processors this process may run on (affinity). */
unsigned tb_capacity_processors(void);
/* Bytes of memory that may be used by all of us, before the reserve: read from `root`/proc and
 * `root`/sys ("" but in tests). */
uint64_t tb_capacity_memory(const char *root);
/* Those bytes less the reserve. */
uint64_t tb_capacity_less_reserve(uint64_t memory);
