/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libtaskbox: what a program that embeds taskbox may call. Everything works on the user's store,
 * like the commands do, and may be mixed with them. Calls block; use one thread. Strings and
 * structures are documented where they are declared. Not stable before 1.0.
 *
 *     g_autoptr(TaskboxStore) store = taskbox_store_open(&error);
 *     const char *command[] = {"make", "test", NULL};
 *     TaskboxRunOptions options = {.directory = "/src/project", .command = command};
 *     g_autoptr(TaskboxTask) task = NULL;
 *     if (store && taskbox_run(store, &options, &task, &error))
 *         puts(taskbox_task_id(task));
 */
#pragma once

#include <taskbox/error.h>
#include <taskbox/image.h>
#include <taskbox/run.h>
#include <taskbox/task.h>
