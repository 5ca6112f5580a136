/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config/stream.h"

#include <string.h>

static void free_test(void *data)
{
    TbStreamTest *test = data;
    g_free(test->path);
    g_free(test->value);
    g_free(test);
}

static void free_rule(void *data)
{
    TbStreamRule *rule = data;
    g_clear_pointer(&rule->when, g_ptr_array_unref);
    g_clear_pointer(&rule->where, g_ptr_array_unref);
    g_free(rule->each);
    for (int i = 0; i < TB_STREAM_KINDS; i++)
        g_free(rule->texts[i]);
    g_free(rule->tokens_in);
    g_free(rule->tokens_out);
    g_free(rule->cost);
    g_free(rule);
}

static bool read_test(TbYaml *yaml, const char *key, const yaml_node_t *key_node,
                      const yaml_node_t *value, void *data, GError **error)
{
    TbStreamTest *test = g_new0(TbStreamTest, 1);
    test->path = g_strdup(key);
    g_ptr_array_add(data, test);
    return tb_yaml_string(yaml, value, &test->value, error);
}

static bool read_tests(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    GPtrArray **tests = field;
    *tests = g_ptr_array_new_with_free_func(free_test);
    return tb_yaml_each_pair(yaml, node, YAML_SCALAR_NODE, read_test, *tests, error);
}

static const TbYamlKey rule_keys[] = {
    {"when", YAML_MAPPING_NODE, read_tests, offsetof(TbStreamRule, when)},
    {"each", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbStreamRule, each)},
    {"where", YAML_MAPPING_NODE, read_tests, offsetof(TbStreamRule, where)},
    {"say", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbStreamRule, texts[TB_STREAM_SAY])},
    {"part", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbStreamRule, texts[TB_STREAM_PART])},
    {"run", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbStreamRule, texts[TB_STREAM_RUN])},
    {"edit", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbStreamRule, texts[TB_STREAM_EDIT])},
    {"note", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbStreamRule, texts[TB_STREAM_NOTE])},
    {"tokens_in", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbStreamRule, tokens_in)},
    {"tokens_out", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbStreamRule, tokens_out)},
    {"cost", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbStreamRule, cost)},
    {0},
};

static bool read_rule(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    TbStreamRule *rule = g_new0(TbStreamRule, 1);
    g_ptr_array_add(field, rule);
    if (!tb_yaml_map(yaml, node, rule_keys, rule, error))
        return false;
    return !rule->where || rule->each ||
           tb_yaml_error(yaml, node, error, "'where' goes with 'each' (of the line it is 'when')");
}

bool tb_yaml_stream(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    GPtrArray **rules = field;
    *rules = g_ptr_array_new_with_free_func(free_rule);
    return tb_yaml_each(yaml, node, YAML_MAPPING_NODE, read_rule, *rules, error);
}
