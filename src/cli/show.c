/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox show: the record for people. Everything in it is escaped, notes too. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/show.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/units.h"

#define LABEL "%-12s "

void tb_show_add(GString *text, const char *label, const char *value)
{
    if (!value || *value == '\0')
        return;
    g_autofree char *safe = tb_escape_terminal(value, strlen(value), true);
    g_auto(GStrv) lines = g_strsplit(safe, "\n", -1);
    for (char **line = lines; *line; line++)
        g_string_append_printf(text, LABEL "%s\n", line == lines ? label : "", *line);
}

static void add_time(GString *text, const char *label, int64_t ms)
{
    g_autoptr(GDateTime) time = ms ? g_date_time_new_from_unix_local(ms / 1000) : NULL;
    g_autofree char *value = time ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S %z") : NULL;
    tb_show_add(text, label, value);
}

/* The command as a shell would read it. */
static void add_command(GString *text, const TbTask *task)
{
    g_autoptr(GString) line = g_string_new(NULL);
    for (char **arg = task->command; arg && *arg; arg++) {
        bool plain = **arg && strspn(*arg, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                           "0123456789_-./:=+,@%") == strlen(*arg);
        g_autofree char *quoted = plain ? g_strdup(*arg) : g_shell_quote(*arg);
        g_string_append_printf(line, "%s%s", arg == task->command ? "" : " ", quoted);
    }
    tb_show_add(text, "command", line->str);
}

void tb_show_outcome(GString *text, const TbTask *task)
{
    if (task->exited || task->exit_code) {
        g_autofree char *code =
            task->exit_signal
                ? g_strdup_printf("%d (signal %d)", task->exit_code, task->exit_signal)
                : g_strdup_printf("%d", task->exit_code);
        tb_show_add(text, "exit code", code);
    }
    tb_show_add(text, "stopped", task->cause);
    tb_show_add(text, "error", task->error_message);
    if (task->has_patch) {
        g_autofree char *stat = tb_stat_format(&task->stat);
        g_autofree char *size = tb_size_format(task->stat.bytes);
        g_autofree char *changes =
            g_strdup_printf("%s (%u binary, %s)", stat, task->stat.binary, size);
        g_autofree char *patch = tb_task_path(task, "patch");
        g_autofree char *commits = g_strdup_printf("%u (see 'taskbox diff --log')", task->commits);
        tb_show_add(text, "changes", changes);
        tb_show_add(text, "commits", task->commits ? commits : NULL);
        tb_show_add(text, "patch", patch);
        tb_show_add(text, "verified",
                    task->verified ? "yes: on the base tree it gives the result tree"
                                   : "no (see 'taskbox patch verify')");
        g_autofree char *verdict = tb_trial_text(&task->trial);
        tb_show_add(text, "verify", verdict);
        g_autofree char *count = tb_findings_count_text(task->findings);
        tb_show_add(text, "findings", task->has_findings ? count : NULL);
    }
    tb_show_add(text, "base tree", task->base_tree);
    tb_show_add(text, "result tree", task->result_tree);
    tb_show_add(text, "applied to", task->applied_to);
}

void tb_show_notes(GString *text, const TbTask *task)
{
    tb_show_add(text, "limits", task->limits);
    tb_show_add(text, "mount", task->mount);
    tb_show_add(text, "history", task->history);
    for (guint i = 0; i < task->masked->len; i++)
        tb_show_add(text, i ? "" : "masked", task->masked->pdata[i]);
    for (guint i = 0; i < task->notes->len; i++)
        tb_show_add(text, i ? "" : "notes", task->notes->pdata[i]);
}

static void add_timings(GString *text, const TbTask *task)
{
    for (guint i = 0; i < task->timings->len; i++) {
        const TbTiming *timing = task->timings->pdata[i];
        g_autofree char *duration = tb_duration_format((uint64_t)MAX(timing->ms, 0));
        g_autofree char *value = g_strdup_printf("%-14s %s", timing->name, duration);
        tb_show_add(text, i ? "" : "times", value);
    }
}

static void add_usage(GString *text, const TbTask *task)
{
    const TbUsage *usage = &task->usage;
    g_autofree char *tokens =
        g_strdup_printf("%" G_GUINT64_FORMAT " tokens in, %" G_GUINT64_FORMAT " out",
                        usage->tokens_in, usage->tokens_out);
    g_autofree char *cost = usage->cost > 0 ? g_strdup_printf(", $%.4f", usage->cost) : NULL;
    g_autofree char *line = g_strdup_printf("%s%s (as the agent says)", tokens, cost ? cost : "");
    if (usage->tokens_in || usage->tokens_out || cost)
        tb_show_add(text, "used", line);
}

static void add_network(GString *text, const TbTask *task)
{
    tb_show_add(text, "network", task->net_policy);
    if (task->net.connections == 0)
        return;
    g_autofree char *sent = tb_size_format(task->net.sent);
    g_autofree char *received = tb_size_format(task->net.received);
    g_autofree char *counts = g_strdup_printf(
        "%" G_GUINT64_FORMAT " connections, %" G_GUINT64_FORMAT " refused, %" G_GUINT64_FORMAT
        " failed; %s sent, %s received (see 'taskbox logs --net')",
        task->net.connections, task->net.refused, task->net.failed, sent, received);
    tb_show_add(text, "", counts);
}

void tb_show_made(GString *text, const TbTask *task)
{
    g_autofree char *project =
        g_build_filename(task->project_root ? task->project_root : "",
                         task->project_subdir ? task->project_subdir : "", NULL);
    g_autofree char *image =
        task->image_name ? g_strdup_printf("%s (%s)", task->image_name, task->image_digest) : NULL;
    tb_show_add(text, "task", task->id);
    tb_show_add(text, "state", tb_task_state_name(task->state));
    add_time(text, "created", task->created);
    add_time(text, "ended", task->ended);
    tb_show_add(text, "project", project);
    tb_show_add(text, "prompt", task->prompt);
    tb_show_add(text, "agent", task->agent);
    add_command(text, task);
    g_autofree char *from =
        g_strdup_printf("the %s of task %s", task->on_top ? "result" : "base", task->from);
    tb_show_add(text, "began with", task->from ? from : NULL);
    tb_show_add(text, "image", image);
    tb_show_add(text, "accelerator", task->accel);
    tb_show_add(text, "start", task->start);
    add_network(text, task);
    add_usage(text, task);
}

void tb_show_places(GString *text, const TbTask *task)
{
    g_autofree char *log = tb_task_path(task, "log");
    g_autofree char *box = task->keep ? tb_task_path(task, "box") : NULL;
    tb_show_add(text, "log", g_file_test(log, G_FILE_TEST_EXISTS) ? log : NULL);
    tb_show_add(text, "box", box);
    add_timings(text, task);
}

static char *describe(const TbTask *task)
{
    GString *text = g_string_new(NULL);
    tb_show_made(text, task);
    tb_show_outcome(text, task);
    tb_show_places(text, task);
    tb_show_notes(text, task);
    return g_string_free(text, FALSE);
}

bool tb_cli_show(TbCli *cli, int *status, GError **error)
{
    const char *name = tb_arguments_sole(cli->arguments, "a task", error);
    g_autoptr(TbTask) task = name ? tb_task_open(cli->store, name, error) : NULL;
    if (!task)
        return false;
    bool json = tb_arguments_flag(cli->arguments, "json");
    g_autofree char *text = json ? tb_task_record_json(task) : describe(task);
    return tb_print_format(error, "%s%s", text, json ? "\n" : "");
}
