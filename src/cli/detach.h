/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* run --detach: the task goes on in a process of its own, with a session of its own. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "task/store.h"

typedef struct {
    int told; /* where the id is told to once the box runs; -1: not detached */
} TbDetach;
#define TB_DETACH_INIT ((TbDetach){-1})

/* Becomes two processes. In the one that was there before this waits until the other one's box
 * runs; *left_behind is true and *id (g_free) the task's. When the other one fails it has said why,
 * *id is NULL and its exit status *status. */
bool tb_detach_begin(TbDetach *detach, bool *left_behind, char **id, int *status, GError **error);
/* The box runs: tells the id and lets go of the terminal. Nothing when not detached. */
bool tb_detach_started(TbDetach *detach, const TbTask *task, GError **error);
