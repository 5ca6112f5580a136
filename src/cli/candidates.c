/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * run -n N: candidates for one task, each in a box and a process of its own, begun one after the
 * other (a fork takes a second, and where there is no room the next one waits). What they say goes
 * to their logs; here the first look at them is side by side.
 */
#include <poll.h>

#include "cli/command.h"
#include "cli/output.h"
#include "util/error.h"
#include "util/interrupt.h"
#include "util/log.h"

#define STEP_MS 200

static const char *agent_of(const char *const *agents, unsigned number)
{
    guint count = agents ? g_strv_length((char **)agents) : 0;
    return count ? agents[number % count] : NULL;
}

static GPtrArray *open_all(TbStore *store, const GPtrArray *ids, GError **error)
{
    g_autoptr(GPtrArray) tasks = g_ptr_array_new_with_free_func((GDestroyNotify)tb_task_free);
    for (guint i = 0; i < ids->len; i++) {
        TbTask *task = tb_task_open(store, ids->pdata[i], error);
        if (!task)
            return NULL;
        g_ptr_array_add(tasks, task);
    }
    return g_steal_pointer(&tasks);
}

/* Asks once; whoever interrupts again ends them. What they have done comes back either way. */
static void stop_all(const GPtrArray *tasks, bool now)
{
    for (guint i = 0; i < tasks->len; i++) {
        g_autoptr(GError) why = NULL;
        if (tb_task_is_alive(tasks->pdata[i]) && !tb_cli_stop_task(tasks->pdata[i], now, &why))
            tb_warn("%s", why->message);
    }
}

static void await_all(const GPtrArray *tasks)
{
    unsigned interrupts = 0;
    for (guint i = 0; i < tasks->len;) {
        TbTask *task = tasks->pdata[i];
        struct pollfd interrupt = {.fd = tb_interrupt_fd(), .events = POLLIN};
        if (!tb_task_is_alive(task)) {
            i++;
            continue;
        }
        poll(&interrupt, 1, STEP_MS);
        if (tb_interrupt_pending() > 0) {
            tb_interrupt_acknowledge();
            stop_all(tasks, interrupts++ > 0);
        }
    }
}

/* 0 when one of them ended well. */
static int status_of(const GPtrArray *tasks)
{
    int worst = 0;
    for (guint i = 0; i < tasks->len; i++) {
        int status = tb_cli_outcome(tasks->pdata[i]);
        if (status == 0)
            return 0;
        worst = worst ? worst : status;
    }
    return worst;
}

bool tb_cli_candidates(TbCli *cli, TbRunOptions *options, TbDetach *detach, unsigned count,
                       const char *const *agents, bool *child, int *status, GError **error)
{
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    int failed = 0;
    options->pass_stdin = false;
    for (unsigned i = 0; i < count && tb_interrupt_pending() == 0; i++) {
        bool left_behind = false;
        char *id = NULL;
        options->agent = agents ? agent_of(agents, i) : options->agent;
        if (!tb_detach_begin(detach, &left_behind, &id, &failed, error))
            return false;
        if (!left_behind) {
            *child = true;
            return true;
        }
        if (!id)
            break; /* it has said why, and the next would say the same */
        tb_info("candidate %u of %u: %s%s%s", i + 1, count, id, options->agent ? ", " : "",
                options->agent ? options->agent : "");
        g_ptr_array_add(ids, id);
    }
    *status = failed;
    if (ids->len == 0)
        return true;
    g_autoptr(GPtrArray) tasks = open_all(cli->store, ids, error);
    if (!tasks)
        return false;
    await_all(tasks);
    *status = status_of(tasks);
    g_ptr_array_add(ids, NULL);
    return tb_cli_compare_tasks(cli->store, (const char *const *)ids->pdata, error);
}
