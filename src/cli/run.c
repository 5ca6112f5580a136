/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * taskbox run. The command's output is shown as it comes; the summary goes to stderr, so that
 * stdout is the command's alone (with --json: the record's alone).
 */
#include "run/run.h"

#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/detach.h"
#include "cli/exit.h"
#include "cli/output.h"
#include "config/layers.h"
#include "run/limit.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/interrupt.h"
#include "util/log.h"
#include "util/units.h"

#define MAX_CPUS    255
#define MIN_MEMORY  (UINT64_C(128) << 20)
#define NOTES_SHOWN 5

typedef struct {
    TbScreens *screens;
    TbDetach *detach;
} Shown;

static bool on_output(int fd, const uint8_t *data, size_t length, void *user_data, GError **error)
{
    Shown *shown = user_data;
    return tb_screens_write(shown->screens, fd, data, length, error);
}

static bool on_started(const TbTask *task, void *user_data, GError **error)
{
    Shown *shown = user_data;
    return tb_detach_started(shown->detach, task, error);
}

/* Values of options are checked before anything is begun. */
static bool read_size(const TbArguments *arguments, const char *name, uint64_t least,
                      uint64_t *size, GError **error)
{
    const char *text = tb_arguments_value(arguments, name);
    if (!text)
        return true;
    if (!tb_size_parse(text, size, error)) {
        g_prefix_error(error, "--%s: ", name);
        return false;
    }
    g_autofree char *least_text = tb_size_format(least);
    return *size >= least ||
           tb_error_set(error, TB_ERROR_USAGE, "--%s: '%s' is too small (at least %s)", name, text,
                        least_text);
}

bool tb_cli_read_shape(const TbArguments *arguments, TbRunOptions *options, GError **error)
{
    uint64_t cpus = 0;
    const char *text = tb_arguments_value(arguments, "cpus");
    if (text && !tb_number_parse(text, "number of processors", 1, MAX_CPUS, &cpus, error))
        return false;
    text = tb_arguments_value(arguments, "mount");
    if (text && !tb_mount_type_parse(text, &options->mount, error)) {
        g_prefix_error(error, "--mount: ");
        return false;
    }
    options->image = tb_arguments_value(arguments, "image");
    options->cpus = (unsigned)cpus;
    return read_size(arguments, "memory", MIN_MEMORY, &options->memory, error) &&
           read_size(arguments, "disk", 1, &options->disk, error);
}

bool tb_cli_read_box(const TbArguments *arguments, TbRunOptions *options, GError **error)
{
    const char *text = tb_arguments_value(arguments, "timeout");
    if (text && !tb_duration_parse(text, &options->timeout, error)) {
        g_prefix_error(error, "--timeout: ");
        return false;
    }
    if (text && options->timeout == 0)
        return tb_error_set(error, TB_ERROR_USAGE, "--timeout: '%s' leaves no time at all", text);
    for (const char *const *limit = tb_arguments_all(arguments, "limit"); *limit; limit++) {
        if (tb_limits_parse(*limit, &options->limits, error))
            continue;
        g_prefix_error(error, "--limit: ");
        return false;
    }
    text = tb_arguments_value(arguments, "keep");
    if (text && !tb_keep_parse(text, &options->keep, error))
        return false;
    text = tb_arguments_value(arguments, "history");
    if (text && !tb_history_parse(text, &options->history, error)) {
        g_prefix_error(error, "--history: ");
        return false;
    }
    options->has_history = text != NULL;
    options->exclude = tb_arguments_all(arguments, "exclude");
    options->include = tb_arguments_all(arguments, "include");
    text = tb_arguments_value(arguments, "net");
    if (text && !tb_net_parse(text, &options->net, error)) {
        g_prefix_error(error, "--net: ");
        return false;
    }
    options->allow_hosts = tb_arguments_all(arguments, "allow-host");
    options->secrets = tb_arguments_all(arguments, "secret");
    options->cold = tb_arguments_flag(arguments, "cold");
    options->require_kvm = tb_arguments_flag(arguments, "require-kvm");
    return tb_cli_read_shape(arguments, options, error);
}

