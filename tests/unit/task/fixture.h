/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A store in a directory of its own for each test. */
#pragma once

#include <check.h>
#include <glib.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../suite.h"
#include "task/store.h"
#include "util/error.h"
#include "util/fs.h"

#include <fcntl.h>

static char *root;
static TbStore *store;

static inline void set_up(void)
{
    root = g_dir_make_tmp("taskbox-test-XXXXXX", NULL);
    ck_assert_ptr_nonnull(root);
    g_autofree char *path = g_build_filename(root, "tasks", NULL);
    GError *error = NULL;
    store = tb_store_open_at(path, &error);
    ck_assert_msg(store != NULL, "%s", error ? error->message : "");
}

/* And the state directory is the test's own. */
static inline void set_up_state(void)
{
    set_up();
    g_setenv("XDG_STATE_HOME", root, TRUE);
}

static inline void tear_down(void)
{
    g_clear_pointer(&store, tb_store_free);
    ck_assert(tb_remove_tree(AT_FDCWD, root, NULL));
    g_clear_pointer(&root, g_free);
}

static inline TbTask *new_task(void)
{
    GError *error = NULL;
    TbTask *task = tb_task_create(store, &error);
    ck_assert_msg(task != NULL, "%s", error ? error->message : "");
    return task;
}

/* A task directory with just this record, as another version or a broken disk may leave it. */
static inline void plant(const char *id, const char *record)
{
    g_autofree char *dir = g_build_filename(tb_store_path(store), id, NULL);
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    g_autofree char *path = g_build_filename(dir, "record.json", NULL);
    ck_assert(g_file_set_contents(path, record, -1, NULL));
}
