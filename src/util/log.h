/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Diagnostics on stderr; stdout carries results only. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef enum {
    TB_LOG_QUIET = -1,
    TB_LOG_NORMAL = 0,
    TB_LOG_VERBOSE = 1,
    TB_LOG_DEBUG = 2
} TbLogLevel;

/* Process-wide. TASKBOX_DEBUG=1 in the environment means TB_LOG_DEBUG. */
void tb_log_set_level(TbLogLevel level);
TbLogLevel tb_log_level(void);
/* "taskbox: warning: ..." */
void tb_warn(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* A plain line "taskbox: ..." that says what happens now; not with --quiet. */
void tb_info(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* With -v and -vv. */
void tb_verbose(const char *format, ...) G_GNUC_PRINTF(1, 2);
void tb_debug(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* A status that the next one replaces on a terminal; elsewhere a plain line each. tb_status_done
 * clears it. Other output clears it first. */
void tb_status(const char *format, ...) G_GNUC_PRINTF(1, 2);
void tb_status_done(void);
