/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A project in one language that a shipped image is for gets that image. Anything else gets a
 * recipe: a layer on the shipped image that has most of it, with packages for the rest.
 */
#include "cli/proposal.h"

#include <string.h>

#include "config/recipe.h"
#include "util/escape.h"

#define CONTEXT 2

void tb_proposal_clear(TbProposal *proposal)
{
    g_free(proposal->image);
    g_free(proposal->recipe);
}

/* In the order in which they are taken to build on: what takes longest to install first. */
static const char *const shipped[] = {"dotnet", "rust", "go", "c", "python", NULL};

static const TbLanguage *language_of(const TbSurvey *survey, const char *name)
{
    for (guint i = 0; i < survey->languages->len; i++) {
        const TbLanguage *language = survey->languages->pdata[i];
        if (strcmp(language->name, name) == 0)
            return language;
    }
    return NULL;
}

/* Letters, digits and '-', not the name of a recipe that is there for all. */
static char *recipe_name(const char *project)
{
    g_autoptr(GString) name = g_string_new(NULL);
    for (const char *p = project; *p && name->len < 40; p++)
        if (g_ascii_isalnum(*p))
            g_string_append_c(name, g_ascii_tolower(*p));
        else if (name->len && name->str[name->len - 1] != '-')
            g_string_append_c(name, '-');
    while (name->len && name->str[name->len - 1] == '-')
        g_string_truncate(name, name->len - 1);
    if (!name->len)
        g_string_append(name, "project");
    g_string_append(name, "-box");
    return g_string_free(g_steal_pointer(&name), FALSE);
}

static bool listed(const GPtrArray *list, const char *text)
{
    return g_ptr_array_find_with_equal_func((GPtrArray *)list, text, g_str_equal, NULL);
}

/* What is to be installed on `base` for all languages but those that it is for. */
static GPtrArray *packages_for(const TbSurvey *survey, const char *base)
{
    GPtrArray *packages = g_ptr_array_new();
    for (guint i = 0; i < survey->languages->len; i++) {
        const TbLanguage *language = survey->languages->pdata[i];
        if (strcmp(language->name, base) == 0 ||
            (strcmp(base, "agents") == 0 && strcmp(language->name, "node") == 0))
            continue;
        for (const char *const *name = language->packages; *name; name++)
            if (!listed(packages, *name))
                g_ptr_array_add(packages, (char *)*name);
    }
    return packages;
}

static bool is_shipped_agent(const char *name)
{
    static const char *const names[] = {"claude", "codex", "gemini", "opencode", NULL};
    return name && g_strv_contains(names, name);
}

/* The image `agents` has all four and Node.js; .NET is the one thing that is no Debian package. */
static const char *choose_base(const TbSurvey *survey, bool agents)
{
    if (language_of(survey, "dotnet"))
        return "dotnet";
    if (agents)
        return "agents";
    for (const char *const *name = shipped; *name; name++)
        if (language_of(survey, *name))
            return *name;
    return "debian";
}

static char *write_recipe(const char *base, const GPtrArray *packages)
{
    GString *text = g_string_new("# Made by 'taskbox init'; docs/recipes.md explains the keys.\n");
    g_string_append_printf(text, "from: %s\n", base);
    if (packages->len > 0)
        g_string_append(text, "packages:\n");
    for (guint i = 0; i < packages->len; i++)
        g_string_append_printf(text, "  - %s\n", (const char *)packages->pdata[i]);
    return g_string_free(text, FALSE);
}

void tb_proposal_make(TbProposal *proposal, const TbSurvey *survey, const char *project,
                      const char *agent)
{
    bool agents = survey->agents->len > 0 || is_shipped_agent(agent);
    const char *base = choose_base(survey, agents);
    g_autoptr(GPtrArray) packages = packages_for(survey, base);
    proposal->recipe = packages->len > 0 ? write_recipe(base, packages) : NULL;
    proposal->image = proposal->recipe ? recipe_name(project) : g_strdup(base);
}

/* ---- .taskbox.yaml */

static const char fresh[] =
    "# How taskbox runs tasks in this project. It can hold a run to less, never to more:\n"
    "# docs/settings.md has all keys.\n"
    "image: %s\n"
    "# verify: make check   try each patch by this command, in a fresh box\n"
    "# timeout: 1h          stop a task's command after this time\n"
    "# net: none            not even the hosts of the agent\n"
    "# exclude: [data/]     what boxes do not see\n";

char *tb_proposal_settings(const TbProposal *proposal, const char *now)
{
    g_autofree char *line = g_strdup_printf("image: %s", proposal->image);
    if (!now) {
        g_auto(GStrv) parts = g_strsplit(fresh, "image: %s", 2);
        return g_strjoinv(line, parts);
    }
    g_auto(GStrv) lines = g_strsplit(now, "\n", -1);
    for (char **at = lines; *at; at++) {
        if (!g_str_has_prefix(*at, "image:"))
            continue;
        g_free(*at);
        *at = g_strdup(line);
        return g_strjoinv("\n", lines);
    }
    return g_strdup_printf("%s\n%s", line, now);
}

/* ---- how a text changes */

static void show_line(GString *out, char mark, const char *line)
{
    g_autofree char *safe = tb_escape_terminal(line, strlen(line), false);
    g_string_append_printf(out, "%c%s\n", mark, safe);
}

/* What both begin and end with is left out, but for a few lines. Enough for files of this size. */
char *tb_proposal_diff(const char *old, const char *new)
{
    g_auto(GStrv) a = g_strsplit(old, "\n", -1);
    g_auto(GStrv) b = g_strsplit(new, "\n", -1);
    unsigned a_len = g_strv_length(a), b_len = g_strv_length(b), start = 0, end = 0;
    while (start < MIN(a_len, b_len) && g_str_equal(a[start], b[start]))
        start++;
    while (end < MIN(a_len, b_len) - start && g_str_equal(a[a_len - 1 - end], b[b_len - 1 - end]))
        end++;
    g_autoptr(GString) out = g_string_new(NULL);
    for (unsigned i = start > CONTEXT ? start - CONTEXT : 0; i < start; i++)
        show_line(out, ' ', a[i]);
    for (unsigned i = start; i < a_len - end; i++)
        show_line(out, '-', a[i]);
    for (unsigned i = start; i < b_len - end; i++)
        show_line(out, '+', b[i]);
    for (unsigned i = a_len - end; i < MIN(a_len, a_len - end + CONTEXT); i++)
        if (a[i][0] || a[i + 1]) /* not what is after the last newline */
            show_line(out, ' ', a[i]);
    return g_string_free(g_steal_pointer(&out), FALSE);
}
