/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * In a build with -Dholes=true, which cannot be installed, one protection at a time can be switched
 * off by name (TASKBOX_HOLE): the case of the red-team suite that attacks it must then find the
 * hole. In every other build tb_hole is the constant false and nothing is left of it.
 */
#pragma once

#include <stddef.h>

#ifdef TB_HOLES
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The one that is open, NULL: none. A jail has to be told. */
static inline const char *tb_hole_open(void)
{
    return getenv("TASKBOX_HOLE");
}

static inline bool tb_hole(const char *name)
{
    const char *open = tb_hole_open();
    return open && strcmp(open, name) == 0;
}
#else
#define tb_hole_open() ((const char *)NULL)
#define tb_hole(name)  false
#endif