/* What is to be run: a command after "--", or one prompt. */
static bool read_work(const TbArguments *arguments, TbRunOptions *options, GError **error)
{
    const char *const *rest = tb_arguments_rest(arguments);
    const char *const *words = tb_arguments_words(arguments);
    options->agent = tb_arguments_value(arguments, "agent");
    if (!rest) {
        if (words[0] && words[1])
            return tb_error_set(error, TB_ERROR_USAGE,
                                "a prompt is one argument (put it in quotes; a command stands "
                                "after '--': taskbox run -- %s ...)",
                                words[0]);
        options->prompt =
            tb_arguments_sole(arguments, "a prompt in quotes, or '-- COMMAND',", error);
        if (options->prompt && !options->prompt[strspn(options->prompt, " \t\r\n")])
            return tb_error_set(error, TB_ERROR_USAGE, "the prompt is empty");
        return options->prompt != NULL;
    }
    if (words[0])
        return tb_error_set(error, TB_ERROR_USAGE,
                            "'%s' stands before '--': give a prompt or a command, not both",
                            words[0]);
    if (!rest[0])
        return tb_error_set(error, TB_ERROR_USAGE, "there is no command after '--'");
    if (options->agent)
        return tb_error_set(error, TB_ERROR_USAGE,
                            "--agent goes with a prompt, not with '-- COMMAND'");
    options->argv = rest;
    options->pass_stdin = !isatty(STDIN_FILENO);
    return true;
}

void tb_cli_print_timings(const TbTask *task)
{
    int64_t sum = 0;
    for (guint i = 0; i < task->timings->len; i++) {
        const TbTiming *timing = task->timings->pdata[i];
        g_autofree char *text = tb_duration_format((uint64_t)timing->ms);
        tb_info("%-14s %s", timing->name, text);
        sum += timing->ms;
    }
    g_autofree char *all = tb_duration_format((uint64_t)sum);
    tb_info("%-14s %s", "all", all);
}

void tb_cli_print_summary(const TbTask *task)
{
    if (task->cause)
        tb_info("the command was stopped: %s", task->cause);
    for (guint i = 0; i < task->notes->len && i < NOTES_SHOWN; i++)
        tb_info("note: %s", (const char *)task->notes->pdata[i]);
    if (task->notes->len > NOTES_SHOWN)
        tb_info("note: %u more (taskbox show %s)", task->notes->len - NOTES_SHOWN, task->id);
    g_autofree char *stat = tb_stat_format(&task->stat);
    if (task->stat.files == 0)
        tb_info("no changes; log: taskbox logs %s", task->id);
    else
        tb_info("patch ready: %s; review: taskbox diff %s; apply: taskbox apply %s", stat, task->id,
                task->id);
    g_autofree char *count = tb_findings_count_text(task->findings);
    bool none = strcmp(count, "none") == 0;
    if (task->has_findings && (task->stat.files || !none))
        tb_info("findings: %s%s%s", count, none ? "" : "; see: taskbox inspect ",
                none ? "" : task->id);
    g_autofree char *verdict = tb_trial_text(&task->trial);
    if (verdict && task->stat.files > 0)
        tb_info("verify: %s%s%s", verdict,
                task->trial.exited ? "; see: taskbox logs --verify " : "",
                task->trial.exited ? task->id : "");
    if (task->keep)
        tb_info("the box is kept: %s/box", task->dir);
}

/* With a command its own; an agent's failure is one of ours (1), so that a script can tell. */
int tb_cli_status_of(const TbTask *task)
{
    const TbTrial *verdict = &task->trial;
    bool tried = verdict->command && task->stat.files > 0;
    if (task->exit_code == 0 && tried && !(verdict->exited && verdict->exit_code == 0))
        return TB_EXIT_NOT_VERIFIED;
    if (task->command || task->exit_code == 0 || !task->exited)
        return task->exit_code;
    tb_info("the agent ended with exit code %d", task->exit_code);
    return 1;
}

static bool print_record(TbCli *cli, const TbTask *task, GError **error)
{
    g_autofree char *json = tb_task_record_json(task);
    cli->printed = true;
    return tb_print_format(error, "%s\n", json);
}

/* How many candidates: -n, else one for each agent. */
static bool read_count(const TbArguments *arguments, const char *const *agents, unsigned *count,
                       GError **error)
{
    static const char *const alone[] = {"json", "tty", "detach"};
    uint64_t number = agents ? g_strv_length((char **)agents) : 1;
    const char *text = tb_arguments_value(arguments, "candidates");
    if (text && !tb_number_parse(text, "number of candidates", 1, TB_MOST_COMPARED, &number, error))
        return false;
    *count = (unsigned)number;
    for (size_t i = 0; i < G_N_ELEMENTS(alone) && *count > 1; i++)
        if (tb_arguments_flag(arguments, alone[i]))
            return tb_error_set(error, TB_ERROR_USAGE, "--%s goes with one task, not with %u",
                                alone[i], *count);
    return true;
}

