/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is started in the box for a task: the user's own command, or a configured agent with the
 * prompt as one argument or on stdin. There is no shell anywhere on the way.
 */
#pragma once

#include <glib.h>
#include "config/settings.h"

typedef struct {
    char *name;       /* the agent's; NULL for a plain command */
    char **argv;      /* never NULL, not empty */
    char **env;       /* "K=V"; may be empty, never NULL */
    char *stdin_text; /* what the command reads on stdin; NULL: nothing of ours */
} TbAgentCall;

/* A plain command. */
TbAgentCall *tb_agent_call_command(const char *const *argv);
/* The configured agent `name` (NULL: the default one) with this prompt. TB_ERROR_CONFIG when no
 * agent is configured, TB_ERROR_USAGE when the prompt is empty. */
TbAgentCall *tb_agent_call_new(const TbSettings *settings, const char *name, const char *prompt,
                               GError **error);
void tb_agent_call_free(TbAgentCall *call);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbAgentCall, tb_agent_call_free)
