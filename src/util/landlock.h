/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * landlock(7), a second fence for a process that is in a jail already: where the kernel has it, it
 * holds even when the first one has a hole.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* The version that this kernel has; 0: none. */
unsigned tb_landlock_version(void);

/*
 * From here on the calling thread, and what it starts, may read files and execute them but change
 * none anywhere, listen on no TCP port, and reach no socket without a path and no process outside
 * (each as far as `version` of landlock knows it). It cannot be taken back. With version 0 nothing
 * happens. False with error set when the kernel refuses.
 */
bool tb_landlock_only_read(unsigned version, GError **error) G_GNUC_WARN_UNUSED_RESULT;
