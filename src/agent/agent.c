/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/agent.h"

#include <string.h>

#include "util/error.h"

TbAgentCall *tb_agent_call_command(const char *const *argv)
{
    TbAgentCall *call = g_new0(TbAgentCall, 1);
    call->argv = g_strdupv((char **)argv);
    call->env = g_new0(char *, 1);
    return call;
}

TbAgentCall *tb_agent_call_new(const TbSettings *settings, const char *name, const char *prompt,
                               GError **error)
{
    const TbAgent *agent = tb_settings_agent(settings, name, error);
    if (!agent)
        return NULL;
    if (!prompt || prompt[strspn(prompt, " \t\r\n")] == '\0') {
        tb_error_set(error, TB_ERROR_USAGE, "the prompt is empty (say what the agent is to do)");
        return NULL;
    }
    TbAgentCall *call = g_new0(TbAgentCall, 1);
    call->name = g_strdup(agent->name);
    call->argv = tb_agent_argv(agent, prompt);
    call->env = g_strdupv(agent->env);
    call->stdin_text = agent->prompt_stdin ? g_strdup(prompt) : NULL;
    return call;
}

void tb_agent_call_free(TbAgentCall *call)
{
    if (!call)
        return;
    g_free(call->name);
    g_strfreev(call->argv);
    g_strfreev(call->env);
    g_free(call->stdin_text);
    g_free(call);
}
