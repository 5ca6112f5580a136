/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stdout carries results. What a box wrote is made safe when a terminal shows it. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "patch/patch.h"

/* Bytes of a box on their way to one of our descriptors: as they are, or, on a terminal, escaped
 * (a carriage return starts a new line). A reader that went away (EPIPE) is no error; the rest is
 * dropped. */
typedef struct TbScreen TbScreen;
TbScreen *tb_screen_new(int fd);
bool tb_screen_write(TbScreen *screen, const void *data, size_t length, GError **error);
/* A sequence of ours (style.h), after what is held back of a character. */
bool tb_screen_colour(TbScreen *screen, const char *sequence, GError **error);
/* Writes what is held back of a character that never got complete, too. */
void tb_screen_free(TbScreen *screen);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbScreen, tb_screen_free)
/* Both of a command's streams; `out` may be NULL: its stdout then goes where stderr goes. */
typedef struct {
    TbScreen *out, *err;
} TbScreens;
bool tb_screens_write(TbScreens *screens, int fd, const void *data, size_t length, GError **error);
void tb_screens_clear(TbScreens *screens);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TbScreens, tb_screens_clear)
/* The same for tests: escapes whatever `fd` is. */
TbScreen *tb_screen_new_escaping(int fd);

/* One text to stdout, as it is. False with an error when it cannot be written (not for EPIPE). */
bool tb_print(const char *text, GError **error);
bool tb_print_format(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* {"status": "failed", "error": {"class": ..., "message": ...}}. g_free. */
char *tb_error_json(const GError *error);

/* "now", "5 m", "3 h", "12 d" since then (milliseconds since the epoch). g_free. */
char *tb_age_format(int64_t since_ms);
/* "A" added, "D" deleted, "M" changed. Static strings. */
const char *tb_file_kind(const TbPatchFile *file);
/* "3 files, +10 -2", "no changes", "" when there is no patch. g_free. */
char *tb_stat_format(const TbPatchStat *stat);
