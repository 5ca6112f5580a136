/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Findings as JSON: for the task's directory, and for --json. Paths are bytes: one that is not
 * UTF-8 is written escaped for readers, with its bytes in "file_base64". */
#include "review/findings.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "review/findings-private.h"
#include "util/error.h"
#include "util/escape.h"

#define VERSION 1

static void add_text(JsonBuilder *json, const char *name, const char *text)
{
    json_builder_set_member_name(json, name);
    if (text)
        json_builder_add_string_value(json, text);
    else
        json_builder_add_null_value(json);
}

static void add_path(JsonBuilder *json, const char *path)
{
    if (!path || g_utf8_validate(path, -1, NULL)) {
        add_text(json, "file", path);
        return;
    }
    g_autofree char *shown = tb_escape_name(path);
    g_autofree char *coded = g_base64_encode((const guchar *)path, strlen(path));
    add_text(json, "file", shown);
    add_text(json, "file_base64", coded);
}

static void add_finding(JsonBuilder *json, const TbFinding *finding)
{
    json_builder_begin_object(json);
    add_text(json, "rule", finding->rule);
    add_text(json, "severity", tb_severity_name(finding->severity));
    add_text(json, "commit", finding->commit);
    add_path(json, finding->path);
    json_builder_set_member_name(json, "line");
    if (finding->line)
        json_builder_add_int_value(json, finding->line);
    else
        json_builder_add_null_value(json);
    add_text(json, "why", finding->why);
    add_text(json, "detail", finding->detail);
    json_builder_end_object(json);
}

char *tb_findings_format(const TbFindings *findings)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    json_builder_begin_object(json);
    json_builder_set_member_name(json, "version");
    json_builder_add_int_value(json, VERSION);
    for (int i = TB_SEVERITY_HIGH; i >= TB_SEVERITY_LOW; i--) {
        json_builder_set_member_name(json, tb_severity_name((TbSeverity)i));
        json_builder_add_int_value(json, findings->counts[i]);
    }
    json_builder_set_member_name(json, "findings");
    json_builder_begin_array(json);
    for (guint i = 0; i < findings->list->len; i++)
        add_finding(json, findings->list->pdata[i]);
    json_builder_end_array(json);
    json_builder_end_object(json);
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    return json_to_string(root, FALSE);
}

static const char *read_text(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);
    return node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_string(node) : NULL;
}

static int64_t read_number(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);
    return node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_int(node) : 0;
}

static bool read_severity(const char *name, TbSeverity *severity)
{
    for (int i = 0; name && i < TB_SEVERITIES; i++) {
        *severity = (TbSeverity)i;
        if (strcmp(name, tb_severity_name(*severity)) == 0)
            return true;
    }
    return false;
}

static bool read_finding(TbFindings *findings, JsonNode *node)
{
    if (!JSON_NODE_HOLDS_OBJECT(node))
        return false;
    JsonObject *object = json_node_get_object(node);
    TbSeverity severity;
    const char *rule = read_text(object, "rule"), *why = read_text(object, "why");
    if (!rule || !why || !read_severity(read_text(object, "severity"), &severity))
        return false;
    const char *coded = read_text(object, "file_base64");
    size_t length = 0;
    g_autofree guchar *raw = coded ? g_base64_decode(coded, &length) : NULL;
    char *path = raw ? g_strndup((char *)raw, length) : g_strdup(read_text(object, "file"));
    TbFinding *finding = g_new(TbFinding, 1);
    *finding = (TbFinding){.rule = g_strdup(rule),
                           .severity = severity,
                           .commit = g_strdup(read_text(object, "commit")),
                           .path = path,
                           .line = (uint32_t)read_number(object, "line"),
                           .why = g_strdup(why),
                           .detail = g_strdup(read_text(object, "detail"))};
    g_ptr_array_add(findings->list, finding);
    return true;
}

TbFindings *tb_findings_parse(const char *text, size_t length, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    JsonNode *root = json_parser_load_from_data(parser, text, (gssize)length, NULL)
                         ? json_parser_get_root(parser)
                         : NULL;
    JsonObject *object = root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
    JsonNode *list = object ? json_object_get_member(object, "findings") : NULL;
    bool ok = list && JSON_NODE_HOLDS_ARRAY(list) && read_number(object, "version") == VERSION;
    g_autoptr(TbFindings) findings = findings_new();
    JsonArray *array = ok ? json_node_get_array(list) : NULL;
    for (guint i = 0; array && ok && i < json_array_get_length(array); i++)
        ok = read_finding(findings, json_array_get_element(array, i));
    for (int i = 0; ok && i < TB_SEVERITIES; i++)
        findings->counts[i] = (uint32_t)read_number(object, tb_severity_name((TbSeverity)i));
    if (!ok) {
        tb_error_set(error, TB_ERROR_IO, "the findings of the task are damaged");
        return NULL;
    }
    return g_steal_pointer(&findings);
}
