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

/* Names in a directory but "." and "..", unordered; GPtrArray of char *. `path` is for errors. */
GPtrArray *tb_dir_names(int dirfd, const char *path, GError **error);
/* Names of all tasks, unordered; GPtrArray of char *. */
GPtrArray *tb_store_names(TbStore *store, GError **error);
/* Opens the task with exactly this id. */
TbTask *tb_store_load(TbStore *store, const char *id, GError **error);
/* The lock that guards names in the tasks directory coming and going. Close to give back. */
int tb_store_lock(TbStore *store, GError **error);

/* Marks: tasks that a crash may leave with something to be done (task/marks.c). The store must be
 * locked, so that a mark and the reason for it come and go together. */
bool tb_mark_set(TbStore *store, const char *id, GError **error);
bool tb_mark_take_off(TbStore *store, const char *id, GError **error);
/* Ids of the marked tasks; the store is not locked. GPtrArray of char *. */
GPtrArray *tb_store_marked(TbStore *store, GError **error);
