/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of the settings share: settings.c reads the files, agent.c what they say of
 * agents. */
#pragma once

#include "config/settings.h"
#include "config/yaml.h"

/* The agent of that name, or NULL. */
const TbAgent *settings_find_agent(const TbSettings *settings, const char *name);
/* The mapping `agents`, into a GPtrArray of TbAgent. */
bool settings_read_agents(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error);
