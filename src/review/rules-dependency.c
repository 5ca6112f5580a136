/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Dependencies that a manifest did not name before. Each manifest has a small reader of its lines:
 * it knows the section it is in and gives the name that a line adds. A name that the base's
 * manifest holds anywhere is no new one.
 */
#include "review/rules.h"

#include <string.h>

#include "util/escape.h"

#define MAX_NAME 214

typedef struct {
    const uint8_t *text; /* one line, blanks at its beginning taken off */
    size_t length;
    bool in_section; /* of dependencies */
    bool in_list;    /* [ ... ] of dependencies */
} Reading;

typedef bool (*NameFn)(Reading *reading, const uint8_t **name, size_t *length);

static bool begins(const Reading *reading, const char *word)
{
    size_t length = strlen(word);
    return reading->length >= length && memcmp(reading->text, word, length) == 0;
}

static bool holds(const Reading *reading, const char *word)
{
    return rule_memmem(reading->text, reading->length, word) != NULL;
}

static bool is_name_byte(uint8_t byte)
{
    return g_ascii_isalnum((char)byte) || (byte && strchr("._-/@:", byte));
}

/* The longest run of a name's bytes from `at`. */
static bool name_from(const Reading *reading, size_t at, const uint8_t **name, size_t *length)
{
    size_t end = at;
    while (end < reading->length && end - at < MAX_NAME && is_name_byte(reading->text[end]))
        end++;
    *name = reading->text + at;
    *length = end - at;
    return end > at;
}

static bool name_behind(const Reading *reading, const char *word, const uint8_t **name,
                        size_t *length)
{
    const uint8_t *found = rule_memmem(reading->text, reading->length, word);
    if (!found)
        return false;
    size_t at = (size_t)(found - reading->text) + strlen(word);
    while (at < reading->length && strchr(" \t('\"", reading->text[at]))
        at++;
    return name_from(reading, at, name, length);
}

/* "name": "version" of JSON. */
static bool json_name(Reading *reading, const uint8_t **name, size_t *length)
{
    static const char *const others[] = {"\"version\"", "\"node\"",   "\"npm\"",
                                         "\"yarn\"",    "\"pnpm\"",   "\"packageManager\"",
                                         "\"bun\"",     "\"vscode\"", "\"$schema\""};
    static const char *const values[] = {"git",  "http:",   "https:",     "file:",  "link:",
                                         "npm:", "github:", "workspace:", "latest", "next"};
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        if (begins(reading, others[i]))
            return false;
    if (!begins(reading, "\"") || !name_from(reading, 1, name, length))
        return false;
    size_t at = 1 + *length;
    if (at >= reading->length || reading->text[at] != '"')
        return false;
    for (at++; at < reading->length && strchr(" \t:", reading->text[at]); at++)
        ;
    if (at + 1 >= reading->length || reading->text[at] != '"')
        return false;
    at++;
    if (g_ascii_isdigit((char)reading->text[at]) || strchr("^~<>=*", reading->text[at]))
        return true;
    Reading value = {.text = reading->text + at, .length = reading->length - at};
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++)
        if (begins(&value, values[i]))
            return true;
    return false;
}

static bool requirements_name(Reading *reading, const uint8_t **name, size_t *length)
{
    return reading->length > 0 && reading->text[0] != '#' && name_from(reading, 0, name, length);
}

static bool go_name(Reading *reading, const uint8_t **name, size_t *length)
{
    size_t skip = begins(reading, "require ") ? 8 : begins(reading, "replace ") ? 8 : 0;
    if (!name_from(reading, skip, name, length) || !memchr(*name, '.', *length) ||
        !memchr(*name, '/', *length))
        return false;
    size_t at = skip + *length;
    return at + 1 < reading->length && reading->text[at] == ' ' &&
           (reading->text[at + 1] == 'v' || reading->text[at + 1] == '=');
}

