/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* "512", "512M", "8GiB", "20G", "1.5GiB": K, M, G, T are powers of 1024, as in QEMU and Lima; the
 * "iB" or "B" is optional, case does not matter. TB_ERROR_USAGE on anything else or overflow. */
bool tb_size_parse(const char *text, uint64_t *bytes, GError **error);
/* "90", "90s", "30m", "2h", "1h30m", "1d". Seconds. TB_ERROR_USAGE on anything else. */
bool tb_duration_parse(const char *text, uint64_t *seconds, GError **error);
/* "1.5 GiB", "312 B". g_free. */
char *tb_size_format(uint64_t bytes);
/* "2 m 05 s", "340 ms". g_free. */
char *tb_duration_format(uint64_t milliseconds);
/* Digits only, within [min, max]. `what` names the value in the error (TB_ERROR_USAGE). */
bool tb_number_parse(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *out,
                     GError **error);
/* How many commits: "full" is TB_ALL_COMMITS, "none" 0, else a number. TB_ERROR_USAGE. */
#define TB_ALL_COMMITS UINT_MAX
#define TB_MAX_COMMITS 200
bool tb_history_parse(const char *text, unsigned *commits, GError **error);
/* The word in the NULL-terminated list nearest to `word` by edit distance, NULL when none is near
 * (more than a third of its letters off). Points into the list. */
const char *tb_nearest_word(const char *word, const char *const *words);
