/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The patch, tried: in a fresh box, which never saw the first one and has no network, the project
 * stands as the patch makes it, and a command of the user's says whether that is any good. Nothing
 * of it comes back but how the command ended and what it printed. The record has the patch before
 * this begins, so whatever goes wrong here costs the verdict and nothing else.
 */
#include <string.h>

#include "run/run-private.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/interrupt.h"
#include "util/log.h"

/* For those who set no time of their own: a patch can hang its own tests. */
#define TRIAL_SECONDS 3600

static const char *command_of(const Run *run)
{
    const char *command = run->options->verify ? run->options->verify : run->settings->verify;
    return command && *command ? command : NULL;
}

/* Why there is nothing to try; NULL: there is. */
static const char *no_use(const Run *run)
{
    if (run->options->no_patch || run->task->stat.files == 0)
        return "there are no changes";
    if (run->task->cause && run->interrupts > 0)
        return "the command was interrupted";
    return NULL;
}

static void note_end(TbTrial *verdict, const TbTask *trial)
{
    verdict->exited = trial->exited && !trial->cause;
    verdict->exit_code = trial->exit_code;
    if (!verdict->exited)
        verdict->cause = g_strdup(trial->cause ? trial->cause : "its command did not end");
}

static bool try_it(Run *run, const char *command, GError **error)
{
    const char *const argv[] = {"/bin/sh", "-c", command, NULL};
    const TbRunOptions *given = run->options;
    const TbRunOptions options = {
        .argv = argv,
        .cold = given->cold,
        .limits = given->limits,
        .net = TB_NET_NONE,
        .timeout = given->timeout || run->settings->timeout ? given->timeout : TRIAL_SECONDS};
    TbRunOutput output = {0};
    if (run->output) {
        output = *run->output;
        output.started = NULL;
    }
    g_autoptr(TbTask) task = tb_task_within(run->task, TB_TASK_TRIAL, error);
    if (!task)
        return false;
    Run trial = {.settings = run->settings,
                 .options = &options,
                 .output = run->output ? &output : NULL,
                 .task = task,
                 .project = run->project,
                 .image = run->image,
                 .accel = run->accel,
                 .start = {.shape = run->start.shape, .cold = run->start.cold},
                 .network = TB_NETWORK_INIT,
                 .argv = g_strdupv((char **)(uintptr_t)argv),
                 .limits = run->limits,
                 .from = run->task,
                 .trial = true};
    run_phase_begin(&trial);
    bool ok = (trial.control = tb_control_open(task, error)) && run_launch(&trial, error) &&
              run_read_project(&trial, error) && run_enter(&trial, error) &&
              run_command(&trial, error);
    if (ok)
        note_end(&run->task->trial, task);
    trial.project = NULL; /* still the task's */
    trial.image = NULL;
    run_clear(&trial);
    return ok;
}

static void set_cause(TbTrial *verdict, const GError *why)
{
    verdict->cause = g_strdup(why->message);
    if (g_error_matches(why, TB_ERROR, TB_ERROR_INTERRUPTED))
        tb_interrupt_acknowledge();
}

void run_verify(Run *run)
{
    TbTask *task = run->task;
    TbTrial *verdict = &task->trial;
    const char *command = command_of(run), *reason = command ? no_use(run) : NULL;
    g_autoptr(GError) why = NULL;
    if (!command)
        return;
    verdict->command = g_strdup(command);
    if (reason) {
        verdict->cause = g_strdup(reason);
        return;
    }
    verdict->running = true;
    if (tb_task_save(task, TB_TASK_READY, &why)) {
        int64_t begin = g_get_monotonic_time();
        g_autofree char *shown = tb_trial_command(verdict);
        tb_info("verifying the patch in a fresh box: %s", shown);
        /* Others may have the project's image now, and the box has its own. */
        run->task->masked_paths = NULL;
        g_clear_pointer(&run->delta, tb_delta_free);
        g_clear_pointer(&run->scan, tb_scan_free);
        g_clear_pointer(&run->project_image, tb_project_image_free);
        if (!try_it(run, command, &why))
            set_cause(verdict, why);
        verdict->ms = (g_get_monotonic_time() - begin) / 1000;
        g_clear_error(&why);
        if (!tb_remove_tree(task->dirfd, TB_TASK_TRIAL "/git", &why))
            tb_warn("%s", why->message);
    } else {
        set_cause(verdict, why);
    }
    verdict->running = false;
    run_phase_end(run, "verify");
}
