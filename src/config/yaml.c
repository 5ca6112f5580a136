/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libyaml's document tree, walked with tables of keys.
 *
 * A document is loaded whole, then each mapping is matched against the table of the keys it may
 * have; the table says the type and who turns the value into a field. So a key exists in one place
 * only, and every complaint can name line, column and the nearest valid key.
 */
#include "config/yaml.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/hole.h"
#include "util/units.h"

#define FILE_LIMIT (1024 * 1024)
#define KEYS_MAX   64

struct TbYaml {
    char *name;
    bool loaded; /* document must be deleted */
    yaml_document_t document;
};

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(yaml_parser_t, yaml_parser_delete)

void tb_yaml_free(TbYaml *yaml)
{
    if (!yaml)
        return;
    if (yaml->loaded)
        yaml_document_delete(&yaml->document);
    g_free(yaml->name);
    g_free(yaml);
}

static bool parser_error(const TbYaml *yaml, const yaml_parser_t *parser, GError **error)
{
    const yaml_mark_t *mark = &parser->problem_mark;
    if (parser->error == YAML_READER_ERROR)
        return tb_error_set(error, TB_ERROR_CONFIG, "%s: not valid UTF-8 text at byte %zu",
                            yaml->name, parser->problem_offset);
    return tb_error_set(error, TB_ERROR_CONFIG, "%s:%zu:%zu: not valid YAML: %s", yaml->name,
                        mark->line + 1, mark->column + 1,
                        parser->problem ? parser->problem : "no memory");
}

/* A second document in the file would be silently ignored; refuse it. */
static bool refuse_more(TbYaml *yaml, yaml_parser_t *parser, GError **error)
{
    yaml_document_t more;
    if (!yaml_parser_load(parser, &more))
        return parser_error(yaml, parser, error);
    yaml_node_t *node = yaml_document_get_root_node(&more);
    bool ok = !node || tb_yaml_error(yaml, node, error, "a second document is not allowed");
    yaml_document_delete(&more);
    return ok;
}

TbYaml *tb_yaml_parse(const char *name, const void *data, size_t length, GError **error)
{
    g_autoptr(TbYaml) yaml = g_new0(TbYaml, 1);
    yaml->name = g_strdup(name);
    g_auto(yaml_parser_t) parser;
    if (!yaml_parser_initialize(&parser)) {
        memset(&parser, 0, sizeof parser);
        tb_error_set(error, TB_ERROR_INTERNAL, "cannot start the YAML parser");
        return NULL;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, data, length);
    if (!yaml_parser_load(&parser, &yaml->document)) {
        parser_error(yaml, &parser, error);
        return NULL;
    }
    yaml->loaded = true;
    if (tb_yaml_root(yaml) && !refuse_more(yaml, &parser, error))
        return NULL;
    return g_steal_pointer(&yaml);
}

TbYaml *tb_yaml_load(const char *path, GError **error)
{
    /* The user may keep the file behind a link: it is theirs. */
    tb_autofd fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        tb_error_set_errno(error, errno, "cannot open '%s'", path);
        return NULL;
    }
    g_autofree char *data = g_malloc(FILE_LIMIT + 1);
    size_t length = 0;
    ssize_t got = 0;
    while (length <= FILE_LIMIT && (got = read(fd, data + length, FILE_LIMIT + 1 - length)) > 0)
        length += (size_t)got;
    if (got < 0) {
        tb_error_set_errno(error, errno, "cannot read '%s'", path);
        return NULL;
    }
    if (length > FILE_LIMIT) {
        tb_error_set(error, TB_ERROR_LIMIT, "cannot read '%s': larger than 1 MiB", path);
        return NULL;
    }
    return tb_yaml_parse(path, data, length, error);
}

const yaml_node_t *tb_yaml_root(TbYaml *yaml)
{
    return yaml_document_get_root_node(&yaml->document);
}

bool tb_yaml_error(TbYaml *yaml, const yaml_node_t *node, GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    yaml_mark_t mark = {0};
    if (node)
        mark = node->start_mark;
    return tb_error_set(error, TB_ERROR_CONFIG, "%s:%zu:%zu: %s", yaml->name, mark.line + 1,
                        mark.column + 1, text);
}

static const char *type_name(yaml_node_type_t type)
{
    switch (type) {
    case YAML_SCALAR_NODE:
        return "a single value";
    case YAML_SEQUENCE_NODE:
        return "a list";
    case YAML_MAPPING_NODE:
        return "a mapping";
    default:
        return "nothing";
    }
}

static bool check_type(TbYaml *yaml, const yaml_node_t *node, yaml_node_type_t type,
                       const char *what, GError **error)
{
    if (type == YAML_NO_NODE || node->type == type)
        return true;
    return tb_yaml_error(yaml, node, error, "%s must be %s, not %s", what, type_name(type),
                         type_name(node->type));
}

