/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding package sources: a machine that is set up to install packages knows a mirror that works
 * from where it stands and the keys to trust; a fixed address in the recipe would know neither.
 *
 * Both of apt's file formats are read, as apt has no command that prints keyrings. Whose archive a
 * source is stands in its Release file, which apt-get indextargets tells when it has been fetched;
 * else the address must end as the archives of Debian and Ubuntu do.
 */
#include "builder/sources.h"

#include <string.h>
#include "util/command.h"
#include "util/log.h"

void tb_source_free(void *data)
{
    TbSource *source = data;
    g_free(source->uri);
    g_free(source->suite);
    g_free(source->components);
    g_free(source->signed_by);
    g_free(source);
}

static char *with_slash(const char *uri)
{
    return g_str_has_suffix(uri, "/") ? g_strdup(uri) : g_strconcat(uri, "/", NULL);
}

/* One that other programs could take for an option, or for two words, is left out. */
static bool plain_word(const char *text)
{
    for (const char *p = text; *p; p++)
        if (!g_ascii_isgraph(*p) || strchr("[]\"'\\", *p))
            return false;
    return *text && *text != '-';
}

static void add_source(GPtrArray *sources, const char *uri, const char *suite, char **components,
                       const char *signed_by)
{
    /* "flat" repositories end in a slash and have no components; they are no distribution. */
    if (!plain_word(uri) || !plain_word(suite) || g_str_has_suffix(suite, "/") || !components[0])
        return;
    for (char **component = components; *component; component++)
        if (!plain_word(*component))
            return;
    TbSource *source = g_new0(TbSource, 1);
    source->uri = with_slash(uri);
    source->suite = g_strdup(suite);
    source->components = g_strjoinv(" ", components);
    if (signed_by && *signed_by == '/' && plain_word(signed_by) && !strchr(signed_by, ','))
        source->signed_by = g_strdup(signed_by);
    g_ptr_array_add(sources, source);
}

/* Splits at white space, without empty words. */
static char **words_of(const char *text)
{
    g_auto(GStrv) raw = g_strsplit_set(text, " \t\n\r", -1);
    GPtrArray *words = g_ptr_array_new();
    for (char **word = raw; *word; word++)
        if (**word)
            g_ptr_array_add(words, g_strdup(*word));
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}

/* "[arch=amd64 signed-by=/x]" after "deb": gives the rest of the line. */
static char *take_options(const char *line, char **signed_by)
{
    const char *end = *line == '[' ? strchr(line, ']') : NULL;
    if (!end)
        return g_strdup(line);
    g_autofree char *inner = g_strndup(line + 1, (gsize)(end - line - 1));
    g_auto(GStrv) options = words_of(inner);
    for (char **option = options; *option; option++)
        if (g_str_has_prefix(*option, "signed-by="))
            *signed_by = g_strdup(*option + strlen("signed-by="));
    return g_strdup(end + 1);
}

void tb_sources_parse_list(const char *text, GPtrArray *sources)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        char *comment = strchr(*line, '#');
        if (comment)
            *comment = '\0';
        g_strstrip(*line);
        if (strncmp(*line, "deb", 3) != 0 || !strchr(" \t[", (*line)[3]) || !(*line)[3])
            continue;
        g_autofree char *signed_by = NULL;
        g_autofree char *rest = take_options(g_strchug(*line + 3), &signed_by);
        g_auto(GStrv) words = words_of(rest);
        if (g_strv_length(words) >= 3)
            add_source(sources, words[0], words[1], words + 2, signed_by);
    }
}

typedef struct {
    char *types, *uris, *suites, *components, *signed_by, *enabled;
} Stanza;

static void stanza_clear(Stanza *stanza)
{
    g_free(stanza->types);
    g_free(stanza->uris);
    g_free(stanza->suites);
    g_free(stanza->components);
    g_free(stanza->signed_by);
    g_free(stanza->enabled);
    memset(stanza, 0, sizeof *stanza);
}

