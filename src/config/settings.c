/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * config.yaml. Agents' environment may hold what a user would not show; so a file that others can
 * write is refused, as it decides which programs run in the box and with what.
 */
#include "config/settings-private.h"

#include <string.h>
#include <sys/stat.h>
#include "config/yaml.h"
#include "util/error.h"
#include "util/paths.h"
#include "util/units.h"

static const char *const keep_words[] = {"never", "failed", "always", NULL};

void tb_settings_free(TbSettings *settings)
{
    if (!settings)
        return;
    g_free(settings->path);
    g_free(settings->image);
    g_free(settings->agent);
    g_free(settings->verify);
    g_strfreev(settings->exclude);
    g_strfreev(settings->include);
    g_strfreev(settings->allow_hosts);
    g_strfreev(settings->only_hosts);
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
    return tb_yaml_either(yaml, node, "false", "true", field, error);
}

static const TbYamlKey settings_keys[] = {
    {"image", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbSettings, image)},
    {"cpus", YAML_SCALAR_NODE, tb_yaml_count, offsetof(TbSettings, cpus)},
    {"memory", YAML_SCALAR_NODE, tb_yaml_size, offsetof(TbSettings, memory)},
    {"disk", YAML_SCALAR_NODE, tb_yaml_size, offsetof(TbSettings, disk)},
    {"timeout", YAML_SCALAR_NODE, tb_yaml_duration, offsetof(TbSettings, timeout)},
    {"keep", YAML_SCALAR_NODE, read_keep, 0},
    {"agent", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbSettings, agent)},
    {"agents", YAML_MAPPING_NODE, settings_read_agents, offsetof(TbSettings, agents)},
    {"verify", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbSettings, verify)},
    {"exclude", YAML_SEQUENCE_NODE, tb_yaml_string_list, offsetof(TbSettings, exclude)},
    {"include", YAML_SEQUENCE_NODE, tb_yaml_string_list, offsetof(TbSettings, include)},
    {"history", YAML_SCALAR_NODE, read_history, 0},
    {"mount", YAML_SCALAR_NODE, tb_yaml_mount, offsetof(TbSettings, mount)},
    {"limits", YAML_MAPPING_NODE, read_limits, offsetof(TbSettings, limits)},
    {"capacity", YAML_MAPPING_NODE, read_capacity, offsetof(TbSettings, capacity)},
    {"require_kvm", YAML_SCALAR_NODE, read_yes_no, offsetof(TbSettings, require_kvm)},
    {"net", YAML_SCALAR_NODE, read_net, offsetof(TbSettings, net)},
    {"allow_hosts", YAML_SEQUENCE_NODE, tb_yaml_string_list, offsetof(TbSettings, allow_hosts)},
    {"secrets", YAML_MAPPING_NODE, tb_yaml_secrets, offsetof(TbSettings, secrets)},
    {0},
};

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
    {"verify", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbSettings, verify)},
    {"exclude", YAML_SEQUENCE_NODE, read_exclude, offsetof(TbSettings, exclude)},
    {"history", YAML_SCALAR_NODE, read_history, 0},
    {"limits", YAML_MAPPING_NODE, read_limits, offsetof(TbSettings, limits)},
    {"net", YAML_SCALAR_NODE, read_net, offsetof(TbSettings, net)},
    {"only_hosts", YAML_SEQUENCE_NODE, tb_yaml_string_list, offsetof(TbSettings, only_hosts)},
    {"require_kvm", YAML_SCALAR_NODE, read_yes_no, offsetof(TbSettings, require_kvm)},
    {"keep", YAML_NO_NODE, refuse, 0},
    {"agent", YAML_NO_NODE, refuse, 0},
    {"agents", YAML_NO_NODE, refuse, 0},
    {"include", YAML_NO_NODE, refuse, 0},
    {"mount", YAML_NO_NODE, refuse, 0},
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

const char *tb_net_name(TbNet net)
{
    return net == TB_NET_UNSET ? NULL : net_words[net - TB_NET_NONE];
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
