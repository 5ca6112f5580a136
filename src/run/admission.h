/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The right to have a box: boxes of one user wait here for room. Private to src/run. */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "config/settings.h"

typedef struct TbAdmission TbAdmission;

/* Waits, first in first out among all processes that share the state directory, until a box of
 * this size fits beside the running ones into `capacity` (what is 0 there comes from the machine);
 * says so once when it has to. Counted is the nominal size: forks share memory and touch less.
 * TB_ERROR_LIMIT when it would not fit alone, TB_ERROR_INTERRUPTED. */
TbAdmission *tb_admission_take(const TbCapacity *capacity, unsigned cpus, uint64_t memory,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Gives the room back; call it when the box is gone. A process that dies gives it back as well. */
void tb_admission_free(TbAdmission *admission);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbAdmission, tb_admission_free)
