/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The record of a task, in memory and as JSON.
 *
 * All texts of a task are listed once, in `texts`; writing, reading and freeing walk that list.
 * JSON holds UTF-8 only, file names and arguments need not be: what is not UTF-8 is written as
 * {"base64": "..."}. Members nobody here knows are ignored, so that a record of a later minor
 * change still reads; a higher version number is refused.
 */
#include "task/record.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"

#define RECORD_VERSION 1

static const char *const state_names[] = {
    [TB_TASK_CREATED] = "created", [TB_TASK_STARTING] = "starting",
    [TB_TASK_RUNNING] = "running", [TB_TASK_EXPORTING] = "exporting",
    [TB_TASK_READY] = "ready",     [TB_TASK_FAILED] = "failed",
    [TB_TASK_APPLIED] = "applied", [TB_TASK_DISCARDED] = "discarded",
};

static const struct {
    const char *name;
    size_t offset;
} texts[] = {
    {"project_root", offsetof(TbTask, project_root)},
    {"project_subdir", offsetof(TbTask, project_subdir)},
    {"project_name", offsetof(TbTask, project_name)},
    {"image_name", offsetof(TbTask, image_name)},
    {"image_digest", offsetof(TbTask, image_digest)},
    {"accel", offsetof(TbTask, accel)},
    {"start", offsetof(TbTask, start)},
    {"prompt", offsetof(TbTask, prompt)},
    {"agent", offsetof(TbTask, agent)},
    {"net_policy", offsetof(TbTask, net_policy)},
    {"base_tree", offsetof(TbTask, base_tree)},
    {"result_tree", offsetof(TbTask, result_tree)},
    {"base_commit", offsetof(TbTask, base_commit)},
    {"applied_tree", offsetof(TbTask, applied_tree)},
    {"applied_to", offsetof(TbTask, applied_to)},
    {"error_code", offsetof(TbTask, error_code)},
    {"error_message", offsetof(TbTask, error_message)},
    {"cause", offsetof(TbTask, cause)},
    {"history", offsetof(TbTask, history)},
    {"limits", offsetof(TbTask, limits)},
};

static char **text_of(const TbTask *task, size_t index)
{
    return (char **)((char *)(uintptr_t)task + texts[index].offset);
}

const char *tb_task_state_name(TbTaskState state)
{
    return state_names[state];
}

bool tb_task_state_unfinished(TbTaskState state)
{
    return state <= TB_TASK_EXPORTING;
}

static void timing_free(void *data)
{
    TbTiming *timing = data;
    g_free(timing->name);
    g_free(timing);
}

TbTask *tb_record_new(void)
{
    TbTask *task = g_new0(TbTask, 1);
    task->dirfd = task->lock_fd = -1;
    task->notes = g_ptr_array_new_with_free_func(g_free);
    task->masked = g_ptr_array_new_with_free_func(g_free);
    task->timings = g_ptr_array_new_with_free_func(timing_free);
    return task;
}

void tb_task_free(TbTask *task)
{
    if (!task)
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(*text_of(task, i));
    g_free(task->id);
    g_free(task->dir);
    g_strfreev(task->command);
    g_free(task->box_commit);
    g_ptr_array_unref(task->masked);
    g_clear_pointer(&task->refusals, g_ptr_array_unref);
    g_ptr_array_unref(task->notes);
    g_ptr_array_unref(task->timings);
    tb_clear_fd(&task->dirfd);
    tb_clear_fd(&task->lock_fd);
    g_free(task);
}

void tb_task_note(TbTask *task, const char *line)
{
    g_ptr_array_add(task->notes, g_strdup(line));
}

void tb_task_timing(TbTask *task, const char *phase, int64_t ms)
{
    TbTiming *timing = g_new(TbTiming, 1);
    *timing = (TbTiming){.name = g_strdup(phase), .ms = ms};
    g_ptr_array_add(task->timings, timing);
}

