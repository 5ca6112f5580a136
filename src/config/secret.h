/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `secrets` of the settings and of an agent: which credentials a box may use, and where their
 * values are to be read. No value is ever in here. */
#pragma once

#include "config/yaml.h"

typedef struct {
    char *name;     /* of the variable in the box */
    char **hosts;   /* "HOST" or "HOST:PORT" (net/secret.h), not empty */
    char *env;      /* the value is in this variable of taskbox's own; the default is `name` */
    char *file;     /* in this file; NULL: not there */
    char **command; /* what this program prints; NULL: not there */
    char *base_env; /* variable that gets the gateway's address; NULL: none */
    char *base_path;
    bool by_flag; /* and not from a file */
} TbSecretSetting;

void tb_secret_setting_free(void *setting);
TbSecretSetting *tb_secret_setting_copy(const TbSecretSetting *setting);

/* A mapping of names to {hosts, env|file|command, base_url: {env, path}}. Field: a GPtrArray * of
 * TbSecretSetting *, made when it is NULL. */
bool tb_yaml_secrets(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error);