static void stanza_end(Stanza *stanza, GPtrArray *sources)
{
    bool off = stanza->enabled && (g_ascii_strcasecmp(stanza->enabled, "no") == 0 ||
                                   g_ascii_strcasecmp(stanza->enabled, "false") == 0 ||
                                   g_str_equal(stanza->enabled, "0"));
    if (!off && stanza->types && stanza->uris && stanza->suites && stanza->components) {
        g_auto(GStrv) types = words_of(stanza->types);
        g_auto(GStrv) uris = words_of(stanza->uris);
        g_auto(GStrv) suites = words_of(stanza->suites);
        g_auto(GStrv) components = words_of(stanza->components);
        const char *key = stanza->signed_by ? g_strstrip(stanza->signed_by) : NULL;
        for (char **uri = uris; *uri && g_strv_contains((const char *const *)types, "deb"); uri++)
            for (char **suite = suites; *suite; suite++)
                add_source(sources, *uri, *suite, components, key);
    }
    stanza_clear(stanza);
}

static char **stanza_field(Stanza *stanza, const char *name, size_t length)
{
    const struct {
        const char *name;
        char **field;
    } fields[] = {
        {"types", &stanza->types},         {"uris", &stanza->uris},
        {"suites", &stanza->suites},       {"components", &stanza->components},
        {"signed-by", &stanza->signed_by}, {"enabled", &stanza->enabled},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
        if (strlen(fields[i].name) == length && !g_ascii_strncasecmp(fields[i].name, name, length))
            return fields[i].field;
    return NULL;
}

static void append_text(char **field, const char *text)
{
    char *joined = *field ? g_strconcat(*field, "\n", text, NULL) : g_strdup(text);
    g_free(*field);
    *field = g_strstrip(joined);
}

void tb_sources_parse_deb822(const char *text, GPtrArray *sources)
{
    Stanza stanza = {0};
    char **field = NULL;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        const char *colon = strchr(*line, ':');
        if ((*line)[0] == '#')
            continue;
        if ((*line)[strspn(*line, " \t\r")] == '\0') {
            stanza_end(&stanza, sources);
            field = NULL;
        } else if (g_ascii_isspace((*line)[0])) {
            if (field)
                append_text(field, *line);
        } else if (colon) {
            field = stanza_field(&stanza, *line, (size_t)(colon - *line));
            if (field) {
                g_clear_pointer(field, g_free);
                append_text(field, colon + 1);
            }
        }
    }
    stanza_end(&stanza, sources);
}

struct TbReleases {
    GPtrArray *rows; /* of char ** {uri, release, codename, origin} */
};

TbReleases *tb_releases_parse(const char *text)
{
    TbReleases *releases = g_new0(TbReleases, 1);
    releases->rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        char **row = g_strsplit(*line, "|", -1);
        if (g_strv_length(row) == 4)
            g_ptr_array_add(releases->rows, row);
        else
            g_strfreev(row);
    }
    return releases;
}

void tb_releases_free(TbReleases *releases)
{
    if (!releases)
        return;
    g_ptr_array_unref(releases->rows);
    g_free(releases);
}

/* apt prints the variable itself when it does not know: then there is no row for us. */
static char **release_of(const TbReleases *releases, const TbSource *source)
{
    for (unsigned i = 0; i < releases->rows->len; i++) {
        char **row = g_ptr_array_index(releases->rows, i);
        g_autofree char *uri = with_slash(row[0]);
        if (g_str_equal(uri, source->uri) && g_str_equal(row[1], source->suite) && row[3][0] &&
            row[3][0] != '$')
            return row;
    }
    return NULL;
}