static void add_bytes(JsonBuilder *json, const char *text)
{
    if (!text) {
        json_builder_add_null_value(json);
    } else if (g_utf8_validate(text, -1, NULL)) {
        json_builder_add_string_value(json, text);
    } else {
        g_autofree char *coded = g_base64_encode((const guchar *)text, strlen(text));
        json_builder_begin_object(json);
        json_builder_set_member_name(json, "base64");
        json_builder_add_string_value(json, coded);
        json_builder_end_object(json);
    }
}

static void add_number(JsonBuilder *json, const char *name, int64_t value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_int_value(json, value);
}

static void add_flag(JsonBuilder *json, const char *name, bool value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_boolean_value(json, value);
}

static char *print(JsonBuilder *json, bool pretty)
{
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    return json_to_string(root, pretty);
}

static void add_texts(JsonBuilder *json, const char *name, const GPtrArray *lines)
{
    json_builder_set_member_name(json, name);
    json_builder_begin_array(json);
    for (guint i = 0; i < lines->len; i++)
        add_bytes(json, lines->pdata[i]);
    json_builder_end_array(json);
}

static void add_lists(JsonBuilder *json, const TbTask *task)
{
    if (task->command) {
        json_builder_set_member_name(json, "command");
        json_builder_begin_array(json);
        for (char **arg = task->command; *arg; arg++)
            add_bytes(json, *arg);
        json_builder_end_array(json);
    }
    add_texts(json, "masked", task->masked);
    add_texts(json, "notes", task->notes);
    json_builder_set_member_name(json, "timings");
    json_builder_begin_array(json);
    for (guint i = 0; i < task->timings->len; i++) {
        const TbTiming *timing = task->timings->pdata[i];
        json_builder_begin_object(json);
        json_builder_set_member_name(json, "phase");
        add_bytes(json, timing->name);
        add_number(json, "ms", timing->ms);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
}

static const struct {
    const char *name;
    size_t offset;
} net_counts[] = {
    {"connections", offsetof(TbNetCounts, connections)},
    {"refused", offsetof(TbNetCounts, refused)},
    {"failed", offsetof(TbNetCounts, failed)},
    {"sent", offsetof(TbNetCounts, sent)},
    {"received", offsetof(TbNetCounts, received)},
};

static uint64_t *net_count(const TbTask *task, size_t index)
{
    return (uint64_t *)(void *)((char *)(uintptr_t)&task->net + net_counts[index].offset);
}

/* What it has asked of the network. */
static void add_net(JsonBuilder *json, const TbTask *task)
{
    json_builder_begin_object(json);
    for (size_t i = 0; i < G_N_ELEMENTS(net_counts); i++)
        add_number(json, net_counts[i].name, (int64_t)*net_count(task, i));
    add_flag(json, "lost", task->net.lost);
    json_builder_end_object(json);
}

/* How many there are of each severity. */
static void add_findings(JsonBuilder *json, const TbTask *task)
{
    json_builder_set_member_name(json, "findings");
    json_builder_begin_object(json);
    for (int i = TB_SEVERITY_HIGH; i >= TB_SEVERITY_LOW; i--)
        add_number(json, tb_severity_name((TbSeverity)i), task->findings[i]);
    json_builder_end_object(json);
}

char *tb_record_format(const TbTask *task)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    json_builder_begin_object(json);
    add_number(json, "version", RECORD_VERSION);
    json_builder_set_member_name(json, "state");
    json_builder_add_string_value(json, tb_task_state_name(task->state));
    add_number(json, "created", task->created);
    add_number(json, "ended", task->ended);
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        const char *text = *text_of(task, i);
        if (text) {
            json_builder_set_member_name(json, texts[i].name);
            add_bytes(json, text);
        }
    }
    add_flag(json, "exited", task->exited);
    add_number(json, "exit_code", task->exit_code);
    add_number(json, "exit_signal", task->exit_signal);
    add_flag(json, "keep", task->keep);
    add_flag(json, "tty", task->tty);
    if (task->has_patch) {
        json_builder_set_member_name(json, "patch");
        json_builder_begin_object(json);
        add_number(json, "files", task->stat.files);
        add_number(json, "added", (int64_t)task->stat.added);
        add_number(json, "removed", (int64_t)task->stat.removed);
        add_number(json, "binary", task->stat.binary);
        add_number(json, "bytes", (int64_t)task->stat.bytes);
        add_number(json, "commits", task->commits);
        add_flag(json, "verified", task->verified);
        json_builder_end_object(json);
    }
    if (task->has_findings)
        add_findings(json, task);
    json_builder_set_member_name(json, "net");
    add_net(json, task);
    add_lists(json, task);
    json_builder_end_object(json);
    return print(json, true);
}

