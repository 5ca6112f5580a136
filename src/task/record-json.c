/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The record for programs that read us: text made UTF-8 for good; what cannot be shown is escaped.
 */
#include "task/record.h"

#include <string.h>

#include "util/escape.h"

static void add_text(JsonBuilder *json, const char *name, const char *text)
{
    if (name)
        json_builder_set_member_name(json, name);
    g_autofree char *shown = text && !g_utf8_validate(text, -1, NULL)
                                 ? tb_escape_terminal(text, strlen(text), true)
                                 : NULL;
    if (!text)
        json_builder_add_null_value(json);
    else
        json_builder_add_string_value(json, shown ? shown : text);
}

static void add_time(JsonBuilder *json, const char *name, int64_t ms)
{
    g_autoptr(GDateTime) time = ms ? g_date_time_new_from_unix_utc(ms / 1000) : NULL;
    g_autofree char *text = time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") : NULL;
    add_text(json, name, text);
}

static void add_optional_number(JsonBuilder *json, const char *name, bool there, int64_t value)
{
    if (there) {
        record_add_number(json, name, value);
    } else {
        json_builder_set_member_name(json, name);
        json_builder_add_null_value(json);
    }
}

static void add_verdict(JsonBuilder *json, const TbTrial *verdict)
{
    json_builder_set_member_name(json, "verify");
    if (!verdict->command) {
        json_builder_add_null_value(json);
        return;
    }
    json_builder_begin_object(json);
    add_text(json, "command", verdict->command);
    add_text(json, "verdict", tb_trial_word(verdict));
    add_optional_number(json, "exit_code", verdict->exited, verdict->exit_code);
    add_text(json, "cause", verdict->cause);
    record_add_number(json, "milliseconds", verdict->ms);
    json_builder_end_object(json);
}

static void add_outcome(JsonBuilder *json, const TbTask *task)
{
    bool ended = task->exited || task->exit_code != 0;
    add_optional_number(json, "exit_code", ended, task->exit_code);
    add_optional_number(json, "signal", task->exit_signal != 0, task->exit_signal);
    add_text(json, "cause", task->cause);
    add_text(json, "base_tree", task->base_tree);
    add_text(json, "result_tree", task->result_tree);
    add_text(json, "base_commit", task->base_commit);
    add_text(json, "applied_tree", task->applied_tree);
    add_text(json, "applied_to", task->applied_to);
    g_autofree char *patch = task->has_patch ? tb_task_path(task, "patch") : NULL;
    add_text(json, "patch", patch);
    json_builder_set_member_name(json, "verified");
    if (task->has_patch)
        json_builder_add_boolean_value(json, task->verified);
    else
        json_builder_add_null_value(json);
    record_add_usage(json, task);
    add_verdict(json, &task->trial);
    add_optional_number(json, "patch_bytes", task->has_patch, (int64_t)task->stat.bytes);
    add_optional_number(json, "files", task->has_patch, task->stat.files);
    add_optional_number(json, "binary_files", task->has_patch, task->stat.binary);
    add_optional_number(json, "lines_added", task->has_patch, (int64_t)task->stat.added);
    add_optional_number(json, "lines_removed", task->has_patch, (int64_t)task->stat.removed);
    add_optional_number(json, "commits", task->has_patch, task->commits);
    if (task->has_findings) {
        record_add_findings(json, task);
    } else {
        json_builder_set_member_name(json, "findings");
        json_builder_add_null_value(json);
    }
    json_builder_set_member_name(json, "error");
    if (task->error_code) {
        json_builder_begin_object(json);
        add_text(json, "class", task->error_code);
        add_text(json, "message", task->error_message);
        json_builder_end_object(json);
    } else {
        json_builder_add_null_value(json);
    }
}

static void add_command(JsonBuilder *json, const TbTask *task)
{
    json_builder_set_member_name(json, "command");
    if (!task->command) {
        json_builder_add_null_value(json);
        return;
    }
    json_builder_begin_array(json);
    for (char **arg = task->command; *arg; arg++)
        add_text(json, NULL, *arg);
    json_builder_end_array(json);
}

static void add_shown(JsonBuilder *json, const char *name, const GPtrArray *lines)
{
    json_builder_set_member_name(json, name);
    json_builder_begin_array(json);
    for (guint i = 0; i < lines->len; i++)
        add_text(json, NULL, lines->pdata[i]);
    json_builder_end_array(json);
}

char *tb_task_record_json(const TbTask *task)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    json_builder_begin_object(json);
    add_text(json, "id", task->id);
    add_text(json, "status", tb_task_state_name(task->state));
    add_time(json, "created", task->created);
    add_time(json, "ended", task->ended);
    add_text(json, "project", task->project_root);
    add_text(json, "subdirectory", task->project_subdir);
    add_command(json, task);
    add_text(json, "prompt", task->prompt);
    add_text(json, "agent", task->agent);
    add_text(json, "image", task->image_name);
    add_text(json, "image_digest", task->image_digest);
    add_text(json, "accelerator", task->accel);
    add_text(json, "start", task->start);
    add_text(json, "from", task->from);
    record_add_flag(json, "on_top", task->on_top);
    add_text(json, "net_policy", task->net_policy);
    json_builder_set_member_name(json, "net");
    record_add_net(json, task);
    add_outcome(json, task);
    g_autofree char *log = task->dir ? tb_task_path(task, "log") : NULL;
    add_text(json, "log", log);
    g_autofree char *box = task->keep ? tb_task_path(task, "box") : NULL;
    add_text(json, "box", box);
    add_text(json, "mount", task->mount);
    add_text(json, "history", task->history);
    add_text(json, "limits", task->limits);
    add_shown(json, "masked", task->masked);
    add_shown(json, "notes", task->notes);
    json_builder_set_member_name(json, "milliseconds");
    json_builder_begin_object(json);
    for (guint i = 0; i < task->timings->len; i++) {
        const TbTiming *timing = task->timings->pdata[i];
        record_add_number(json, timing->name, timing->ms);
    }
    json_builder_end_object(json);
    json_builder_end_object(json);
    return record_print(json, false);
}
