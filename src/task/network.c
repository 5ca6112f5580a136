/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nothing is the default for a command, the hosts of its profile for an agent. What the user names
 * on the command line counts most: an explicit `--net none` leaves only what `--allow-host` names.
 */
#include "task/network.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "config/layers.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/log.h"

#define PROXY "http://127.0.0.1:3128"

static const char *const proxy_env[] = {"HTTP_PROXY=" PROXY,
                                        "HTTPS_PROXY=" PROXY,
                                        "ALL_PROXY=" PROXY,
                                        "http_proxy=" PROXY,
                                        "https_proxy=" PROXY,
                                        "all_proxy=" PROXY,
                                        "NO_PROXY=localhost,127.0.0.1,::1",
                                        "no_proxy=localhost,127.0.0.1,::1",
                                        "NODE_USE_ENV_PROXY=1", /* node's own fetch, from 24 on */
                                        NULL};

void tb_network_clear(TbNetwork *network)
{
    g_clear_pointer(&network->egress, tb_egress_free);
    g_clear_pointer(&network->policy, tb_net_policy_free);
    g_clear_pointer(&network->env, g_free); /* the strings are others' */
    tb_clear_fd(&network->log);
}

static bool add_all(TbNetPolicy *policy, const char *const *hosts, const char *whose,
                    GError **error)
{
    for (; hosts && *hosts; hosts++) {
        if (!tb_net_policy_add(policy, *hosts, error)) {
            g_prefix_error(error, "%s: ", whose);
            return false;
        }
    }
    return true;
}

static bool add_agent(TbNetPolicy *policy, const TbSettings *settings, const TbAgent *agent,
                      GError **error)
{
    if (!agent)
        agent = tb_settings_agent(settings, NULL, error);
    if (!agent)
        return false;
    g_autofree char *whose = g_strdup_printf("'hosts' of agent '%s'", agent->name);
    return add_all(policy, (const char *const *)agent->hosts, whose, error);
}

TbNetPolicy *tb_network_policy(const TbSettings *settings, const TbRunOptions *options,
                               const TbAgent *agent, GError **error)
{
    g_autoptr(TbNetPolicy) policy = tb_net_policy_new();
    TbNet net = options->net ? options->net : settings->net;
    TbNet cap = options->net ? TB_NET_UNSET : tb_settings_net_cap(settings);
    if (net == TB_NET_UNSET)
        net = agent ? TB_NET_AGENT : TB_NET_NONE;
    if (cap && cap < net)
        net = cap;
    policy->open = net == TB_NET_OPEN;
    if ((net == TB_NET_AGENT && !add_agent(policy, settings, agent, error)) ||
        (options->net != TB_NET_NONE && cap != TB_NET_NONE &&
         !add_all(policy, (const char *const *)settings->allow_hosts,
                  "'allow_hosts' of the settings", error)) ||
        !add_all(policy, options->allow_hosts, "--allow-host", error))
        return NULL;
    return g_steal_pointer(&policy);
}

bool tb_network_decide(TbNetwork *network, const TbSettings *settings, const TbRunOptions *options,
                       const TbAgent *agent, TbTask *task, GError **error)
{
    g_autoptr(TbNetPolicy) policy = tb_network_policy(settings, options, agent, error);
    if (!policy)
        return false;
    task->net_policy = tb_net_policy_text(policy);
    if (policy->open || policy->rules->len > 0)
        network->policy = g_steal_pointer(&policy);
    return true;
}

bool tb_network_start(TbNetwork *network, TbTask *task, GError **error)
{
    if (!network->policy)
        return true;
    network->log = openat(task->dirfd, TB_TASK_NETWORK,
                          O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (network->log < 0)
        return tb_error_set_errno(error, errno, "cannot make the network log of task '%s'",
                                  task->id);
    network->egress = tb_egress_start(task->id, network->policy, network->log, error);
    return network->egress != NULL;
}

bool tb_network_attach(TbNetwork *network, TbBox *box, GError **error)
{
    if (!network->egress)
        return true;
    int port = tb_box_egress(box, error);
    return port >= 0 && tb_egress_attach(network->egress, port, error);
}

const char *const *tb_network_env(TbNetwork *network, char **agent_env)
{
    if (!network->egress)
        return (const char *const *)agent_env;
    g_autoptr(GPtrArray) env = g_ptr_array_new();
    for (const char *const *variable = proxy_env; *variable; variable++)
        g_ptr_array_add(env, (char *)*variable);
    for (char **variable = agent_env; variable && *variable; variable++)
        g_ptr_array_add(env, *variable);
    g_ptr_array_add(env, NULL);
    g_free(network->env);
    network->env = (char **)g_ptr_array_steal(env, NULL);
    return (const char *const *)network->env;
}

void tb_network_end(TbNetwork *network, TbTask *task)
{
    if (!network->egress)
        return;
    tb_egress_stop(network->egress, &task->net);
    g_clear_pointer(&network->egress, tb_egress_free);
    if (fsync(network->log) < 0)
        tb_warn("cannot write the network log of task '%s' to disk: %s", task->id,
                g_strerror(errno));
    if (task->net.lost)
        tb_task_note(task, "the network was gone before the task had ended: its proxy had died");
}
