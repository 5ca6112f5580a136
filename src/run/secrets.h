/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The credentials that a task's box may use (net/secret.h): which, from where, and what stands in
 * the box in their place. */
#pragma once

#include "net/policy.h"
#include "net/secret.h"
#include "run/run.h"

/* "NAME@HOST[,HOST]" as of --secret. tb_secret_setting_free. */
TbSecretSetting *tb_secret_setting_parse(const char *text, GError **error);

/* Those of the options, the agent (may be NULL) and the settings; of one name the first of these.
 * Without a network there are no agent's, and those of the settings hold where `allow_hosts` does.
 * One of the settings for all tasks whose variable is not set is left out. Array of
 * TbSecretSetting *. */
GPtrArray *tb_secrets_choose(const TbSettings *settings, const TbRunOptions *options,
                             const TbAgent *agent, GError **error);
/* Lets the policy reach their hosts. */
bool tb_secrets_allow(const GPtrArray *chosen, bool by_flag, TbNetPolicy *policy, GError **error);

/* Reads the values into a sealed memory file, *sealed (-1 when there are none), and keeps none of
 * them: while it does, this process cannot be looked into, afterwards it leaves no core, and the
 * variables that values came from are overwritten and gone, so that no program started later has
 * them. Array of TbSecret * without values. */
GPtrArray *tb_secrets_read(const GPtrArray *chosen, int *sealed, GError **error);
/* What the box's environment gets, "K=V" each: placeholders, addresses of the gateway, and where
 * the task's certificate is. */
void tb_secrets_env(const GPtrArray *chosen, const GPtrArray *secrets, GPtrArray *env);
/* From where a value comes, in words. g_free. */
char *tb_secret_setting_source(const TbSecretSetting *setting);
