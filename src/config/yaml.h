/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * YAML documents into C structs by key tables. Every error names its place and is a
 * TB_ERROR_CONFIG: "FILE:LINE:COLUMN: unknown key 'cpu' (did you mean 'cpus'?)".
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

typedef struct TbYaml TbYaml;

/* Parses one document. `name` stands in the messages. An empty text is an empty mapping. */
TbYaml *tb_yaml_parse(const char *name, const void *data, size_t length, GError **error);
/* Reads and parses a file of at most 1 MiB. TB_ERROR_NOT_FOUND when it is not there. */
TbYaml *tb_yaml_load(const char *path, GError **error);
void tb_yaml_free(TbYaml *yaml);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbYaml, tb_yaml_free)

/* The top node; NULL for an empty text. */
const yaml_node_t *tb_yaml_root(TbYaml *yaml);
/* Sets a TB_ERROR_CONFIG at `node` (NULL: the start of the file). Returns false. */
bool tb_yaml_error(TbYaml *yaml, const yaml_node_t *node, GError **error, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

/* Turns `node` into *field. The node's type has been checked. */
typedef bool (*TbYamlHandler)(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error);

typedef struct {
    const char *key;
    yaml_node_type_t type; /* what the value must be; YAML_NO_NODE: anything */
    TbYamlHandler handler;
    size_t offset; /* of the field in the object */
    /* Why the key means nothing here; it is not offered. Without a handler it is accepted, and a
     * line that says so is added to the field, a GPtrArray * of char *. */
    const char *unused;
} TbYamlKey;

/* Fills `object` from a mapping. `keys` ends with a NULL key. Refuses unknown and duplicate keys
 * and wrong types. */
bool tb_yaml_map(TbYaml *yaml, const yaml_node_t *node, const TbYamlKey *keys, void *object,
                 GError **error);
/* Calls `handler` with `field` for each item of a sequence; items must be of `type`. */
bool tb_yaml_each(TbYaml *yaml, const yaml_node_t *node, yaml_node_type_t type,
                  TbYamlHandler handler, void *field, GError **error);
/* Calls `pair` for each pair of a mapping whose keys are free; keys are non-empty scalars, no
 * duplicates, values of `type`. */
typedef bool (*TbYamlPairFn)(TbYaml *yaml, const char *key, const yaml_node_t *key_node,
                             const yaml_node_t *value, void *data, GError **error);
bool tb_yaml_each_pair(TbYaml *yaml, const yaml_node_t *node, yaml_node_type_t type,
                       TbYamlPairFn pair, void *data, GError **error);

/* Handlers for scalars. Field types: char *, unsigned (at least 1), uint64_t (bytes), uint64_t
 * (seconds). A string is not empty and holds no NUL byte. */
bool tb_yaml_string(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error);
bool tb_yaml_count(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error);
bool tb_yaml_size(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error);
bool tb_yaml_duration(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error);
/* A word of config/mount.h's; field: TbMountType. */
bool tb_yaml_mount(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error);
/* A sequence of non-empty strings; field: char ** (a GStrv). */
bool tb_yaml_string_list(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error);
/* A mapping of environment variables; field: char ** (a GStrv of "NAME=VALUE"). */
bool tb_yaml_env(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error);
/* Letters, digits and '_', no digit first. */
bool tb_env_name_valid(const char *name);
/* One word of the NULL-terminated list; *index is its place. For use inside handlers. */
bool tb_yaml_word(TbYaml *yaml, const yaml_node_t *node, const char *const *words, unsigned *index,
                  GError **error);
/* A scalar that is one of two words; *is_second says whether it is the second. */
bool tb_yaml_either(TbYaml *yaml, const yaml_node_t *node, const char *first, const char *second,
                    bool *is_second, GError **error);
