/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each tool is asked itself, since it alone knows which of its files count. Where a tool has no
 * word for its default (pip), its own code is asked for it.
 */
#include "image/hosts.h"

#include <string.h>

#include "util/escape.h"

#define HOSTS_LIMIT 64 /* of all groups; an image with more is misconfigured or lies */
#define TEXT_LIMIT  256

const char *const tb_host_groups[] = {"apt", "npm", "pip", "go", "cargo", NULL};

const char tb_image_hosts_script[] =
    "cd / && tab=$(printf '\\t')\n"
    "has() { command -v \"$1\" >/dev/null 2>&1; }\n"
    /* Its 'indextargets' knows only what was downloaded before. */
    "if has apt-get; then\n"
    "  apt-get update --print-uris | sed -n \"s/^'\\([^']*\\)'.*/apt${tab}apt's "
    "sources${tab}\\1/p\"\n"
    "fi\n"
    /* Its scopes ('@team:registry') have registries of their own. */
    "if has npm; then\n"
    "  npm config list --json |\n"
    "    sed -n \"s/^ *\\\"\\(@[^\\\"]*:\\)\\{0,1\\}registry\\\": *\\\"\\([^\\\"]*\\)\\\".*/"
    "npm${tab}npm config${tab}\\2/p\"\n"
    "fi\n"
    "if has python3 && python3 -m pip --version >/dev/null 2>&1; then\n"
    "  python3 -m pip config list >/tmp/taskbox-pip\n"
    "  grep -E '^[a-z]+\\.(extra-)?index-url=' /tmp/taskbox-pip | grep -oE \"https?://[^ "
    "'\\\\\\\\]+\" |\n"
    "    sed \"s/^/pip${tab}pip config${tab}/\"\n"
    "  grep -qE '^[a-z]+\\.index-url=' /tmp/taskbox-pip || python3 -c '\n"
    "from pip._internal.models.index import PyPI\n"
    "for url in PyPI.url, \"https://\" + PyPI.file_storage_domain:\n"
    "    print(\"pip\", \"the default of pip\", url, sep=\"\\t\")'\n"
    "  rm -f /tmp/taskbox-pip\n"
    "fi\n"
    /* "URL,URL,direct"; a data base of sums is "NAME+KEY URL" or "NAME". */
    "if has go; then\n"
    "  go env GOPROXY | tr ',|' '\\n\\n' | sed -n \"s/^http/go${tab}go env GOPROXY${tab}http/p\"\n"
    "  go env GOSUMDB | sed -n \"s/^.* //; s,^https*://,,; s/+.*//; /[.]/s,^,"
    "go${tab}go env GOSUMDB${tab}https://,p\"\n"
    "fi\n"
    /* Its own word for its configuration ('config get') is not in a stable release, so its files
     * are read, as it reads them from a directory outside of any project: the home's, and the one
     * of "/". What replaces a source is one, too. "sparse+" is its name for a protocol. */
    "if has cargo; then\n"
    "  for file in /.cargo/config /.cargo/config.toml \"${CARGO_HOME:-$HOME/.cargo}/config\" "
    "\"${CARGO_HOME:-$HOME/.cargo}/config.toml\"; do\n"
    "    [ -f \"$file\" ] || continue\n"
    "    sed '/^[[:space:]]*#/d' \"$file\" | tr '{},' '\\n\\n\\n' |\n"
    "      sed -n -E "
    "\"s#^[[:space:]]*([^=[:space:]]*[.])?[\\\"']?(registry|index|git)[\\\"']?[[:space:]]*="
    "[[:space:]]*[\\\"'](sparse\\\\+)?(https?://[^\\\"']*)[\\\"'].*#cargo${tab}$file${tab}\\4#p\"\n"
    "  done\n"
    "  env | sed -n -E \"s#^(CARGO_REGISTRIES_[A-Z0-9_]*_INDEX)=(sparse\\\\+)?(https?://.*)#"
    "cargo${tab}\\1${tab}\\3#p\"\n"
    "fi\n"
    "true";

bool tb_host_group_valid(const char *name)
{
    return g_strv_contains(tb_host_groups, name);
}

void tb_image_host_free(void *data)
{
    TbImageHost *host = data;
    g_free(host->group);
    g_free(host->host);
    g_free(host->from);
    g_free(host);
}

GPtrArray *tb_image_hosts_new(void)
{
    return g_ptr_array_new_with_free_func(tb_image_host_free);
}

static bool is_plain(const char *text)
{
    return *text && tb_is_plain(text, TEXT_LIMIT);
}

bool tb_image_hosts_add(GPtrArray *hosts, const char *group, const char *host, const char *from)
{
    if (!tb_host_group_valid(group) || !is_plain(host) || !is_plain(from))
        return false;
    for (guint i = 0; i < hosts->len; i++) {
        const TbImageHost *known = hosts->pdata[i];
        if (g_str_equal(known->group, group) && g_str_equal(known->host, host))
            return true;
    }
    if (hosts->len == HOSTS_LIMIT)
        return false;
    TbImageHost *added = g_new(TbImageHost, 1);
    *added = (TbImageHost){g_strdup(group), g_strdup(host), g_strdup(from)};
    g_ptr_array_add(hosts, added);
    return true;
}

/* "NAME" or "NAME:PORT"; NULL for what no proxy of ours would carry. g_free. */
static char *host_of(const char *url)
{
    g_autoptr(GUri) uri = g_uri_parse(url, G_URI_FLAGS_NONE, NULL);
    const char *scheme = uri ? g_uri_get_scheme(uri) : NULL;
    const char *host = uri ? g_uri_get_host(uri) : NULL;
    bool tls = g_strcmp0(scheme, "https") == 0;
    if (!host || !*host || (!tls && g_strcmp0(scheme, "http") != 0))
        return NULL;
    int port = g_uri_get_port(uri);
    return port < 0 || port == (tls ? 443 : 80) ? g_strdup(host)
                                                : g_strdup_printf("%s:%d", host, port);
}

GPtrArray *tb_image_hosts_parse(const char *text)
{
    GPtrArray *hosts = tb_image_hosts_new();
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) fields = g_strsplit(*line, "\t", 3);
        g_autofree char *host = g_strv_length(fields) == 3 ? host_of(fields[2]) : NULL;
        if (host)
            (void)tb_image_hosts_add(hosts, fields[0], host, fields[1]);
    }
    return hosts;
}
