/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A delta as its two makers see it: delta.c compares scan and image, delta-tree.c puts a tree on
 * top. */
#pragma once

#include "project/private.h"

typedef struct {
    TbEntryKind kind;
    const char *path; /* of the scan, the manifest or the item */
    TbItem *item;     /* NULL for DELETE */
    off_t stored;     /* where the content is in the store; -1: not there */
} Op;

struct TbDelta {
    TbProject *project;
    TbScan *scan;
    GArray *ops;
    guint next;
    uint64_t bytes;
    int fd; /* the file being sent */
    const TbItem *item;
    off_t stored; /* of the file being sent */
    uint64_t left;
    int store;       /* an unnamed file: contents that the project does not have */
    GPtrArray *made; /* TbItem *: what the scan does not have */
};
