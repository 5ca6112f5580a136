/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * landlock(7), a second fence for a process that is in a jail already: where the kernel has it, it
 * holds even when the first one has a hole. Plain C: git's first process has no library.
 */
#pragma once

/* The version that this kernel has; 0: none. */
unsigned tb_landlock_version(void);

/*
 * From here on the calling thread, and what it starts, may read files and execute them, but change
 * none save at or below the paths of `writable` (NULL-terminated; NULL: none; one that is not there
 * is passed over), mount nothing, listen on no TCP port, and reach no socket without a path and no
 * process that was there before (each as far as `version` of landlock knows it). It cannot be taken
 * back. With version 0 nothing happens. Returns 0, or an errno when the kernel refuses.
 */
int tb_landlock_enter(unsigned version, const char *const *writable)
    __attribute__((warn_unused_result));
