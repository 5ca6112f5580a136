/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Exit statuses. docs/exit-codes.md holds the same table; a test compares. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "util/error.h"

/* apply --3way: done, with conflict markers. No failure, so no class. */
#define TB_EXIT_MERGE_CONFLICTS 13
/* run --verify: the patch is there, and the command that tried it says no, or nothing. */
#define TB_EXIT_NOT_VERIFIED 14
#define TB_EXIT_TIMEOUT      124
/* taskbox's own failure under `run -- CMD`, where all others are the command's. */
#define TB_EXIT_OWN_FAILURE 125

typedef struct {
    TbErrorCode code;
    int status; /* 0: 128 + the signal's number */
} TbExitClass;

/* One row an error code, TB_EXIT_CLASSES of them. */
#define TB_EXIT_CLASSES (TB_ERROR_INTERRUPTED + 1)
extern const TbExitClass tb_exit_classes[TB_EXIT_CLASSES];

/* The exit status for a failure. With `passes_through` the command's statuses are passed on, so
 * that ours is TB_EXIT_OWN_FAILURE (an interrupt stays 128 + N). */
int tb_exit_status(const GError *error, bool passes_through);
