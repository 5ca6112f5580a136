/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where taskbox keeps things (XDG Base Directory Specification 0.8). */
#pragma once

#include <glib.h>

/* $XDG_STATE_HOME/taskbox, $XDG_DATA_HOME/taskbox, $XDG_CACHE_HOME/taskbox and
 * $XDG_CONFIG_HOME/taskbox with their defaults; relative values are ignored as the specification
 * says. Free with g_free. The directories are not created. */
char *tb_path_state(void);
char *tb_path_data(void);
char *tb_path_cache(void);
char *tb_path_config(void);

/* Finds a program or data file that belongs to taskbox: beside the running binary in the build
 * tree (tb_path_libexec ("vm/taskbox-vmm", "taskbox-vmm")), else in the installed place. The
 * first argument is relative to the build tree's src directory. Free with g_free; NULL with
 * TB_ERROR_NOT_FOUND. */
char *tb_path_libexec(const char *build_path, const char *name, GError **error);
/* The directory that holds the cases of `taskbox redteam` and what they share. */
char *tb_path_redteam(GError **error);
/* The directory that holds the shipped recipes (images/). */
char *tb_path_recipes(GError **error);