/* Cargo.toml, and pyproject.toml in both of its styles. */
static bool toml_name(Reading *reading, const uint8_t **name, size_t *length)
{
    if (reading->in_list) {
        reading->in_list = !begins(reading, "]");
        return (begins(reading, "\"") || begins(reading, "'")) &&
               name_from(reading, 1, name, length);
    }
    if (begins(reading, "[")) {
        reading->in_section = holds(reading, "dependencies") || holds(reading, "dependency-groups");
        const uint8_t *dot = rule_memmem(reading->text, reading->length, "dependencies.");
        return dot && name_behind(reading, "dependencies.", name, length); /* a table of its own */
    }
    bool opens = holds(reading, "= [") || holds(reading, "=[");
    bool named = begins(reading, "dependencies") || begins(reading, "requires") ||
                 (reading->in_section && opens);
    if (opens && named) {
        reading->in_list = !holds(reading, "]");
        return name_behind(reading, "[", name, length);
    }
    return reading->in_section && holds(reading, "=") && !begins(reading, "#") &&
           !begins(reading, "python ") && name_from(reading, 0, name, length);
}

static bool gem_name(Reading *reading, const uint8_t **name, size_t *length)
{
    if (begins(reading, "gem ") || begins(reading, "gem("))
        return name_behind(reading, "gem", name, length);
    return name_behind(reading, "_dependency", name, length);
}

static bool maven_name(Reading *reading, const uint8_t **name, size_t *length)
{
    return name_behind(reading, "<artifactId>", name, length);
}

static bool gradle_name(Reading *reading, const uint8_t **name, size_t *length)
{
    static const char *const words[] = {"implementation",     "api",       "compileOnly",
                                        "runtimeOnly",        "classpath", "annotationProcessor",
                                        "testImplementation", "kapt",      "id"};
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        size_t at = strlen(words[i]);
        if (begins(reading, words[i]) && reading->length > at && strchr(" (", reading->text[at]))
            return name_behind(reading, words[i], name, length);
    }
    return false;
}

static bool nuget_name(Reading *reading, const uint8_t **name, size_t *length)
{
    return begins(reading, "<PackageReference") && name_behind(reading, "Include=", name, length);
}

static bool mix_name(Reading *reading, const uint8_t **name, size_t *length)
{
    return begins(reading, "{:") && holds(reading, ", ") && name_from(reading, 2, name, length);
}

static const struct {
    const char *const paths[5];
    NameFn name;
} manifests[] = {
    {{"package.json", "composer.json", "deno.json"}, json_name},
    {{"requirements*.txt", "requirements/", "constraints*.txt", "Pipfile"}, requirements_name},
    {{"go.mod"}, go_name},
    {{"Cargo.toml", "pyproject.toml"}, toml_name},
    {{"Gemfile", "*.gemspec"}, gem_name},
    {{"pom.xml"}, maven_name},
    {{"*.gradle", "*.gradle.kts"}, gradle_name},
    {{"*.csproj", "*.fsproj", "Directory.Packages.props"}, nuget_name},
    {{"mix.exs"}, mix_name},
};

static bool was_there(const TbFileDiff *diff, const uint8_t *name, size_t length)
{
    size_t size = 0;
    const uint8_t *old = diff->old_bytes ? g_bytes_get_data(diff->old_bytes, &size) : NULL;
    return size && memmem(old, size, name, length);
}

static void read_manifest(TbRuleScan *scan, NameFn name_of)
{
    const TbFileDiff *diff = scan->diff;
    Reading reading = {0};
    for (uint32_t line = 0; line < diff->new_lines.count; line++) {
        reading.text = tb_line_text(&diff->new_lines, line, &reading.length);
        while (reading.length && g_ascii_isspace((char)reading.text[0])) {
            reading.text++;
            reading.length--;
        }
        const uint8_t *name = NULL;
        size_t length = 0;
        if (!name_of(&reading, &name, &length) || length == 0 || !rule_line_is_added(diff, line) ||
            was_there(diff, name, length))
            continue;
        g_autofree char *shown = tb_escape_terminal(name, length, false);
        rule_found(scan, diff->file->path, line + 1, "%s", shown);
        if (scan->in_file > 1000) /* was_there reads the whole base each time */
            return;
    }
}

void rule_dependency(TbRuleScan *scan)
{
    for (size_t i = 0; i < G_N_ELEMENTS(manifests) && scan->diff->new_lines.count; i++)
        if (rule_path_matches(manifests[i].paths, scan->diff->file->path))
            read_manifest(scan, manifests[i].name);
}
