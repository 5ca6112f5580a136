/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For the unit tests: what tb_open_beneath does on a kernel without openat2. */
#pragma once

#include <sys/types.h>

/* As tb_open_beneath, a component at a time; refuses every "..". */
int tb_open_beneath_by_walk(int dirfd, const char *path, int flags, mode_t mode);
