/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A task's network: which policy it has, which credentials may be used over it, and the egress
 * process beside its box. With a policy of nothing there is no such process, and every call here
 * does nothing. */
#pragma once

#include "image/store.h"
#include "net/egress.h"
#include "run/run.h"
#include "run/secrets.h"
#include "vm/box.h"
#include "vm/session.h"

typedef struct {
    TbNetPolicy *policy; /* NULL: none */
    GPtrArray *chosen;   /* of TbSecretSetting * */
    GPtrArray *secrets;  /* of TbSecret * without their values, in the same order */
    int sealed;          /* the values, until the egress process has them; -1: none */
    TbEgress *egress;
    int log;
    GPtrArray *env; /* of char *, with NULL at the end */
} TbNetwork;
#define TB_NETWORK_INIT ((TbNetwork){.log = -1, .sealed = -1})
void tb_network_clear(TbNetwork *network);

/* How much of the network there is at most; never TB_NET_UNSET. *names: whether what the settings
 * name for all tasks holds, too. */
TbNet tb_network_level(const TbSettings *settings, const TbRunOptions *options,
                       const TbAgent *agent, bool *names);
/* What the options, the settings and the agent (NULL: a plain command) make of it. Names of groups
 * (image/hosts.h) mean the hosts that the image's manifest names; `image` may be NULL while none is
 * used. A group that it has no hosts for is refused in an option and means nothing elsewhere, of
 * which a line tells. */
TbNetPolicy *tb_network_policy(const TbSettings *settings, const TbRunOptions *options,
                               const TbAgent *agent, const TbImage *image, GError **error);
/* The same for a task, whose record gets it in words; and the values of its secrets are read. */
bool tb_network_decide(TbNetwork *network, const TbSettings *settings, const TbRunOptions *options,
                       const TbAgent *agent, const TbImage *image, TbTask *task, GError **error);
/* Starts the egress process and does not wait. The secrets are its alone from then on. */
bool tb_network_start(TbNetwork *network, const TbLimits *limits, TbTask *task, GError **error);
/* Gives it the port of a box whose guest has said hello. */
bool tb_network_attach(TbNetwork *network, TbBox *box, GError **error);
/* Lets the box trust the task's authority, when there are secrets. After its setup. */
bool tb_network_trust(const TbNetwork *network, TbSession *session, int64_t deadline,
                      GError **error);
/* Whether the task may use the network; false: a budget is used up (TB_ERROR_LIMIT). */
bool tb_network_check(const TbNetwork *network, GError **error);
/* The variables of the command: those that name the proxy, then the agent's (may be NULL),
 * then those of the secrets. Lives as long as the network. */
const char *const *tb_network_env(TbNetwork *network, char **agent_env);
/* Ends it; the record gets the counts, and a note when it had ended by itself, or when somebody
 * has tried to take a key elsewhere. */
void tb_network_end(TbNetwork *network, TbTask *task);
