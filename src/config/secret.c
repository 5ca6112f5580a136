/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config/secret.h"

#include <string.h>

#include "util/error.h"

void tb_secret_setting_free(void *data)
{
    TbSecretSetting *setting = data;
    g_free(setting->name);
    g_strfreev(setting->hosts);
    g_free(setting->env);
    g_free(setting->file);
    g_strfreev(setting->command);
    g_free(setting->base_env);
    g_free(setting->base_path);
    g_free(setting);
}

TbSecretSetting *tb_secret_setting_copy(const TbSecretSetting *setting)
{
    TbSecretSetting *copy = g_new(TbSecretSetting, 1);
    *copy = (TbSecretSetting){.name = g_strdup(setting->name),
                              .hosts = g_strdupv(setting->hosts),
                              .env = g_strdup(setting->env),
                              .file = g_strdup(setting->file),
                              .command = g_strdupv(setting->command),
                              .base_env = g_strdup(setting->base_env),
                              .base_path = g_strdup(setting->base_path),
                              .by_flag = setting->by_flag};
    return copy;
}

static bool read_path(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    const char *path = (const char *)node->data.scalar.value;
    for (const char *at = path; *at; at++)
        if (!g_ascii_isgraph(*at))
            return tb_yaml_error(yaml, node, error, "a path of an address has no such byte");
    return tb_yaml_string(yaml, node, field, error) &&
           (*path == '/' || tb_yaml_error(yaml, node, error, "a path begins with '/'"));
}

static const TbYamlKey base_keys[] = {
    {"env", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbSecretSetting, base_env)},
    {"path", YAML_SCALAR_NODE, read_path, offsetof(TbSecretSetting, base_path)},
    {0},
};

static bool read_base(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    const TbSecretSetting *setting = field;
    return tb_yaml_map(yaml, node, base_keys, field, error) &&
           (setting->base_env ||
            tb_yaml_error(yaml, node, error,
                          "'base_url' has no 'env' (the variable that gets it)"));
}

static const TbYamlKey secret_keys[] = {
    {"hosts", YAML_SEQUENCE_NODE, tb_yaml_string_list, offsetof(TbSecretSetting, hosts)},
    {"env", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbSecretSetting, env)},
    {"file", YAML_SCALAR_NODE, tb_yaml_string, offsetof(TbSecretSetting, file)},
    {"command", YAML_SEQUENCE_NODE, tb_yaml_string_list, offsetof(TbSecretSetting, command)},
    {"base_url", YAML_MAPPING_NODE, read_base, 0},
    {0},
};

static bool read_secret(TbYaml *yaml, const char *key, const yaml_node_t *key_node,
                        const yaml_node_t *value, void *data, GError **error)
{
    TbSecretSetting *setting = g_new0(TbSecretSetting, 1);
    g_ptr_array_add(data, setting);
    setting->name = g_strdup(key);
    if (!tb_yaml_map(yaml, value, secret_keys, setting, error))
        return false;
    if (!setting->hosts || !setting->hosts[0])
        return tb_yaml_error(yaml, key_node, error, "secret '%s' has no 'hosts'", key);
    if (setting->command && !setting->command[0])
        return tb_yaml_error(yaml, key_node, error, "'command' of secret '%s' is empty", key);
    if (!!setting->env + !!setting->file + !!setting->command > 1)
        return tb_yaml_error(yaml, key_node, error,
                             "secret '%s' is read from one place: 'env', 'file' or 'command'", key);
    if (!setting->env && !setting->file && !setting->command)
        setting->env = g_strdup(key);
    return true;
}

bool tb_yaml_secrets(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    GPtrArray **list = field;
    if (!*list)
        *list = g_ptr_array_new_with_free_func(tb_secret_setting_free);
    return tb_yaml_each_pair(yaml, node, YAML_MAPPING_NODE, read_secret, *list, error);
}
