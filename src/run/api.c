/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The public API (include/taskbox) on top of what the commands use. The public types are names for
 * ours; the enums have the same values, which is checked here.
 */
#include <taskbox/taskbox.h>

#include "config/layers.h"
#include "builder/build.h"
#include "image/store.h"
#include "task/finish.h"
#include "run/run.h"
#include "task/store.h"
#include "util/error.h"
#include "util/interrupt.h"

#define SAME(name) G_STATIC_ASSERT((int)TASKBOX_ERROR_##name == (int)TB_ERROR_##name)
SAME(INTERNAL);
SAME(USAGE);
SAME(CONFIG);
SAME(NOT_FOUND);
SAME(EXISTS);
SAME(BUSY);
SAME(UNSUPPORTED);
SAME(DEPENDENCY);
SAME(IMAGE);
SAME(VM);
SAME(GUEST);
SAME(TIMEOUT);
SAME(LIMIT);
SAME(CONFLICT);
SAME(DENIED);
SAME(NO_SPACE);
SAME(IO);
SAME(VERIFY);
SAME(INTERRUPTED);
G_STATIC_ASSERT((int)TASKBOX_STATE_READY == (int)TB_TASK_READY);
G_STATIC_ASSERT((int)TASKBOX_STATE_DISCARDED == (int)TB_TASK_DISCARDED);
G_STATIC_ASSERT((int)TASKBOX_APPLY_ALREADY == (int)TB_APPLY_ALREADY);
G_STATIC_ASSERT((int)TASKBOX_APPLY_TO_BRANCH == (int)TB_APPLY_TO_BRANCH);
G_STATIC_ASSERT((int)TASKBOX_NET_NONE == (int)TB_NET_NONE);
G_STATIC_ASSERT((int)TASKBOX_NET_OPEN == (int)TB_NET_OPEN);
G_STATIC_ASSERT((int)TASKBOX_KEEP_FAILED == (int)TB_KEEP_FAILED);
G_STATIC_ASSERT((int)TASKBOX_KEEP_ALWAYS == (int)TB_KEEP_ALWAYS);

static TbStore *store_of(TaskboxStore *store)
{
    return (TbStore *)store;
}

static TbTask *task_of(const TaskboxTask *task)
{
    return (TbTask *)(uintptr_t)task;
}

GQuark taskbox_error_quark(void)
{
    return TB_ERROR;
}

const char *taskbox_error_name(TaskboxError code)
{
    return tb_error_code_name((TbErrorCode)code);
}

void taskbox_interrupt_install(void)
{
    tb_interrupt_install();
}

TaskboxStore *taskbox_store_open(GError **error)
{
    g_autoptr(TbStore) store = tb_store_open(error);
    if (!store || !tb_store_reconcile(store, error))
        return NULL;
    return (TaskboxStore *)g_steal_pointer(&store);
}

void taskbox_store_free(TaskboxStore *store)
{
    tb_store_free(store_of(store));
}

TaskboxTask *taskbox_task_open(TaskboxStore *store, const char *name, GError **error)
{
    return (TaskboxTask *)tb_task_open(store_of(store), name, error);
}

GPtrArray *taskbox_task_list(TaskboxStore *store, GError **error)
{
    return tb_task_list(store_of(store), error);
}

void taskbox_task_free(TaskboxTask *task)
{
    tb_task_free(task_of(task));
}

const char *taskbox_task_id(const TaskboxTask *task)
{
    return task_of(task)->id;
}

TaskboxState taskbox_task_state(const TaskboxTask *task)
{
    return (TaskboxState)task_of(task)->state;
}

const char *taskbox_task_project(const TaskboxTask *task)
{
    return task_of(task)->project_root;
}

const char *taskbox_task_base_tree(const TaskboxTask *task)
{
    return task_of(task)->base_tree;
}

const char *taskbox_task_result_tree(const TaskboxTask *task)
{
    return task_of(task)->result_tree;
}

int taskbox_task_exit_code(const TaskboxTask *task)
{
    return task_of(task)->exited ? task_of(task)->exit_code : -1;
}

