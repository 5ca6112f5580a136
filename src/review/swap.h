/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file of a git directory that an apply replaces along with the files of the project: an index, a
 * branch. */
#pragma once

#include <glib.h>

typedef struct {
    char *dir;     /* absolute */
    char *path;    /* in it, over directories only */
    GBytes *old;   /* what it must hold; NULL: it must not be there */
    GBytes *fresh; /* what it is to hold; NULL: it goes */
} TbSwap;

/* Takes references. */
TbSwap *tb_swap_new(const char *dir, const char *path, GBytes *old, GBytes *fresh);
void tb_swap_free(TbSwap *swap);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbSwap, tb_swap_free)
/* An empty array of TbSwap that frees them. */
GPtrArray *tb_swaps_new(void);
