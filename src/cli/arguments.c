/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Our own small parser in place of GOption: the options are the same table that prints the help,
 * a wrong one is answered with the nearest right one, values live in no static variable, and what
 * follows "--" is never looked at.
 */
#include "cli/arguments.h"

#include <string.h>

#include "util/error.h"
#include "util/units.h"

struct TbArguments {
    GHashTable *values; /* name to its values, a GPtrArray that ends with NULL */
    GHashTable *counts; /* name to how often */
    GPtrArray *words;   /* NULL-terminated when parsed */
    char **rest;
};

typedef struct {
    TbArguments *arguments;
    const TbOption *lists[2];
    const char *const *next; /* the argument after the present one */
} Parser;

void tb_arguments_free(TbArguments *arguments)
{
    if (!arguments)
        return;
    g_hash_table_unref(arguments->values);
    g_hash_table_unref(arguments->counts);
    g_ptr_array_unref(arguments->words);
    g_strfreev(arguments->rest);
    g_free(arguments);
}

static const TbOption *find_option(const Parser *parser, const char *name, size_t length,
                                   char letter)
{
    for (size_t i = 0; i < G_N_ELEMENTS(parser->lists); i++)
        for (const TbOption *option = parser->lists[i]; option && option->name; option++)
            if (letter ? option->letter == letter
                       : strlen(option->name) == length && memcmp(option->name, name, length) == 0)
                return option;
    return NULL;
}

static bool set_unknown(const Parser *parser, const char *argument, size_t length, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (size_t i = 0; i < G_N_ELEMENTS(parser->lists); i++)
        for (const TbOption *option = parser->lists[i]; option && option->name; option++)
            g_ptr_array_add(names, (char *)option->name);
    g_ptr_array_add(names, NULL);
    g_autofree char *name = g_strndup(argument, length);
    const char *nearest = g_str_has_prefix(name, "--")
                              ? tb_nearest_word(name + 2, (const char *const *)names->pdata)
                              : NULL;
    return tb_error_set(error, TB_ERROR_USAGE, "unknown option '%s'%s%s%s", name,
                        nearest ? " (did you mean '--" : "", nearest ? nearest : "",
                        nearest ? "'?)" : "");
}

static void take(Parser *parser, const TbOption *option, const char *value)
{
    TbArguments *arguments = parser->arguments;
    guint count = GPOINTER_TO_UINT(g_hash_table_lookup(arguments->counts, option->name));
    g_hash_table_insert(arguments->counts, (char *)option->name, GUINT_TO_POINTER(count + 1));
    if (!value)
        return;
    GPtrArray *values = g_hash_table_lookup(arguments->values, option->name);
    if (!values) {
        values = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(values, NULL);
        g_hash_table_insert(arguments->values, (char *)option->name, values);
    }
    g_ptr_array_insert(values, (int)values->len - 1, g_strdup(value));
}

/* `given`: the value that stood in the same argument, or NULL. */
static bool take_with_value(Parser *parser, const TbOption *option, const char *given,
                            GError **error)
{
    if (!given) {
        given = *parser->next;
        if (!given || strcmp(given, "--") == 0)
            return tb_error_set(error, TB_ERROR_USAGE, "option '--%s' needs a value: %s",
                                option->name, option->value);
        parser->next++;
    }
    take(parser, option, given);
    return true;
}

static bool parse_long(Parser *parser, const char *argument, GError **error)
{
    size_t length = strcspn(argument + 2, "=");
    const char *given = argument[2 + length] ? argument + 2 + length + 1 : NULL;
    const TbOption *option = find_option(parser, argument + 2, length, '\0');
    if (!option)
        return set_unknown(parser, argument, 2 + length, error);
    if (option->value)
        return take_with_value(parser, option, given, error);
    if (given)
        return tb_error_set(error, TB_ERROR_USAGE, "option '--%s' takes no value", option->name);
    take(parser, option, NULL);
    return true;
}

static bool parse_letters(Parser *parser, const char *argument, GError **error)
{
    for (const char *letter = argument + 1; *letter; letter++) {
        const TbOption *option = find_option(parser, NULL, 0, *letter);
        if (!option)
            return set_unknown(parser, argument, strlen(argument), error);
        if (option->value)
            return take_with_value(parser, option, letter[1] ? letter + 1 : NULL, error);
        take(parser, option, NULL);
    }
    return true;
}