bool tb_cli_read_manner(const TbArguments *arguments, TbRunOptions *options, GError **error)
{
    bool json = tb_arguments_flag(arguments, "json");
    options->tty = tb_arguments_flag(arguments, "tty");
    options->verify = tb_arguments_value(arguments, "verify");
    if (tb_arguments_flag(arguments, "no-verify")) {
        if (options->verify)
            return tb_error_set(error, TB_ERROR_USAGE,
                                "--verify and --no-verify do not go together");
        options->verify = "";
    } else if (options->verify && !options->verify[strspn(options->verify, " \t\r\n")]) {
        return tb_error_set(error, TB_ERROR_USAGE, "the command of --verify is empty");
    }
    if (json && tb_arguments_flag(arguments, "detach"))
        return tb_error_set(error, TB_ERROR_USAGE,
                            "--detach prints the id only (then: taskbox show --json)");
    if (options->tty && json)
        return tb_error_set(error, TB_ERROR_USAGE, "--tty and --json do not go together");
    options->pass_stdin |= options->tty;
    return true;
}

static bool run_here(TbCli *cli, const TbArguments *arguments, TbSettings *settings,
                     const TbRunOptions *options, TbDetach *detach, int *status, GError **error)
{
    bool json = tb_arguments_flag(arguments, "json");
    g_auto(TbScreens) screens = {.out = json ? NULL : tb_screen_new(STDOUT_FILENO),
                                 .err = tb_screen_new(STDERR_FILENO)};
    Shown shown = {.screens = &screens, .detach = detach};
    TbRunOutput output = {.output = on_output, .started = on_started, .user_data = &shown};
    g_autoptr(TbTask) task = NULL;
    bool ok = tb_task_run(cli->store, settings, options, &output, &task, error);
    tb_screens_clear(&screens);
    if (task && json && !print_record(cli, task, ok ? error : NULL))
        return false;
    if (task && tb_arguments_flag(arguments, "timings"))
        tb_cli_print_timings(task);
    if (!ok) {
        if (task)
            tb_info("task %s failed (taskbox show %s, taskbox logs %s)", task->id, task->id,
                    task->id);
        return false;
    }
    tb_cli_print_summary(task);
    *status = tb_cli_status_of(task);
    return true;
}

bool tb_cli_run_task(TbCli *cli, const TbArguments *arguments, TbSettings *settings,
                     TbRunOptions *options, TbDetach *detach, int *status, GError **error)
{
    /* Of this command line only, or kept elsewhere in the record. */
    static const char *const not_kept[] = {"directory", "agent",   "candidates", "tty",
                                           "detach",    "json",    "timings",    "prompt",
                                           "on-top",    "verbose", NULL};
    if (tb_arguments_flag(arguments, "detach")) {
        bool left_behind = false;
        g_autofree char *id = NULL;
        options->pass_stdin = false;
        if (!tb_detach_begin(detach, &left_behind, &id, status, error))
            return false;
        if (left_behind)
            return !id || tb_print_format(error, "%s\n", id);
    }
    g_auto(GStrv) flags = tb_arguments_options(arguments, not_kept);
    options->flags = (const char *const *)flags;
    bool ok = run_here(cli, arguments, settings, options, detach, status, error);
    options->flags = NULL;
    return ok;
}

bool tb_cli_run(TbCli *cli, int *status, GError **error)
{
    const TbArguments *arguments = cli->arguments;
    g_autoptr(TbSettings) settings = NULL;
    TbRunOptions options = {.dir = tb_arguments_value(arguments, "directory")};
    if (!read_work(arguments, &options, error) || !(settings = tb_settings_load(error)))
        return false;
    options.keep = settings->keep;
    if (!tb_cli_read_box(arguments, &options, error) ||
        !tb_cli_read_manner(arguments, &options, error))
        return false;
    unsigned count = 1;
    g_auto(GStrv) agents = options.agent ? g_strsplit(options.agent, ",", -1) : NULL;
    if (!read_count(arguments, (const char *const *)agents, &count, error))
        return false;
    TbDetach detach = TB_DETACH_INIT;
    bool child = count == 1;
    for (char **agent = agents; agent && *agent; agent++)
        if (!tb_settings_agent(settings, *agent, error))
            return false;
    if (!child && !tb_cli_candidates(cli, &options, &detach, count, (const char *const *)agents,
                                     &child, status, error))
        return false;
    return !child || tb_cli_run_task(cli, arguments, settings, &options, &detach, status, error);
}
