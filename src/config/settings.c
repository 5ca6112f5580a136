/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * config.yaml. Agents' environment may hold what a user would not show; so a file that others can
 * write is refused, as it decides which programs run in the box and with what.
 */
#include "config/settings.h"

#include <string.h>
#include <sys/stat.h>
#include "config/yaml.h"
#include "util/error.h"
#include "util/paths.h"
#include "util/units.h"

static const char *const keep_words[] = {"never", "failed", "always", NULL};

void tb_agent_free(TbAgent *agent)
{
    if (!agent)
        return;
    g_free(agent->image);
    g_free(agent->install);
    g_free(agent->name);
    g_strfreev(agent->command);
    g_strfreev(agent->env);
    g_strfreev(agent->hosts);
    g_clear_pointer(&agent->secrets, g_ptr_array_unref);
    g_free(agent);
}

void tb_settings_free(TbSettings *settings)
{
    if (!settings)
        return;
    g_free(settings->path);
    g_free(settings->image);
    g_free(settings->agent);
    g_strfreev(settings->exclude);
    g_strfreev(settings->include);
    g_strfreev(settings->allow_hosts);
    g_clear_pointer(&settings->secrets, g_ptr_array_unref);
    tb_settings_free(settings->environment);
    tb_settings_free(settings->project);
    g_ptr_array_unref(settings->agents);
    g_free(settings);
}

static bool read_keep(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    unsigned index = 0;
    TbSettings *settings = field;
    if (!tb_yaml_word(yaml, node, keep_words, &index, error))
        return false;
    settings->has_keep = true;
    settings->keep = (TbKeep)index;
    return true;
}

static bool read_history(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    TbSettings *settings = field;
    g_autoptr(GError) why = NULL;
    settings->has_history = true;
    return tb_history_parse((const char *)node->data.scalar.value, &settings->history, &why) ||
           tb_yaml_error(yaml, node, error, "%s", why->message);
}

static bool read_stdin(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    static const char *const words[] = {"none", "prompt", NULL};
    unsigned index = 0;
    if (!tb_yaml_word(yaml, node, words, &index, error))
        return false;
    *(bool *)field = index == 1;
    return true;
}

static bool env_name_valid(const char *name)
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
    if (!env_name_valid(key))
        return tb_yaml_error(yaml, key_node, error,
                             "bad variable name (letters, digits and '_', no digit first)");
    const char *text = (const char *)value->data.scalar.value;
    if (strlen(text) != value->data.scalar.length)
        return tb_yaml_error(yaml, value, error, "the value holds a NUL byte");
    g_ptr_array_add(data, g_strdup_printf("%s=%s", key, text));
    return true;
}

static bool read_env(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
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

static const TbYamlKey agent_keys[] = {
    {"command", YAML_SEQUENCE_NODE, tb_yaml_string_list, offsetof(TbAgent, command)},
    {"stdin", YAML_SCALAR_NODE, read_stdin, offsetof(TbAgent, prompt_stdin)},
    {"env", YAML_MAPPING_NODE, read_env, offsetof(TbAgent, env)},
    {"hosts", YAML_SEQUENCE_NODE, tb_yaml_string_list, offsetof(TbAgent, hosts)},
    {"secrets", YAML_MAPPING_NODE, tb_yaml_secrets, offsetof(TbAgent, secrets)},
    {"image", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbAgent, image)},
    {"install", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbAgent, install)},
    {0},
};

static bool holds_prompt(const TbAgent *agent)
{
    for (char **arg = agent->command; *arg; arg++)
        if (strstr(*arg, "{prompt}"))
            return true;
    return false;
}

static bool fill_agent(TbYaml *yaml, const char *key, const yaml_node_t *key_node,
                       const yaml_node_t *value, TbAgent *agent, GError **error)
{
    agent->name = g_strdup(key);
    if (!tb_yaml_map(yaml, value, agent_keys, agent, error))
        return false;
    if (!agent->command || !agent->command[0])
        return tb_yaml_error(yaml, key_node, error, "agent '%s' has no 'command'", key);
    if (!agent->prompt_stdin && !holds_prompt(agent))
        return tb_yaml_error(yaml, key_node, error,
                             "agent '%s' never gets the prompt (put \"{prompt}\" into 'command' or "
                             "say 'stdin: prompt')",
                             key);
    if (!agent->env)
        agent->env = g_new0(char *, 1);
    return true;
}

