/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine that the guest program believes it is in, for fuzz-guest. What would change this one
 * is wrapped: clocks, mounts, names, owners, programs, signals to anybody but its own children. The
 * clock runs when somebody waits. A task's process is a child that writes, reads or sleeps. Files
 * are real, in a temporary directory, in memory where there is that.
 */
#pragma once

#include <stdbool.h>

#include "guest/guest.h"

/* A failed condition is a finding: aborts. */
void must(bool holds);

/* What an earlier run left goes, and `config` gets the directories. A part of what a task would
 * have changed is there. */
void machine_renew(TbGuestConfig *config);

/* From here to machine_stop the calls are wrapped (they are the fuzzer's own, too). `turn` is
 * called before each poll and says whether a child could make its descriptors ready. */
void machine_start(bool (*turn)(void));
void machine_stop(void);
