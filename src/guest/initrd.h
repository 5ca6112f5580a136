/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The init of the initramfs: loads modules, mounts the root file system and becomes its init.
 * Says why and powers off when it cannot. */
_Noreturn void tb_initrd_run(void);

/* The value of `key` ("root=") on a kernel command line; the last one counts. False: not there. */
bool tb_initrd_option(const char *cmdline, const char *key, char *out, size_t size);

/* Whether the ext4 file system at `device` is the one that `root` (LABEL=... or UUID=...) names. */
bool tb_initrd_matches(const char *device, const char *root);