/* A text as add_bytes writes it, NULL when it is anything else. */
static char *read_bytes(JsonNode *node)
{
    if (node && JSON_NODE_HOLDS_OBJECT(node))
        node = json_object_get_member(json_node_get_object(node), "base64");
    else if (node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_string(node))
        return json_node_dup_string(node);
    if (!node || !JSON_NODE_HOLDS_VALUE(node) || !json_node_get_string(node))
        return NULL;
    size_t length = 0;
    g_autofree guchar *raw = g_base64_decode(json_node_get_string(node), &length);
    return g_strndup((const char *)raw, length);
}

/* 0 when there is no such number. */
static int64_t read_number(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);
    return node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_int(node) : 0;
}

static bool read_flag(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);
    return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_boolean(node);
}

static JsonArray *read_array(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);
    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

/* The texts of an array, those left out that are no texts. */
static void read_texts(JsonObject *object, const char *name, GPtrArray *into)
{
    JsonArray *array = read_array(object, name);
    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        char *text = read_bytes(json_array_get_element(array, i));
        if (text)
            g_ptr_array_add(into, text);
    }
}

static void read_lists(TbTask *task, JsonObject *object)
{
    if (json_object_has_member(object, "command")) {
        g_autoptr(GPtrArray) command = g_ptr_array_new();
        read_texts(object, "command", command);
        g_ptr_array_add(command, NULL);
        task->command = (char **)g_ptr_array_steal(command, NULL);
    }
    read_texts(object, "masked", task->masked);
    read_texts(object, "notes", task->notes);
    JsonArray *array = read_array(object, "timings");
    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonNode *node = json_array_get_element(array, i);
        if (!JSON_NODE_HOLDS_OBJECT(node))
            continue;
        JsonObject *timing = json_node_get_object(node);
        g_autofree char *phase = read_bytes(json_object_get_member(timing, "phase"));
        if (phase)
            tb_task_timing(task, phase, read_number(timing, "ms"));
    }
}

static bool read_state(TbTask *task, JsonObject *object, GError **error)
{
    g_autofree char *name = read_bytes(json_object_get_member(object, "state"));
    for (size_t i = 0; name && i < G_N_ELEMENTS(state_names); i++) {
        if (strcmp(name, state_names[i]) == 0) {
            task->state = (TbTaskState)i;
            return true;
        }
    }
    return tb_error_set(error, TB_ERROR_IO, "its record names no state that is known");
}

static void read_findings(TbTask *task, JsonObject *object)
{
    JsonNode *node = json_object_get_member(object, "findings");
    task->has_findings = node && JSON_NODE_HOLDS_OBJECT(node);
    for (int i = 0; task->has_findings && i < TB_SEVERITIES; i++)
        task->findings[i] =
            (uint32_t)read_number(json_node_get_object(node), tb_severity_name((TbSeverity)i));
}

static void read_net(TbTask *task, JsonObject *object)
{
    JsonNode *node = json_object_get_member(object, "net");
    if (!node || !JSON_NODE_HOLDS_OBJECT(node))
        return;
    JsonObject *net = json_node_get_object(node);
    for (size_t i = 0; i < G_N_ELEMENTS(net_counts); i++)
        *net_count(task, i) = (uint64_t)MAX(read_number(net, net_counts[i].name), 0);
    task->net.lost = read_flag(net, "lost");
}