static bool read_agent(TbYaml *yaml, const char *key, const yaml_node_t *key_node,
                       const yaml_node_t *value, void *data, GError **error)
{
    TbAgent *agent = g_new0(TbAgent, 1);
    g_ptr_array_add(data, agent);
    return fill_agent(yaml, key, key_node, value, agent, error);
}

TbAgent *tb_agent_parse(const char *name, const char *path, const void *data, size_t length,
                        GError **error)
{
    g_autoptr(TbAgent) agent = g_new0(TbAgent, 1);
    g_autoptr(TbYaml) yaml = tb_yaml_parse(path, data, length, error);
    if (!yaml || !fill_agent(yaml, name, NULL, tb_yaml_root(yaml), agent, error))
        return NULL;
    return g_steal_pointer(&agent);
}

static bool read_agents(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    return tb_yaml_each_pair(yaml, node, YAML_MAPPING_NODE, read_agent, *(GPtrArray **)field,
                             error);
}

static const TbYamlKey capacity_keys[] = {
    {"cpus", YAML_SCALAR_NODE, tb_yaml_count, offsetof(TbCapacity, cpus)},
    {"memory", YAML_SCALAR_NODE, tb_yaml_size, offsetof(TbCapacity, memory)},
    {0},
};

static bool read_capacity(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    return tb_yaml_map(yaml, node, capacity_keys, field, error);
}

static const TbYamlKey limits_keys[] = {
    {"free-space", YAML_SCALAR_NODE, tb_yaml_size, offsetof(TbLimits, free_space)},
    {"log", YAML_SCALAR_NODE, tb_yaml_size, offsetof(TbLimits, log)},
    {"changes", YAML_SCALAR_NODE, tb_yaml_size, offsetof(TbLimits, changes)},
    {"files", YAML_SCALAR_NODE, tb_yaml_count, offsetof(TbLimits, files)},
    {"patch", YAML_SCALAR_NODE, tb_yaml_size, offsetof(TbLimits, patch)},
    {"processes", YAML_SCALAR_NODE, tb_yaml_count, offsetof(TbLimits, processes)},
    {"requests", YAML_SCALAR_NODE, tb_yaml_count, offsetof(TbLimits, requests)},
    {"net-bytes", YAML_SCALAR_NODE, tb_yaml_size, offsetof(TbLimits, net_bytes)},
    {0},
};

static bool read_limits(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    return tb_yaml_map(yaml, node, limits_keys, field, error);
}

/* As TbNet, from TB_NET_NONE on. */
static const char *const net_words[] = {"none", "agent", "open", NULL};

static bool read_net(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    unsigned index = 0;
    if (!tb_yaml_word(yaml, node, net_words, &index, error))
        return false;
    *(TbNet *)field = (TbNet)(TB_NET_NONE + index);
    return true;
}

static bool read_yes_no(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    static const char *const words[] = {"false", "true", NULL};
    unsigned index = 0;
    if (!tb_yaml_word(yaml, node, words, &index, error))
        return false;
    *(bool *)field = index == 1;
    return true;
}

static const TbYamlKey settings_keys[] = {
    {"image", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbSettings, image)},
    {"cpus", YAML_SCALAR_NODE, tb_yaml_count, offsetof(TbSettings, cpus)},
    {"memory", YAML_SCALAR_NODE, tb_yaml_size, offsetof(TbSettings, memory)},
    {"disk", YAML_SCALAR_NODE, tb_yaml_size, offsetof(TbSettings, disk)},
    {"timeout", YAML_SCALAR_NODE, tb_yaml_duration, offsetof(TbSettings, timeout)},
    {"keep", YAML_SCALAR_NODE, read_keep, 0},
    {"agent", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbSettings, agent)},
    {"agents", YAML_MAPPING_NODE, read_agents, offsetof(TbSettings, agents)},
    {"exclude", YAML_SEQUENCE_NODE, tb_yaml_string_list, offsetof(TbSettings, exclude)},
    {"include", YAML_SEQUENCE_NODE, tb_yaml_string_list, offsetof(TbSettings, include)},
    {"history", YAML_SCALAR_NODE, read_history, 0},
    {"limits", YAML_MAPPING_NODE, read_limits, offsetof(TbSettings, limits)},
    {"capacity", YAML_MAPPING_NODE, read_capacity, offsetof(TbSettings, capacity)},
    {"require_kvm", YAML_SCALAR_NODE, read_yes_no, offsetof(TbSettings, require_kvm)},
    {"net", YAML_SCALAR_NODE, read_net, offsetof(TbSettings, net)},
    {"allow_hosts", YAML_SEQUENCE_NODE, tb_yaml_string_list, offsetof(TbSettings, allow_hosts)},
    {"secrets", YAML_MAPPING_NODE, tb_yaml_secrets, offsetof(TbSettings, secrets)},
    {0},
};

