/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What of a git directory the box gets: history and state, nothing that configures, runs or
 * authenticates, and nothing of what the user did (reflogs, the stash). It is a list of what is
 * wanted, so that what git invents tomorrow stays out.
 */
#include "project/private.h"

#include <string.h>

static bool is_one_of(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(name, *list) == 0)
            return true;
    return false;
}

static bool is_temporary(const char *path)
{
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    return g_str_has_suffix(name, ".lock") || g_str_has_prefix(name, "tmp_") ||
           g_str_has_prefix(name, "incoming-") || g_str_has_prefix(name, ".tmp-");
}

static bool object_wanted(const char *path)
{
    /* Borrowed objects and promises lead out of the box. */
    return !is_temporary(path) && strcmp(path, "objects/info/alternates") != 0 &&
           strcmp(path, "objects/info/http-alternates") != 0 &&
           !g_str_has_suffix(path, ".promisor");
}

/* Branches, tags, and what was fetched: not the stash, bisections, replacements, notes, pull
 * requests. */
static bool ref_wanted(const char *path)
{
    static const char *const kept[] = {"refs/heads", "refs/tags", "refs/remotes", NULL};
    for (const char *const *at = kept; *at; at++) {
        size_t length = strlen(*at);
        if (strncmp(path, *at, length) == 0 && (path[length] == '\0' || path[length] == '/'))
            return !is_temporary(path);
    }
    return false;
}

char *tb_git_packed_refs(const char *text)
{
    GString *out = g_string_new(NULL);
    bool wanted = false;
    for (const char *line = text, *end; *line; line = end) {
        end = strchr(line, '\n');
        end = end ? end + 1 : line + strlen(line);
        g_autofree char *copy = g_strndup(line, (gsize)(end - line));
        g_strchomp(copy);
        const char *space = strchr(copy, ' ');
        if (*line == '#') /* a line of traits */
            wanted = line == text;
        else if (*line != '^') /* "^ID" says more of the line before it */
            wanted = space && ref_wanted(space + 1);
        if (wanted)
            g_string_append_len(out, line, end - line);
    }
    return g_string_free(out, FALSE);
}

static bool shared_part(const char *path, bool is_dir)
{
    static const char *const files[] = {"packed-refs", "shallow", NULL};
    static const char *const dirs[] = {"objects", "refs", "info", "reftable", NULL};
    if (!strchr(path, '/'))
        return is_one_of(path, is_dir ? dirs : files);
    if (g_str_has_prefix(path, "objects/"))
        return object_wanted(path);
    if (g_str_has_prefix(path, "refs/"))
        return ref_wanted(path);
    if (g_str_has_prefix(path, "reftable/"))
        return !is_temporary(path);
    return !is_dir && strcmp(path, "info/exclude") == 0;
}

static bool own_part(const char *path, bool is_dir)
{
    static const char *const files[] = {"HEAD", "index", "info/sparse-checkout", NULL};
    static const char *const dirs[] = {"info", "modules", NULL};
    if (g_str_has_prefix(path, "modules/"))
        return is_dir; /* on the way to a submodule's git directory */
    if (is_dir)
        return is_one_of(path, dirs);
    if (g_str_has_prefix(path, "sharedindex."))
        return !is_temporary(path);
    return is_one_of(path, files);
}

bool tb_git_part_wanted(const char *path, bool is_dir, TbGitPart part)
{
    bool shared = shared_part(path, is_dir), own = own_part(path, is_dir);
    switch (part) {
    case TB_GIT_COMMON:
        return shared;
    case TB_GIT_OWN:
        return own;
    default:
        return shared || own;
    }
}

/* Quoted for a configuration file; NULL when it holds what has no business in a path. */
static char *quote_value(const char *value)
{
    g_autoptr(GString) out = g_string_new("\"");
    for (const char *c = value; *c; c++) {
        if (g_ascii_iscntrl(*c))
            return NULL;
        if (*c == '"' || *c == '\\')
            g_string_append_c(out, '\\');
        g_string_append_c(out, *c);
    }
    g_string_append_c(out, '"');
    return g_string_free(g_steal_pointer(&out), FALSE);
}

char *tb_git_config_sanitized(const char *config, bool submodule)
{
    if (!config)
        config = "";
    g_autofree char *format = tb_git_config_value(config, "extensions", "objectformat");
    g_autofree char *storage = tb_git_config_value(config, "extensions", "refstorage");
    g_autofree char *worktree = tb_git_config_value(config, "core", "worktree");
    bool sha256 = format && g_ascii_strcasecmp(format, "sha256") == 0;
    bool reftable = storage && g_ascii_strcasecmp(storage, "reftable") == 0;
    GString *out = g_string_new("[core]\n");
    g_string_append_printf(out, "\trepositoryformatversion = %d\n", sha256 || reftable);
    g_string_append(out, "\tfilemode = true\n\tbare = false\n");
    /* The index was written on the host: its change times, inodes and users are not the box's. */
    g_string_append(out, "\tcheckStat = minimal\n\ttrustctime = false\n");
    if (submodule && worktree && !g_path_is_absolute(worktree)) {
        g_autofree char *quoted = quote_value(worktree);
        if (quoted)
            g_string_append_printf(out, "\tworktree = %s\n", quoted);
    }
    if (sha256 || reftable)
        g_string_append(out, "[extensions]\n");
    if (sha256)
        g_string_append(out, "\tobjectFormat = sha256\n");
    if (reftable)
        g_string_append(out, "\trefStorage = reftable\n");
    return g_string_free(out, FALSE);
}

char *tb_git_file_in_box(const TbProject *project, const char *path, const char *text)
{
    if (!project->git_dir || !g_str_has_prefix(text, "gitdir: "))
        return NULL;
    g_autofree char *line = g_strdup(text + strlen("gitdir: "));
    g_strchomp(line);
    g_autofree char *file = g_build_filename(project->root, path, NULL);
    g_autofree char *dir = g_path_get_dirname(file);
    g_autofree char *target = g_canonicalize_filename(line, dir);
    g_autofree char *modules = g_build_filename(project->git_dir, "modules/", NULL);
    if (!g_str_has_prefix(target, modules))
        return NULL;
    GString *out = g_string_new("gitdir: ");
    for (const char *c = path; (c = strchr(c, '/')); c++)
        g_string_append(out, "../");
    g_string_append_printf(out, ".git/modules/%s\n", target + strlen(modules));
    return g_string_free(out, FALSE);
}