static const char *scalar_text(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

/* Quoted in messages: only text that cannot confuse a terminal comes through. */
static char *shown(const char *text)
{
    g_autofree char *escaped = g_strescape(text, NULL);
    if (strlen(escaped) > 60)
        strcpy(escaped + 57, "...");
    return g_steal_pointer(&escaped);
}

static yaml_node_t *node_at(TbYaml *yaml, int index)
{
    return yaml_document_get_node(&yaml->document, index);
}

static bool check_key(TbYaml *yaml, const yaml_node_t *key, GError **error)
{
    if (!check_type(yaml, key, YAML_SCALAR_NODE, "a key", error))
        return false;
    if (key->data.scalar.length == 0 || strlen(scalar_text(key)) != key->data.scalar.length)
        return tb_yaml_error(yaml, key, error, "empty or broken key");
    return true;
}

/* The first mark wins the message: "already given at line N". */
static bool check_duplicate(TbYaml *yaml, const yaml_node_t *node, const yaml_node_pair_t *pair,
                            GError **error)
{
    const yaml_node_t *key = node_at(yaml, pair->key);
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < pair; p++) {
        const yaml_node_t *other = node_at(yaml, p->key);
        if (g_str_equal(scalar_text(other), scalar_text(key))) {
            g_autofree char *text = shown(scalar_text(key));
            return tb_yaml_error(yaml, key, error, "duplicate key '%s' (first at line %zu)", text,
                                 other->start_mark.line + 1);
        }
    }
    return true;
}

static bool unknown_key(TbYaml *yaml, const yaml_node_t *key, const TbYamlKey *keys, GError **error)
{
    const char *words[KEYS_MAX + 1] = {0};
    for (unsigned i = 0, n = 0; keys[i].key && n < KEYS_MAX; i++)
        if (!keys[i].unused)
            words[n++] = keys[i].key;
    const char *near = tb_nearest_word(scalar_text(key), words);
    g_autofree char *text = shown(scalar_text(key));
    if (near)
        return tb_yaml_error(yaml, key, error, "unknown key '%s' (did you mean '%s'?)", text, near);
    g_autofree char *all = g_strjoinv(", ", (char **)words);
    return tb_yaml_error(yaml, key, error, "unknown key '%s' (valid keys: %s)", text, all);
}

/* Which key a bad value belongs to; the place in the file stands first already. */
static bool name_key(const char *key, const yaml_node_t *value, GError **error)
{
    if (error && *error && value->type == YAML_SCALAR_NODE) {
        char *text = g_strdup_printf("%s, for '%s'", (*error)->message, key);
        g_free((*error)->message);
        (*error)->message = text;
    }
    return false;
}

static bool note_unused(TbYaml *yaml, const yaml_node_t *key, const TbYamlKey *found, void *field)
{
    g_autoptr(GError) place = NULL;
    tb_yaml_error(yaml, key, &place, "'%s' is left out: %s", found->key, found->unused);
    g_ptr_array_add(*(GPtrArray **)field, g_strdup(place->message));
    return true;
}

static bool map_pair(TbYaml *yaml, const yaml_node_t *key, const yaml_node_t *value,
                     const TbYamlKey *keys, void *object, GError **error)
{
    for (const TbYamlKey *k = keys; k->key; k++) {
        if (!g_str_equal(k->key, scalar_text(key)))
            continue;
        if (k->unused && !k->handler)
            return note_unused(yaml, key, k, (char *)object + k->offset);
        g_autofree char *what = g_strdup_printf("'%s'", k->key);
        return check_type(yaml, value, k->type, what, error) &&
               (k->handler(yaml, value, (char *)object + k->offset, error) ||
                name_key(k->key, value, error));
    }
    return tb_hole("config-unknown") || unknown_key(yaml, key, keys, error);
}

bool tb_yaml_map(TbYaml *yaml, const yaml_node_t *node, const TbYamlKey *keys, void *object,
                 GError **error)
{
    if (!node)
        return true;
    if (!check_type(yaml, node, YAML_MAPPING_NODE, "this", error))
        return false;
    yaml_node_pair_t *top = node->data.mapping.pairs.top;
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < top; pair++) {
        const yaml_node_t *key = node_at(yaml, pair->key);
        if (!check_key(yaml, key, error) || !check_duplicate(yaml, node, pair, error) ||
            !map_pair(yaml, key, node_at(yaml, pair->value), keys, object, error))
            return false;
    }
    return true;
}

bool tb_yaml_each(TbYaml *yaml, const yaml_node_t *node, yaml_node_type_t type,
                  TbYamlHandler handler, void *field, GError **error)
{
    yaml_node_item_t *top = node->data.sequence.items.top;
    for (yaml_node_item_t *item = node->data.sequence.items.start; item < top; item++) {
        const yaml_node_t *value = node_at(yaml, *item);
        if (!check_type(yaml, value, type, "an item of this list", error) ||
            !handler(yaml, value, field, error))
            return false;
    }
    return true;
}