char *taskbox_task_patch(const TaskboxTask *task)
{
    return task_of(task)->has_patch ? tb_task_path(task_of(task), "patch") : NULL;
}

char *taskbox_task_json(const TaskboxTask *task)
{
    return tb_task_record_json(task_of(task));
}

bool taskbox_task_apply(TaskboxStore *store, TaskboxTask *task, bool check,
                        TaskboxApplyOutcome *outcome, GPtrArray **drift, GError **error)
{
    TbApplyOutcome ours = TB_APPLY_DONE;
    bool ok = tb_task_apply(store_of(store), task_of(task), check, &ours, drift, error);
    if (ok && outcome)
        *outcome = (TaskboxApplyOutcome)ours;
    return ok;
}

bool taskbox_task_apply_with(TaskboxStore *store, TaskboxTask *task,
                             const TaskboxApplyOptions *options, TaskboxApplyOutcome *outcome,
                             GPtrArray **lines, GError **error)
{
    if (options->to == TASKBOX_APPLY_TO_BRANCH && !options->branch)
        return tb_error_set(error, TB_ERROR_USAGE, "the branch has no name");
    TbTaskApply how = {.check = options->check,
                       .merge = options->merge,
                       .files = options->files,
                       .to = (TbApplyTo)options->to,
                       .branch = options->branch};
    TbApplyOutcome ours = TB_APPLY_DONE;
    bool ok = tb_task_apply_with(store_of(store), task_of(task), &how, &ours, lines, error);
    if (ok && outcome)
        *outcome = (TaskboxApplyOutcome)ours;
    return ok;
}

bool taskbox_task_undo(TaskboxStore *store, TaskboxTask *task, TaskboxApplyOutcome *outcome,
                       GPtrArray **drift, GError **error)
{
    TbApplyOutcome ours = TB_APPLY_DONE;
    bool ok = tb_task_undo(store_of(store), task_of(task), &ours, drift, error);
    if (ok && outcome)
        *outcome = (TaskboxApplyOutcome)ours;
    return ok;
}

bool taskbox_task_discard(TaskboxTask *task, GError **error)
{
    return tb_task_discard(task_of(task), error);
}

bool taskbox_run(TaskboxStore *store, const TaskboxRunOptions *options, TaskboxTask **task,
                 GError **error)
{
    if (task)
        *task = NULL;
    if (!options->command == !options->prompt)
        return tb_error_set(error, TB_ERROR_USAGE, "a task is either a command or a prompt");
    g_autoptr(TbSettings) settings = tb_settings_load(error);
    if (!settings)
        return false;
    TbRunOptions ours = {
        .dir = options->directory,
        .image = options->image,
        .cpus = options->cpus,
        .memory = options->memory,
        .disk = options->disk,
        .timeout = options->timeout,
        .keep = options->keep ? (TbKeep)options->keep : settings->keep,
        .argv = options->command,
        .prompt = options->prompt,
        .agent = options->agent,
        .pass_stdin = options->pass_stdin,
        .net = (TbNet)options->net,
        .allow_hosts = options->allow_hosts,
    };
    TbRunOutput output = {.output = options->output, .user_data = options->user_data};
    TbTask *made = NULL;
    bool ok = tb_task_run(store_of(store), settings, &ours, options->output ? &output : NULL, &made,
                          error);
    if (task)
        *task = (TaskboxTask *)made;
    else
        tb_task_free(made);
    return ok;
}

char *taskbox_image_build(const char *recipe, GError **error)
{
    g_autoptr(TbImage) image = tb_image_build(recipe, NULL, error);
    return image ? g_strdup(image->digest) : NULL;
}

char *taskbox_image_manifest(const char *image, GError **error)
{
    return tb_image_manifest(image, error);
}

bool taskbox_image_verify(const char *image, GError **error)
{
    return tb_image_verify(image, error);
}

bool taskbox_image_remove(const char *image, GError **error)
{
    return tb_image_remove(image, error);
}
