/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A line at a time, of bounded length and depth: json-glib goes down by recursion, so how deep a
 * line goes is looked at first.
 */
#include "run/stream.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#include "config/stream.h"

#define LINE_LIMIT ((size_t)8 << 20)
#define TEXT_LIMIT ((size_t)256 << 10)
#define DEPTH      64

struct TbAgentStream {
    const GPtrArray *rules;
    GString *line;
    size_t dropped; /* bytes of a line that is too long */
    bool open;      /* a piece of words has come without an end */
    TbUsage usage;
};

TbAgentStream *tb_agent_stream_new(const GPtrArray *rules)
{
    TbAgentStream *stream = g_new0(TbAgentStream, 1);
    stream->rules = rules;
    stream->line = g_string_new(NULL);
    return stream;
}

void tb_agent_stream_free(TbAgentStream *stream)
{
    if (!stream)
        return;
    g_string_free(stream->line, TRUE);
    g_free(stream);
}

const TbUsage *tb_agent_stream_usage(const TbAgentStream *stream)
{
    return &stream->usage;
}

/* ---- values */

static bool too_deep(const char *text, size_t length)
{
    unsigned depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < length; i++) {
        if (quoted && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted && (text[i] == '{' || text[i] == '[') && ++depth > DEPTH)
            return true;
        else if (!quoted && depth > 0 && (text[i] == '}' || text[i] == ']'))
            depth--;
    }
    return false;
}

static JsonNode *step_into(JsonNode *node, const char *name)
{
    if (JSON_NODE_HOLDS_OBJECT(node))
        return json_object_get_member(json_node_get_object(node), name);
    if (!JSON_NODE_HOLDS_ARRAY(node) || !g_ascii_isdigit(*name))
        return NULL;
    JsonArray *array = json_node_get_array(node);
    guint64 place = g_ascii_strtoull(name, NULL, 10);
    return place < json_array_get_length(array) ? json_array_get_element(array, (guint)place)
                                                : NULL;
}

/* NULL when there is no such member. */
static JsonNode *find(JsonNode *node, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, ".", -1);
    for (char **name = names; node && *name; name++)
        node = step_into(node, *name);
    return node;
}

static char *text_of(JsonNode *node)
{
    if (!node || !JSON_NODE_HOLDS_VALUE(node))
        return NULL;
    switch (json_node_get_value_type(node)) {
    case G_TYPE_STRING:
        return json_node_dup_string(node);
    case G_TYPE_INT64:
        return g_strdup_printf("%" G_GINT64_FORMAT, json_node_get_int(node));
    case G_TYPE_BOOLEAN:
        return g_strdup(json_node_get_boolean(node) ? "true" : "false");
    default:
        return g_strdup_printf("%g", json_node_get_double(node));
    }
}

static bool all_hold(const GPtrArray *tests, JsonNode *node)
{
    for (guint i = 0; tests && i < tests->len; i++) {
        const TbStreamTest *test = tests->pdata[i];
        JsonNode *member = find(node, test->path);
        g_autofree char *text = text_of(member);
        bool there = strcmp(test->value, "*") == 0 && member && !JSON_NODE_HOLDS_NULL(member);
        if (!there && g_strcmp0(text, test->value) != 0)
            return false;
    }
    return true;
}

/* "{path}" in the pattern replaced. */
static char *fill(const char *pattern, JsonNode *node)
{
    GString *out = g_string_new(NULL);
    for (const char *at = pattern; *at;) {
        const char *end = *at == '{' ? strchr(at, '}') : NULL;
        if (!end) {
            g_string_append_c(out, *at++);
            continue;
        }
        g_autofree char *path = g_strndup(at + 1, (gsize)(end - at - 1));
        g_autofree char *text = text_of(find(node, path));
        if (text)
            g_string_append_len(out, text, (gssize)MIN(strlen(text), TEXT_LIMIT));
        at = end + 1;
    }
    return g_string_free(out, FALSE);
}

/* ---- what comes of a part */

static void end_words(TbAgentStream *stream, GString *out)
{
    if (stream->open)
        g_string_append_c(out, '\n');
    stream->open = false;
}