bool tb_yaml_each_pair(TbYaml *yaml, const yaml_node_t *node, yaml_node_type_t type,
                       TbYamlPairFn pair_fn, void *data, GError **error)
{
    yaml_node_pair_t *top = node->data.mapping.pairs.top;
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < top; pair++) {
        const yaml_node_t *key = node_at(yaml, pair->key);
        const yaml_node_t *value = node_at(yaml, pair->value);
        if (!check_key(yaml, key, error) || !check_duplicate(yaml, node, pair, error))
            return false;
        g_autofree char *text = shown(scalar_text(key));
        g_autofree char *what = g_strdup_printf("'%s'", text);
        if (!check_type(yaml, value, type, what, error) ||
            !pair_fn(yaml, scalar_text(key), key, value, data, error))
            return false;
    }
    return true;
}

bool tb_yaml_string(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    const char *text = scalar_text(node);
    if (node->data.scalar.length == 0)
        return tb_yaml_error(yaml, node, error, "empty value");
    if (strlen(text) != node->data.scalar.length)
        return tb_yaml_error(yaml, node, error, "the value holds a NUL byte");
    char **out = field;
    g_free(*out);
    *out = g_strdup(text);
    return true;
}

/* Turns an error of a parser in util/units.h into one with a place. */
static bool place_error(TbYaml *yaml, const yaml_node_t *node, GError *from, GError **error)
{
    tb_yaml_error(yaml, node, error, "%s", from->message);
    g_error_free(from);
    return false;
}

bool tb_yaml_count(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    uint64_t value = 0;
    GError *wrong = NULL;
    if (!tb_number_parse(scalar_text(node), "number", 1, G_MAXINT, &value, &wrong))
        return place_error(yaml, node, wrong, error);
    *(unsigned *)field = (unsigned)value;
    return true;
}

bool tb_yaml_size(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    uint64_t value = 0;
    GError *wrong = NULL;
    if (!tb_size_parse(scalar_text(node), &value, &wrong))
        return place_error(yaml, node, wrong, error);
    if (value == 0)
        return tb_yaml_error(yaml, node, error, "bad size '%s': must not be zero",
                             scalar_text(node));
    *(uint64_t *)field = value;
    return true;
}

bool tb_yaml_duration(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    uint64_t value = 0;
    GError *wrong = NULL;
    if (!tb_duration_parse(scalar_text(node), &value, &wrong))
        return place_error(yaml, node, wrong, error);
    *(uint64_t *)field = value;
    return true;
}

static bool append_string(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    char *text = NULL;
    if (!tb_yaml_string(yaml, node, &text, error))
        return false;
    g_ptr_array_add(field, text);
    return true;
}

bool tb_yaml_string_list(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
    if (!tb_yaml_each(yaml, node, YAML_SCALAR_NODE, append_string, list, error))
        return false;
    g_ptr_array_add(list, NULL);
    char ***out = field;
    g_strfreev(*out);
    *out = (char **)g_ptr_array_steal(list, NULL);
    return true;
}

bool tb_env_name_valid(const char *name)
{
    if (!g_ascii_isalpha(*name) && *name != '_')
        return false;
    for (; *name; name++)
        if (!g_ascii_isalnum(*name) && *name != '_')
            return false;
    return true;
}

static bool read_env_pair(TbYaml *yaml, const char *key, const yaml_node_t *key_node,
                          const yaml_node_t *value, void *data, GError **error)
{
    if (!tb_env_name_valid(key))
        return tb_yaml_error(yaml, key_node, error,
                             "bad variable name (letters, digits and '_', no digit first)");
    const char *text = (const char *)value->data.scalar.value;
    if (strlen(text) != value->data.scalar.length)
        return tb_yaml_error(yaml, value, error, "the value holds a NUL byte");
    g_ptr_array_add(data, g_strdup_printf("%s=%s", key, text));
    return true;
}

bool tb_yaml_env(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
    if (!tb_yaml_each_pair(yaml, node, YAML_SCALAR_NODE, read_env_pair, list, error))
        return false;
    g_ptr_array_add(list, NULL);
    char ***env = field;
    g_strfreev(*env);
    *env = (char **)g_ptr_array_steal(list, NULL);
    return true;
}

bool tb_yaml_word(TbYaml *yaml, const yaml_node_t *node, const char *const *words, unsigned *index,
                  GError **error)
{
    const char *text = scalar_text(node);
    for (unsigned i = 0; words[i]; i++) {
        if (g_str_equal(words[i], text)) {
            *index = i;
            return true;
        }
    }
    g_autofree char *all = g_strjoinv(", ", (char **)words);
    g_autofree char *quoted = shown(text);
    return tb_yaml_error(yaml, node, error, "bad value '%s' (must be one of: %s)", quoted, all);
}

bool tb_yaml_either(TbYaml *yaml, const yaml_node_t *node, const char *first, const char *second,
                    bool *is_second, GError **error)
{
    const char *const words[] = {first, second, NULL};
    unsigned index = 0;
    if (!tb_yaml_word(yaml, node, words, &index, error))
        return false;
    *is_second = index == 1;
    return true;
}
