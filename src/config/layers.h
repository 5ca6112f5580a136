/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The user's file, the project's and the environment as one: which of them holds. */
#pragma once

#include "config/settings.h"

#define TB_PROJECT_SETTINGS ".taskbox.yaml"

/* The user's file with TASKBOX_* variables on top, and the profiles of agents. TB_ERROR_CONFIG that
 * names the variable, or file and line. */
TbSettings *tb_settings_load(GError **error);

/* Takes in the file of the project at `root`, if there is one; once. Where it asks for more than
 * holds without it, it is told so in a line and gets no more. TB_ERROR_CONFIG with file and line.
 */
bool tb_settings_add_project(TbSettings *settings, const char *root, GError **error);

/* What holds of a number (0: without bound) when the project asks for another (0: it does not): the
 * smaller. That it asked for more is said in a line, with `key` and both by `format` (g_free). */
uint64_t tb_settings_lower(uint64_t held, uint64_t asked, const char *key,
                           char *(*format)(uint64_t value));

/* What project and environment hold the network to; TB_NET_UNSET: neither says anything. */
TbNet tb_settings_net_cap(const TbSettings *settings);
