/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/members.h"

void tb_member_set_text(JsonBuilder *json, const char *key, const char *value)
{
    json_builder_set_member_name(json, key);
    if (value)
        json_builder_add_string_value(json, value);
    else
        json_builder_add_null_value(json);
}

void tb_member_set_number(JsonBuilder *json, const char *key, uint64_t value)
{
    json_builder_set_member_name(json, key);
    json_builder_add_int_value(json, (gint64)value);
}

/* A value of the type, or NULL. */
static JsonNode *value_of(JsonObject *object, const char *key, GType type)
{
    JsonNode *node = json_object_get_member(object, key);
    return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type ? node
                                                                                         : NULL;
}

char *tb_member_text(JsonObject *object, const char *key)
{
    JsonNode *node = value_of(object, key, G_TYPE_STRING);
    return node ? g_strdup(json_node_get_string(node)) : NULL;
}

uint64_t tb_member_number(JsonObject *object, const char *key)
{
    JsonNode *node = value_of(object, key, G_TYPE_INT64);
    return node ? (uint64_t)MAX(json_node_get_int(node), 0) : 0;
}
