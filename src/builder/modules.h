/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which kernel modules an initramfs needs, and in which order they load. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* What depmod wrote: modules.dep, and modules.builtin for those that need no file. Either text may
 * be hostile; paths with ".." or from the root are dropped. */
typedef struct TbModules TbModules;
TbModules *tb_modules_parse(const char *dep, const char *builtin);
void tb_modules_free(TbModules *modules);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbModules, tb_modules_free)

bool tb_modules_builtin(const TbModules *modules, const char *name);

/* Appends to `order` the files (relative to the modules directory) that module `name` needs, each
 * after what it depends on and each once; the last is the module itself. A built-in one adds
 * nothing. False when the kernel has no such module. '-' and '_' are the same in names. */
bool tb_modules_resolve(const TbModules *modules, const char *name, GPtrArray *order);