static const TbAgent *find_agent(const TbSettings *settings, const char *name)
{
    for (unsigned i = 0; i < settings->agents->len; i++) {
        const TbAgent *agent = g_ptr_array_index(settings->agents, i);
        if (g_str_equal(agent->name, name))
            return agent;
    }
    return NULL;
}

TbSettings *tb_settings_new(void)
{
    TbSettings *settings = g_new0(TbSettings, 1);
    settings->agents = g_ptr_array_new_with_free_func((GDestroyNotify)tb_agent_free);
    return settings;
}

static TbSettings *from_yaml(TbYaml *yaml, GError **error)
{
    g_autoptr(TbSettings) settings = tb_settings_new();
    if (!tb_yaml_map(yaml, tb_yaml_root(yaml), settings_keys, settings, error))
        return NULL;
    return g_steal_pointer(&settings);
}

TbSettings *tb_settings_parse(const char *name, const void *data, size_t length, GError **error)
{
    g_autoptr(TbYaml) yaml = tb_yaml_parse(name, data, length, error);
    return yaml ? from_yaml(yaml, error) : NULL;
}

/* ---- a project's own file */

static bool refuse(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    g_autofree char *dir = tb_path_config();
    return tb_yaml_error(yaml, node, error,
                         "a project may not set this (it can only hold a run to less; put it into "
                         "%s/config.yaml, or give a flag)",
                         dir);
}

/* With '!' a pattern would show what another hides. */
static bool read_exclude(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    if (!tb_yaml_string_list(yaml, node, field, error))
        return false;
    for (char **pattern = *(char ***)field; *pattern; pattern++)
        if (**pattern == '!')
            return tb_yaml_error(yaml, node, error, "a project's patterns only hide: '%s'",
                                 *pattern);
    return true;
}

static const TbYamlKey project_keys[] = {
    {"image", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbSettings, image)},
    {"cpus", YAML_SCALAR_NODE, tb_yaml_count, offsetof(TbSettings, cpus)},
    {"memory", YAML_SCALAR_NODE, tb_yaml_size, offsetof(TbSettings, memory)},
    {"disk", YAML_SCALAR_NODE, tb_yaml_size, offsetof(TbSettings, disk)},
    {"timeout", YAML_SCALAR_NODE, tb_yaml_duration, offsetof(TbSettings, timeout)},
    {"exclude", YAML_SEQUENCE_NODE, read_exclude, offsetof(TbSettings, exclude)},
    {"history", YAML_SCALAR_NODE, read_history, 0},
    {"limits", YAML_MAPPING_NODE, read_limits, offsetof(TbSettings, limits)},
    {"net", YAML_SCALAR_NODE, read_net, offsetof(TbSettings, net)},
    {"require_kvm", YAML_SCALAR_NODE, read_yes_no, offsetof(TbSettings, require_kvm)},
    {"keep", YAML_NO_NODE, refuse, 0},
    {"agent", YAML_NO_NODE, refuse, 0},
    {"agents", YAML_NO_NODE, refuse, 0},
    {"include", YAML_NO_NODE, refuse, 0},
    {"capacity", YAML_NO_NODE, refuse, 0},
    {"allow_hosts", YAML_NO_NODE, refuse, 0},
    {0},
};

