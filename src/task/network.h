/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A task's network: which policy it has, and the egress process beside its box. With a policy of
 * nothing there is no such process, and every call here does nothing. */
#pragma once

#include "net/egress.h"
#include "task/run.h"
#include "vm/box.h"

typedef struct {
    TbNetPolicy *policy; /* NULL: none */
    TbEgress *egress;
    int log;
    char **env;
} TbNetwork;
#define TB_NETWORK_INIT ((TbNetwork){.log = -1})
void tb_network_clear(TbNetwork *network);

/* What the options, the settings and the agent (NULL: a plain command) make of it. */
TbNetPolicy *tb_network_policy(const TbSettings *settings, const TbRunOptions *options,
                               const TbAgent *agent, GError **error);
/* The same for a task, whose record gets it in words. */
bool tb_network_decide(TbNetwork *network, const TbSettings *settings, const TbRunOptions *options,
                       const TbAgent *agent, TbTask *task, GError **error);
/* Starts the egress process and does not wait. */
bool tb_network_start(TbNetwork *network, TbTask *task, GError **error);
/* Gives it the port of a box whose guest has said hello. */
bool tb_network_attach(TbNetwork *network, TbBox *box, GError **error);
/* The variables of the command: those that name the proxy, then the agent's (may be NULL). Lives as
 * long as the network. */
const char *const *tb_network_env(TbNetwork *network, char **agent_env);
/* Ends it; the record gets the counts, and a note when it had ended by itself. */
void tb_network_end(TbNetwork *network, TbTask *task);
