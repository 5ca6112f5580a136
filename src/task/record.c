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
#include "util/units.h"

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
    {"mount", offsetof(TbTask, mount)},
    {"limits", offsetof(TbTask, limits)},
    {"verify_command", offsetof(TbTask, trial.command)},
    {"verify_cause", offsetof(TbTask, trial.cause)},
    {"from", offsetof(TbTask, from)},
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

const char *tb_trial_word(const TbTrial *verdict)
{
    if (!verdict->command)
        return NULL;
    if (verdict->running)
        return "running";
    return verdict->cause || !verdict->exited ? "not verified"
           : verdict->exit_code == 0          ? "passed"
                                              : "failed";
}

char *tb_trial_command(const TbTrial *verdict)
{
    const char *text = verdict->command + strspn(verdict->command, " \t\r\n");
    size_t length = strcspn(text, "\n");
    g_autofree char *line = g_strndup(text, length);
    g_autofree char *safe = tb_escape_name(line);
    return g_strconcat(safe, text[length] ? " ..." : "", NULL);
}

char *tb_trial_text(const TbTrial *verdict)
{
    if (!verdict->command)
        return NULL;
    g_autofree char *command = tb_trial_command(verdict);
    g_autofree char *cause = verdict->cause ? tb_escape_name(verdict->cause) : NULL;
    g_autofree char *took = tb_duration_format((uint64_t)MAX(verdict->ms, 0));
    g_autofree char *code = verdict->exited && verdict->exit_code
                                ? g_strdup_printf(" with exit code %d", verdict->exit_code)
                                : NULL;
    return g_strdup_printf("%s%s%s%s%s%s: %s", tb_trial_word(verdict), code ? code : "",
                           cause ? ", since " : "", cause ? cause : "",
                           verdict->exited ? " in " : "", verdict->exited ? took : "", command);
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
    g_strfreev(task->flags);
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

void record_add_number(JsonBuilder *json, const char *name, int64_t value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_int_value(json, value);
}

void record_add_flag(JsonBuilder *json, const char *name, bool value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_boolean_value(json, value);
}

char *record_print(JsonBuilder *json, bool pretty)
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

static void add_vector(JsonBuilder *json, const char *name, char **vector)
{
    if (!vector)
        return;
    json_builder_set_member_name(json, name);
    json_builder_begin_array(json);
    for (char **text = vector; *text; text++)
        add_bytes(json, *text);
    json_builder_end_array(json);
}

static void add_lists(JsonBuilder *json, const TbTask *task)
{
    add_vector(json, "command", task->command);
    add_vector(json, "flags", task->flags);
    add_texts(json, "masked", task->masked);
    add_texts(json, "notes", task->notes);
    json_builder_set_member_name(json, "timings");
    json_builder_begin_array(json);
    for (guint i = 0; i < task->timings->len; i++) {
        const TbTiming *timing = task->timings->pdata[i];
        json_builder_begin_object(json);
        json_builder_set_member_name(json, "phase");
        add_bytes(json, timing->name);
        record_add_number(json, "ms", timing->ms);
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
void record_add_net(JsonBuilder *json, const TbTask *task)
{
    json_builder_begin_object(json);
    for (size_t i = 0; i < G_N_ELEMENTS(net_counts); i++)
        record_add_number(json, net_counts[i].name, (int64_t)*net_count(task, i));
    record_add_flag(json, "lost", task->net.lost);
    json_builder_end_object(json);
}

/* How many there are of each severity. */
void record_add_findings(JsonBuilder *json, const TbTask *task)
{
    json_builder_set_member_name(json, "findings");
    json_builder_begin_object(json);
    for (int i = TB_SEVERITY_HIGH; i >= TB_SEVERITY_LOW; i--)
        record_add_number(json, tb_severity_name((TbSeverity)i), task->findings[i]);
    json_builder_end_object(json);
}

void record_add_usage(JsonBuilder *json, const TbTask *task)
{
    json_builder_set_member_name(json, "usage");
    json_builder_begin_object(json);
    record_add_number(json, "tokens_in", (int64_t)task->usage.tokens_in);
    record_add_number(json, "tokens_out", (int64_t)task->usage.tokens_out);
    json_builder_set_member_name(json, "cost");
    json_builder_add_double_value(json, task->usage.cost);
    json_builder_end_object(json);
}

char *tb_record_format(const TbTask *task)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    json_builder_begin_object(json);
    record_add_number(json, "version", RECORD_VERSION);
    json_builder_set_member_name(json, "state");
    json_builder_add_string_value(json, tb_task_state_name(task->state));
    record_add_number(json, "created", task->created);
    record_add_number(json, "ended", task->ended);
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        const char *text = *text_of(task, i);
        if (text) {
            json_builder_set_member_name(json, texts[i].name);
            add_bytes(json, text);
        }
    }
    record_add_flag(json, "exited", task->exited);
    record_add_number(json, "exit_code", task->exit_code);
    record_add_number(json, "exit_signal", task->exit_signal);
    record_add_flag(json, "keep", task->keep);
    record_add_flag(json, "tty", task->tty);
    record_add_flag(json, "on_top", task->on_top);
    record_add_usage(json, task);
    if (task->trial.command) {
        record_add_flag(json, "verify_running", task->trial.running);
        record_add_flag(json, "verify_exited", task->trial.exited);
        record_add_number(json, "verify_exit_code", task->trial.exit_code);
        record_add_number(json, "verify_ms", task->trial.ms);
    }
    if (task->has_patch) {
        json_builder_set_member_name(json, "patch");
        json_builder_begin_object(json);
        record_add_number(json, "files", task->stat.files);
        record_add_number(json, "added", (int64_t)task->stat.added);
        record_add_number(json, "removed", (int64_t)task->stat.removed);
        record_add_number(json, "binary", task->stat.binary);
        record_add_number(json, "bytes", (int64_t)task->stat.bytes);
        record_add_number(json, "commits", task->commits);
        record_add_flag(json, "verified", task->verified);
        json_builder_end_object(json);
    }
    if (task->has_findings)
        record_add_findings(json, task);
    json_builder_set_member_name(json, "net");
    record_add_net(json, task);
    add_lists(json, task);
    json_builder_end_object(json);
    return record_print(json, true);
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

/* NULL when there is no such member. */
static char **read_vector(JsonObject *object, const char *name)
{
    if (!json_object_has_member(object, name))
        return NULL;
    g_autoptr(GPtrArray) into = g_ptr_array_new();
    read_texts(object, name, into);
    g_ptr_array_add(into, NULL);
    return (char **)g_ptr_array_steal(into, NULL);
}

static void read_lists(TbTask *task, JsonObject *object)
{
    task->command = read_vector(object, "command");
    task->flags = read_vector(object, "flags");
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

static void read_usage(TbTask *task, JsonObject *object)
{
    JsonNode *node = json_object_get_member(object, "usage");
    if (!node || !JSON_NODE_HOLDS_OBJECT(node))
        return;
    JsonObject *usage = json_node_get_object(node);
    task->usage.tokens_in = (uint64_t)MAX(read_number(usage, "tokens_in"), 0);
    task->usage.tokens_out = (uint64_t)MAX(read_number(usage, "tokens_out"), 0);
    JsonNode *cost = json_object_get_member(usage, "cost");
    task->usage.cost = cost && JSON_NODE_HOLDS_VALUE(cost) ? json_node_get_double(cost) : 0;
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
    task->on_top = read_flag(object, "on_top");
    read_usage(task, object);
    task->trial.running = read_flag(object, "verify_running");
    task->trial.exited = read_flag(object, "verify_exited");
    task->trial.exit_code = (int)read_number(object, "verify_exit_code");
    task->trial.ms = read_number(object, "verify_ms");
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
