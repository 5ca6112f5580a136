/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Profiles of agents: a YAML file each, with the keys that an agent has in config.yaml and
 * `install`. They lie in the user's configuration directory (agents/NAME.yaml) and among what is
 * shipped (images/agents); the first of a name holds, and config.yaml is before both.
 */
#pragma once

#include "config/settings.h"

/* Adds the profiles of all names that `settings` has no agent of. TB_ERROR_CONFIG for one that is
 * wrong. */
bool tb_profiles_add(TbSettings *settings, GError **error);

/* One profile (tb_agent_free). TB_ERROR_NOT_FOUND that names those there are. */
TbAgent *tb_profile_find(const char *name, GError **error);
