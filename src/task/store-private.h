/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of the store share. Private to src/task. */
#pragma once

#include "task/store.h"

/* Names in the tasks directory that are no tasks start with a dot. */
#define TB_STORE_NEW  ".new-"  /* a task that is being made */
#define TB_STORE_GONE ".gone-" /* a task that is being removed */

#define TB_STORE_APPLY ".apply-lock" /* held while a project is written */

struct TbStore {
    char *path;
    int dirfd;
};

/* Names of all tasks, unordered; GPtrArray of char *. */
GPtrArray *tb_store_names(TbStore *store, GError **error);
/* Opens the task with exactly this id. */
TbTask *tb_store_load(TbStore *store, const char *id, GError **error);
/* The lock that guards names in the tasks directory coming and going. Close to give back. */
int tb_store_lock(TbStore *store, GError **error);
