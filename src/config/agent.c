/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Agents: how a file describes one, which of them a prompt goes to, and its command line. */
#include "config/settings-private.h"

#include <string.h>
#include "config/secret.h"
#include "config/stream.h"
#include "util/error.h"
#include "util/paths.h"

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
    g_clear_pointer(&agent->output, g_ptr_array_unref);
    g_free(agent);
}

static bool read_stdin(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    return tb_yaml_either(yaml, node, "none", "prompt", field, error);
}

static const TbYamlKey agent_keys[] = {
    {"command", YAML_SEQUENCE_NODE, tb_yaml_string_list, offsetof(TbAgent, command)},
    {"stdin", YAML_SCALAR_NODE, read_stdin, offsetof(TbAgent, prompt_stdin)},
    {"env", YAML_MAPPING_NODE, tb_yaml_env, offsetof(TbAgent, env)},
    {"hosts", YAML_SEQUENCE_NODE, tb_yaml_string_list, offsetof(TbAgent, hosts)},
    {"secrets", YAML_MAPPING_NODE, tb_yaml_secrets, offsetof(TbAgent, secrets)},
    {"image", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbAgent, image)},
    {"output", YAML_SEQUENCE_NODE, tb_yaml_stream, offsetof(TbAgent, output)},
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

bool settings_read_agents(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    return tb_yaml_each_pair(yaml, node, YAML_MAPPING_NODE, read_agent, *(GPtrArray **)field,
                             error);
}

const TbAgent *settings_find_agent(const TbSettings *settings, const char *name)
{
    for (unsigned i = 0; i < settings->agents->len; i++) {
        const TbAgent *agent = g_ptr_array_index(settings->agents, i);
        if (g_str_equal(agent->name, name))
            return agent;
    }
    return NULL;
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

char *tb_settings_agent_names(const TbSettings *settings)
{
    g_autoptr(GString) names = g_string_new(NULL);
    for (guint i = 0; i < settings->agents->len; i++)
        g_string_append_printf(names, "%s%s", i ? ", " : "",
                               ((const TbAgent *)settings->agents->pdata[i])->name);
    return names->len ? g_strdup(names->str) : NULL;
}

const TbAgent *tb_settings_agent(const TbSettings *settings, const char *name, GError **error)
{
    if (!name)
        name = settings->agent;
    const TbAgent *agent = name ? settings_find_agent(settings, name) : sole_agent(settings);
    if (agent)
        return agent;
    g_autofree char *dir = tb_path_config();
    g_autofree char *all = tb_settings_agent_names(settings);
    const char *names = all ? all : "none";
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