static void show(TbAgentStream *stream, TbStreamKind kind, char *text, GString *out)
{
    static const char *const marks[] = {
        [TB_STREAM_SAY] = "",    [TB_STREAM_PART] = "",   [TB_STREAM_RUN] = "$ ",
        [TB_STREAM_EDIT] = "~ ", [TB_STREAM_NOTE] = "- ",
    };
    if (kind == TB_STREAM_PART) {
        g_string_append(out, text);
        stream->open = *text ? !g_str_has_suffix(text, "\n") : stream->open;
        return;
    }
    g_strchomp(text);
    if (!*text)
        return;
    end_words(stream, out);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++)
        g_string_append_printf(out, "%s%s\n",
                               line == lines || kind == TB_STREAM_SAY ? marks[kind] : "  ", *line);
}

static uint64_t number_of(const char *pattern, JsonNode *node)
{
    g_autofree char *text = pattern ? fill(pattern, node) : NULL;
    return text && g_ascii_isdigit(*text) ? g_ascii_strtoull(text, NULL, 10) : 0;
}

static void take(TbAgentStream *stream, const TbStreamRule *rule, JsonNode *node, GString *out)
{
    for (int kind = 0; kind < TB_STREAM_KINDS; kind++) {
        g_autofree char *text = rule->texts[kind] ? fill(rule->texts[kind], node) : NULL;
        if (text)
            show(stream, (TbStreamKind)kind, text, out);
    }
    TbUsage *usage = &stream->usage;
    usage->tokens_in += MIN(number_of(rule->tokens_in, node), UINT32_MAX);
    usage->tokens_out += MIN(number_of(rule->tokens_out, node), UINT32_MAX);
    g_autofree char *cost = rule->cost ? fill(rule->cost, node) : NULL;
    double dollars = cost ? g_ascii_strtod(cost, NULL) : 0;
    if (isfinite(dollars) && dollars > 0 && dollars < 1e6)
        usage->cost += dollars;
}

/* ---- rules: the first one that fits has the part */

static void take_elements(TbAgentStream *stream, guint first, JsonNode *line, GString *out)
{
    const char *each = ((const TbStreamRule *)stream->rules->pdata[first])->each;
    JsonNode *node = find(line, each);
    JsonArray *array = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonNode *element = json_array_get_element(array, i);
        for (guint k = first; k < stream->rules->len; k++) {
            const TbStreamRule *rule = stream->rules->pdata[k];
            if (g_strcmp0(rule->each, each) == 0 && all_hold(rule->when, line) &&
                all_hold(rule->where, element)) {
                take(stream, rule, element, out);
                break;
            }
        }
    }
}

static void take_object(TbAgentStream *stream, JsonNode *line, GString *out)
{
    g_autoptr(GHashTable) done = g_hash_table_new(g_str_hash, g_str_equal);
    bool taken = false;
    for (guint i = 0; i < stream->rules->len; i++) {
        const TbStreamRule *rule = stream->rules->pdata[i];
        if (rule->each) {
            if (all_hold(rule->when, line) && g_hash_table_add(done, rule->each))
                take_elements(stream, i, line, out);
        } else if (!taken && all_hold(rule->when, line)) {
            take(stream, rule, line, out);
            taken = true;
        }
    }
}

static void take_line(TbAgentStream *stream, GString *out)
{
    GString *line = stream->line;
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    JsonNode *root = NULL;
    if (stream->dropped == 0 && line->len > 0 && line->str[0] == '{' &&
        !too_deep(line->str, line->len) && g_utf8_validate(line->str, (gssize)line->len, NULL) &&
        json_parser_load_from_data(parser, line->str, (gssize)line->len, NULL))
        root = json_parser_get_root(parser);
    if (root && JSON_NODE_HOLDS_OBJECT(root)) {
        take_object(stream, root, out);
    } else if (stream->dropped) {
        end_words(stream, out);
        g_string_append_printf(out, "[taskbox: a line of %" G_GSIZE_FORMAT " bytes is left out]\n",
                               line->len + stream->dropped);
    } else {
        end_words(stream, out);
        g_string_append_len(out, line->str, (gssize)line->len);
        g_string_append_c(out, '\n');
    }
    g_string_truncate(line, 0);
    stream->dropped = 0;
}

void tb_agent_stream_feed(TbAgentStream *stream, const void *data, size_t length, GString *out)
{
    const char *at = data, *end = at + length;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t part = (size_t)((newline ? newline : end) - at);
        size_t kept = MIN(part, LINE_LIMIT - stream->line->len);
        g_string_append_len(stream->line, at, (gssize)kept);
        stream->dropped += part - kept;
        if (newline)
            take_line(stream, out);
        at += part + (newline ? 1 : 0);
    }
}

void tb_agent_stream_end(TbAgentStream *stream, GString *out)
{
    if (stream->line->len > 0)
        take_line(stream, out);
    end_words(stream, out);
}