TbArguments *tb_arguments_parse(const char *const *argv, const TbOption *options,
                                const TbOption *more, bool keeps_rest, GError **error)
{
    g_autoptr(TbArguments) arguments = g_new0(TbArguments, 1);
    arguments->values =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_ptr_array_unref);
    arguments->counts = g_hash_table_new(g_str_hash, g_str_equal);
    arguments->words = g_ptr_array_new_with_free_func(g_free);
    Parser parser = {.arguments = arguments, .lists = {options, more}, .next = argv};
    while (*parser.next && strcmp(*parser.next, "--") != 0) {
        const char *argument = *parser.next++;
        bool ok = true;
        if (argument[0] != '-' || argument[1] == '\0')
            g_ptr_array_add(arguments->words, g_strdup(argument));
        else if (argument[1] == '-')
            ok = parse_long(&parser, argument, error);
        else
            ok = parse_letters(&parser, argument, error);
        if (!ok)
            return NULL;
    }
    if (*parser.next && keeps_rest)
        arguments->rest = g_strdupv((char **)parser.next + 1);
    for (parser.next += *parser.next ? 1 : 0; *parser.next && !keeps_rest; parser.next++)
        g_ptr_array_add(arguments->words, g_strdup(*parser.next));
    g_ptr_array_add(arguments->words, NULL);
    return g_steal_pointer(&arguments);
}

char **tb_arguments_options(const TbArguments *arguments, const char *const *without)
{
    g_autoptr(GPtrArray) options = g_ptr_array_new();
    GHashTableIter iter;
    gpointer name, count;
    g_hash_table_iter_init(&iter, arguments->counts);
    while (g_hash_table_iter_next(&iter, &name, &count)) {
        GPtrArray *values = g_hash_table_lookup(arguments->values, name);
        if (g_strv_contains(without, name))
            continue;
        for (guint i = 0; values && i + 1 < values->len; i++)
            g_ptr_array_add(options,
                            g_strdup_printf("--%s=%s", (char *)name, (char *)values->pdata[i]));
        if (!values)
            g_ptr_array_add(options, g_strdup_printf("--%s", (char *)name));
    }
    g_ptr_array_add(options, NULL);
    return (char **)g_ptr_array_steal(options, NULL);
}

unsigned tb_arguments_count(const TbArguments *arguments, const char *name)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(arguments->counts, name));
}

bool tb_arguments_flag(const TbArguments *arguments, const char *name)
{
    return tb_arguments_count(arguments, name) > 0;
}

const char *tb_arguments_value(const TbArguments *arguments, const char *name)
{
    GPtrArray *values = g_hash_table_lookup(arguments->values, name);
    return values ? values->pdata[values->len - 2] : NULL;
}

const char *const *tb_arguments_all(const TbArguments *arguments, const char *name)
{
    static const char *const none[] = {NULL};
    GPtrArray *values = g_hash_table_lookup(arguments->values, name);
    return values ? (const char *const *)values->pdata : none;
}

const char *const *tb_arguments_words(const TbArguments *arguments)
{
    return (const char *const *)arguments->words->pdata;
}

const char *const *tb_arguments_rest(const TbArguments *arguments)
{
    return (const char *const *)arguments->rest;
}

const char *tb_arguments_sole(const TbArguments *arguments, const char *what, GError **error)
{
    const char *const *words = tb_arguments_words(arguments);
    if (words[0] && !words[1])
        return words[0];
    if (!words[0])
        tb_error_set(error, TB_ERROR_USAGE, "%s is missing", what);
    else
        tb_error_set(error, TB_ERROR_USAGE, "'%s' is one argument too many: only %s is expected",
                     words[1], what);
    return NULL;
}

bool tb_arguments_none(const TbArguments *arguments, GError **error)
{
    const char *const *words = tb_arguments_words(arguments);
    return !words[0] ||
           tb_error_set(error, TB_ERROR_USAGE, "'%s' is one argument too many", words[0]);
}
