/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Just enough of git's configuration syntax to ask one question of a file that nobody trusts:
 * sections, keys, quotes, escapes, comments, continued lines. No includes, nothing is run.
 */
#include "project/private.h"

#include <string.h>

typedef struct {
    const char *at;
} Reader;

static void skip_line(Reader *reader)
{
    while (*reader->at && *reader->at != '\n')
        reader->at++;
}

static void skip_blanks(Reader *reader)
{
    while (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\r')
        reader->at++;
}

/* "[section]" or "[section "sub"]"; the reader is behind the '['. */
static char *read_section(Reader *reader)
{
    g_autoptr(GString) name = g_string_new(NULL);
    while (*reader->at && *reader->at != ']' && *reader->at != '\n') {
        char c = *reader->at++;
        if (c == '"') {
            g_string_append_c(name, '.');
            while (*reader->at && *reader->at != '"' && *reader->at != '\n') {
                if (*reader->at == '\\' && reader->at[1] && reader->at[1] != '\n')
                    reader->at++;
                g_string_append_c(name, *reader->at++);
            }
            if (*reader->at == '"')
                reader->at++;
        } else if (c != ' ' && c != '\t') {
            g_string_append_c(name, g_ascii_tolower(c));
        }
    }
    if (*reader->at == ']')
        reader->at++;
    return g_string_free(g_steal_pointer(&name), FALSE);
}

static void append_escape(Reader *reader, GString *value)
{
    char c = *reader->at;
    if (c == '\0')
        return;
    reader->at++;
    if (c == 'n')
        g_string_append_c(value, '\n');
    else if (c == 't')
        g_string_append_c(value, '\t');
    else if (c == '\r' && *reader->at == '\n')
        reader->at++;
    else if (c != '\n') /* a newline: the value goes on */
        g_string_append_c(value, c);
}

/* What follows the '='. Blanks at the end count only inside of quotes. */
static char *read_value(Reader *reader)
{
    g_autoptr(GString) value = g_string_new(NULL);
    gsize keep = 0;
    bool quoted = false;
    skip_blanks(reader);
    while (*reader->at && *reader->at != '\n') {
        char c = *reader->at++;
        if (c == '"') {
            quoted = !quoted;
            keep = value->len;
        } else if (c == '\\') {
            append_escape(reader, value);
            keep = value->len;
        } else if ((c == '#' || c == ';') && !quoted) {
            skip_line(reader);
        } else {
            g_string_append_c(value, c);
            if (quoted || (c != ' ' && c != '\t' && c != '\r'))
                keep = value->len;
        }
    }
    g_string_truncate(value, keep);
    return g_string_free(g_steal_pointer(&value), FALSE);
}

static char *read_key(Reader *reader)
{
    const char *start = reader->at;
    while (g_ascii_isalnum(*reader->at) || *reader->at == '-')
        reader->at++;
    return g_ascii_strdown(start, reader->at - start);
}

char *tb_git_config_value(const char *text, const char *section, const char *key)
{
    Reader reader = {text};
    g_autofree char *wanted = g_ascii_strdown(key, -1);
    g_autofree char *current = g_strdup("");
    g_autofree char *found = NULL;
    while (*reader.at) {
        skip_blanks(&reader);
        if (*reader.at == '[') {
            reader.at++;
            g_free(current);
            current = read_section(&reader);
            continue;
        }
        if (!g_ascii_isalpha(*reader.at)) {
            skip_line(&reader);
            if (*reader.at)
                reader.at++;
            continue;
        }
        g_autofree char *name = read_key(&reader);
        skip_blanks(&reader);
        g_autofree char *value = NULL;
        if (*reader.at == '=') {
            reader.at++;
            value = read_value(&reader);
        } else {
            skip_line(&reader);
            value = g_strdup("true");
        }
        if (strcmp(current, section) == 0 && strcmp(name, wanted) == 0) {
            g_free(found);
            found = g_steal_pointer(&value);
        }
    }
    return g_steal_pointer(&found);
}
