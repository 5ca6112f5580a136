/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A temporary directory for mmdebstrap that is found again after a kill. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Makes one and notes its path in file `name` of directory `dirfd`; first removes the one noted
 * there before. The caller holds a lock on the name. g_free, NULL with error. */
char *tb_scratch_make(int dirfd, const char *name, GError **error);
/* Removes the one noted in `name` with all in it, and the note. */
bool tb_scratch_remove(int dirfd, const char *name, GError **error);