bool tb_record_parse(TbTask *task, const char *text, size_t length, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    g_autoptr(GError) why = NULL;
    JsonNode *root = json_parser_load_from_data(parser, text, (gssize)length, &why)
                         ? json_parser_get_root(parser)
                         : NULL;
    if (!root || !JSON_NODE_HOLDS_OBJECT(root))
        return tb_error_set(error, TB_ERROR_IO, "its record is damaged: %s",
                            why ? why->message : "no JSON object");
    JsonObject *object = json_node_get_object(root);
    int64_t version = read_number(object, "version");
    if (version < 1)
        return tb_error_set(error, TB_ERROR_IO, "its record has no version");
    if (version > RECORD_VERSION)
        return tb_error_set(error, TB_ERROR_UNSUPPORTED,
                            "a newer taskbox wrote its record (use that one)");
    if (!read_state(task, object, error))
        return false;
    task->created = read_number(object, "created");
    task->ended = read_number(object, "ended");
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        *text_of(task, i) = read_bytes(json_object_get_member(object, texts[i].name));
    task->exited = read_flag(object, "exited");
    task->exit_code = (int)read_number(object, "exit_code");
    task->exit_signal = (int)read_number(object, "exit_signal");
    task->keep = read_flag(object, "keep");
    task->tty = read_flag(object, "tty");
    JsonNode *patch = json_object_get_member(object, "patch");
    task->has_patch = patch && JSON_NODE_HOLDS_OBJECT(patch);
    if (task->has_patch) {
        JsonObject *stat = json_node_get_object(patch);
        task->stat = (TbPatchStat){.files = (uint32_t)read_number(stat, "files"),
                                   .added = (uint64_t)read_number(stat, "added"),
                                   .removed = (uint64_t)read_number(stat, "removed"),
                                   .binary = (uint32_t)read_number(stat, "binary"),
                                   .bytes = (uint64_t)read_number(stat, "bytes")};
        task->commits = (uint32_t)read_number(stat, "commits");
        task->verified = read_flag(stat, "verified");
    }
    read_findings(task, object);
    read_net(task, object);
    read_lists(task, object);
    return true;
}

/* For programs that read us: text made UTF-8 for good; what cannot be shown is escaped. */
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
        add_number(json, name, value);
    } else {
        json_builder_set_member_name(json, name);
        json_builder_add_null_value(json);
    }
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
    add_optional_number(json, "patch_bytes", task->has_patch, (int64_t)task->stat.bytes);
    add_optional_number(json, "files", task->has_patch, task->stat.files);
    add_optional_number(json, "binary_files", task->has_patch, task->stat.binary);
    add_optional_number(json, "lines_added", task->has_patch, (int64_t)task->stat.added);
    add_optional_number(json, "lines_removed", task->has_patch, (int64_t)task->stat.removed);
    add_optional_number(json, "commits", task->has_patch, task->commits);
    if (task->has_findings) {
        add_findings(json, task);
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
    add_text(json, "net_policy", task->net_policy);
    json_builder_set_member_name(json, "net");
    add_net(json, task);
    add_outcome(json, task);
    g_autofree char *log = task->dir ? tb_task_path(task, "log") : NULL;
    add_text(json, "log", log);
    g_autofree char *box = task->keep ? tb_task_path(task, "box") : NULL;
    add_text(json, "box", box);
    add_text(json, "history", task->history);
    add_text(json, "limits", task->limits);
    add_shown(json, "masked", task->masked);
    add_shown(json, "notes", task->notes);
    json_builder_set_member_name(json, "milliseconds");
    json_builder_begin_object(json);
    for (guint i = 0; i < task->timings->len; i++) {
        const TbTiming *timing = task->timings->pdata[i];
        add_number(json, timing->name, timing->ms);
    }
    json_builder_end_object(json);
    json_builder_end_object(json);
    return print(json, false);
}