TbSettings *tb_settings_parse_project(const char *name, const void *data, size_t length,
                                      GError **error)
{
    g_autoptr(TbYaml) yaml = tb_yaml_parse(name, data, length, error);
    g_autoptr(TbSettings) settings = tb_settings_new();
    if (!yaml || !tb_yaml_map(yaml, tb_yaml_root(yaml), project_keys, settings, error))
        return NULL;
    settings->path = g_strdup(name);
    return g_steal_pointer(&settings);
}

/* ---- the user's */

TbSettings *tb_settings_user(GError **error)
{
    g_autofree char *dir = tb_path_config();
    g_autofree char *path = g_build_filename(dir, "config.yaml", NULL);
    struct stat st;
    if (stat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
        return tb_settings_new();
    g_autoptr(TbYaml) yaml = tb_yaml_load(path, error);
    if (!yaml)
        return NULL;
    if (st.st_mode & S_IWOTH) {
        tb_error_set(error, TB_ERROR_DENIED, "cannot use '%s': everybody may write it (chmod o-w)",
                     path);
        return NULL;
    }
    TbSettings *settings = from_yaml(yaml, error);
    if (settings)
        settings->path = g_steal_pointer(&path);
    return settings;
}

/* The one of the user's own, when there is just one. */
static const TbAgent *sole_agent(const TbSettings *settings)
{
    const TbAgent *sole = NULL;
    for (guint i = 0; i < settings->agents->len; i++) {
        const TbAgent *agent = g_ptr_array_index(settings->agents, i);
        if (agent->shipped)
            continue;
        if (sole)
            return NULL;
        sole = agent;
    }
    return sole;
}

static char *agent_names(const TbSettings *settings)
{
    g_autoptr(GString) names = g_string_new(NULL);
    for (guint i = 0; i < settings->agents->len; i++)
        g_string_append_printf(names, "%s%s", i ? ", " : "",
                               ((const TbAgent *)settings->agents->pdata[i])->name);
    return g_strdup(names->len ? names->str : "none");
}

const TbAgent *tb_settings_agent(const TbSettings *settings, const char *name, GError **error)
{
    if (!name)
        name = settings->agent;
    const TbAgent *agent = name ? find_agent(settings, name) : sole_agent(settings);
    if (agent)
        return agent;
    g_autofree char *dir = tb_path_config();
    g_autofree char *names = agent_names(settings);
    if (name)
        tb_error_set(error, TB_ERROR_CONFIG,
                     "there is no agent '%s' (there are: %s; yours are in %s/config.yaml and "
                     "%s/agents)",
                     name, names, dir, dir);
    else
        tb_error_set(error, TB_ERROR_CONFIG,
                     "no agent is the default (give --agent NAME, one of: %s; or set 'agent: NAME' "
                     "in %s/config.yaml; a command after '--' needs none)",
                     names, dir);
    return NULL;
}

/* Splits and joins, so that a "{prompt}" within the prompt stays as it is. */
static char *replace_prompt(const char *arg, const char *prompt)
{
    g_auto(GStrv) parts = g_strsplit(arg, "{prompt}", -1);
    return g_strjoinv(prompt, parts);
}

char **tb_agent_argv(const TbAgent *agent, const char *prompt)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    for (char **arg = agent->command; *arg; arg++)
        g_ptr_array_add(argv, replace_prompt(*arg, prompt));
    g_ptr_array_add(argv, NULL);
    return (char **)g_ptr_array_steal(argv, NULL);
}

/* The place of `text` among the words; `all` lists them for the message. */
static bool find_word(const char *text, const char *const *words, const char *all, unsigned *index,
                      GError **error)
{
    for (*index = 0; words[*index]; (*index)++)
        if (g_str_equal(text, words[*index]))
            return true;
    return tb_error_set(error, TB_ERROR_USAGE, "bad value '%s' (must be %s)", text, all);
}

bool tb_net_parse(const char *text, TbNet *net, GError **error)
{
    unsigned index;
    if (!find_word(text, net_words, "none, agent or open", &index, error))
        return false;
    *net = (TbNet)(TB_NET_NONE + index);
    return true;
}

const char *tb_keep_name(TbKeep keep)
{
    return keep_words[keep];
}

bool tb_keep_parse(const char *text, TbKeep *keep, GError **error)
{
    unsigned index;
    if (!find_word(text, keep_words, "never, failed or always", &index, error))
        return false;
    *keep = (TbKeep)index;
    return true;
}