static bool is_distribution(const TbSource *source, char **release)
{
    if (release)
        return g_str_equal(release[3], "Debian") || g_str_equal(release[3], "Ubuntu");
    static const char *const ends[] = {"/debian/", "/debian-security/", "/ubuntu/",
                                       "/ubuntu-ports/"};
    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++)
        if (g_str_has_suffix(source->uri, ends[i]))
            return true;
    return false;
}

static bool suite_fits(const char *name, const char *suite)
{
    size_t length = strlen(suite);
    if (strncmp(name, suite, length) != 0)
        return false;
    const char *rest = name + length;
    return !*rest || g_str_equal(rest, "-updates") || g_str_equal(rest, "-security");
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *tb_sources_select(const GPtrArray *sources, const TbReleases *releases,
                             const char *suite)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
    bool release_found = false;
    for (unsigned i = 0; i < sources->len; i++) {
        const TbSource *source = g_ptr_array_index(sources, i);
        char **release = release_of(releases, source);
        const char *codename = release && release[2][0] != '$' ? release[2] : source->suite;
        bool named = suite_fits(source->suite, suite);
        if ((!named && !suite_fits(codename, suite)) || !is_distribution(source, release))
            continue;
        release_found |= g_str_equal(named ? source->suite : codename, suite);
        g_autofree char *key = source->signed_by
                                   ? g_strdup_printf("[signed-by=%s] ", source->signed_by)
                                   : g_strdup("");
        char *line =
            g_strdup_printf("deb %s%s %s %s", key, source->uri, source->suite, source->components);
        g_ptr_array_add(lines, line);
        if (!g_hash_table_add(seen, line))
            g_ptr_array_set_size(lines, (int)lines->len - 1);
    }
    if (!release_found) /* updates alone install nothing */
        g_ptr_array_set_size(lines, 0);
    g_ptr_array_sort(lines, compare_lines);
    return lines;
}

static void read_one(const char *path, GPtrArray *sources)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return;
    if (g_str_has_suffix(path, ".sources"))
        tb_sources_parse_deb822(text, sources);
    else if (g_str_has_suffix(path, ".list"))
        tb_sources_parse_list(text, sources);
}

static void read_etc(GPtrArray *sources)
{
    read_one("/etc/apt/sources.list", sources);
    const char *name;
    GDir *dir = g_dir_open("/etc/apt/sources.list.d", 0, NULL);
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename("/etc/apt/sources.list.d", name, NULL);
        read_one(path, sources);
    }
    if (dir)
        g_dir_close(dir);
}

GPtrArray *tb_sources_host(const char *suite)
{
    g_autoptr(GPtrArray) sources = g_ptr_array_new_with_free_func(tb_source_free);
    read_etc(sources);
    g_autoptr(TbCommand) command = tb_command_new("apt-get");
    tb_command_add(command, "indextargets", "--format",
                   "$(REPO_URI)|$(RELEASE)|$(CODENAME)|$(ORIGIN)", NULL);
    tb_command_setenv(command, "LC_ALL", "C.UTF-8");
    g_autoptr(GBytes) out = NULL;
    g_autoptr(GError) error = NULL;
    if (!tb_command_run(command, &out, &error))
        tb_debug("%s", error->message);
    g_autoptr(TbReleases) releases = tb_releases_parse(out ? g_bytes_get_data(out, NULL) : "");
    return tb_sources_select(sources, releases, suite);
}

GPtrArray *tb_apt_options(const char *dump)
{
    static const char *const wanted[] = {"::Proxy", "::CaInfo", "::CaPath", "::Verify-"};
    GPtrArray *options = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) lines = g_strsplit(dump, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_strstrip(*line);
        if (!g_str_has_prefix(*line, "Acquire::http") || g_str_has_suffix(*line, "\"\";"))
            continue;
        for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++) {
            if (strstr(*line, wanted[i]) && g_str_has_suffix(*line, ";")) {
                g_ptr_array_add(options, g_strndup(*line, strlen(*line) - 1));
                break;
            }
        }
    }
    return options;
}
