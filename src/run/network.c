/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nothing is the default for a command, the hosts of its profile for an agent. What the user names
 * on the command line counts most: an explicit `--net none` leaves only what `--allow-host` names.
 */
#include "run/network.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/layers.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
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
    g_clear_pointer(&network->env, g_ptr_array_unref);
    g_clear_pointer(&network->secrets, g_ptr_array_unref);
    g_clear_pointer(&network->chosen, g_ptr_array_unref);
    tb_clear_fd(&network->sealed);
    tb_clear_fd(&network->log);
}

/* The image's word is taken for which hosts, never for what a host is. */
static bool add_group(TbNetPolicy *policy, const char *group, const TbImage *image, GError **error)
{
    if (!image)
        return tb_error_set(error, TB_ERROR_NOT_FOUND,
                            "the hosts of '%s' are the image's, and there is none yet ('taskbox "
                            "image build')",
                            group);
    unsigned added = 0;
    g_autoptr(GError) why = NULL;
    for (guint i = 0; image->hosts && i < image->hosts->len; i++) {
        const TbImageHost *host = image->hosts->pdata[i];
        if (g_str_equal(host->group, group))
            added += tb_net_policy_add(policy, host->host, why ? NULL : &why);
    }
    return added > 0 ||
           tb_error_set(error, TB_ERROR_UNSUPPORTED,
                        "image '%s' names no host for '%s'%s%s ('taskbox image show %s' lists what "
                        "it names; write the hosts out, or put '%s' into its recipe)",
                        image->name, group, why ? ": " : "", why ? why->message : "", image->name,
                        group);
}

/* `whose` hosts they are. What a file names for every image may have no meaning in this one. */
static bool add_all(TbNetPolicy *policy, const char *const *hosts, const TbImage *image,
                    const char *whose, bool by_flag, GError **error)
{
    for (; hosts && *hosts; hosts++) {
        g_autoptr(GError) why = NULL;
        bool group = tb_host_group_valid(*hosts);
        if (group ? add_group(policy, *hosts, image, &why)
                  : tb_net_policy_add(policy, *hosts, &why))
            continue;
        if (group && !by_flag && tb_error_code(why) == TB_ERROR_UNSUPPORTED) {
            tb_info("note: %s: %s", whose, why->message);
            continue;
        }
        g_propagate_prefixed_error(error, g_steal_pointer(&why), "%s: ", whose);
        return false;
    }
    return true;
}

static bool add_agent(TbNetPolicy *policy, const TbSettings *settings, const TbAgent *agent,
                      const TbImage *image, GError **error)
{
    if (!agent)
        agent = tb_settings_agent(settings, NULL, error);
    if (!agent)
        return false;
    g_autofree char *whose = g_strdup_printf("'hosts' of agent '%s'", agent->name);
    return add_all(policy, (const char *const *)agent->hosts, image, whose, false, error);
}

TbNet tb_network_level(const TbSettings *settings, const TbRunOptions *options,
                       const TbAgent *agent, bool *names)
{
    TbNet net = options->net ? options->net : settings->net;
    TbNet cap = options->net ? TB_NET_UNSET : tb_settings_net_cap(settings);
    *names = options->net != TB_NET_NONE && cap != TB_NET_NONE;
    if (net == TB_NET_UNSET)
        net = agent ? TB_NET_AGENT : TB_NET_NONE;
    return cap && cap < net ? cap : net;
}

/* To what the project's own file names, which no flag has to heed. */
static bool narrow(TbNetPolicy *policy, const TbSettings *settings, const TbRunOptions *options,
                   const TbImage *image, GError **error)
{
    const TbSettings *project = settings->project;
    if (!project || !project->only_hosts || options->net)
        return true;
    g_autoptr(TbNetPolicy) only = tb_net_policy_new();
    if (!add_all(only, (const char *const *)project->only_hosts, image,
                 "'only_hosts' of the project's " TB_PROJECT_SETTINGS, false, error))
        return false;
    tb_net_policy_narrow(policy, only);
    return true;
}

TbNetPolicy *tb_network_policy(const TbSettings *settings, const TbRunOptions *options,
                               const TbAgent *agent, const TbImage *image, GError **error)
{
    g_autoptr(TbNetPolicy) policy = tb_net_policy_new();
    g_autoptr(GPtrArray) secrets = tb_secrets_choose(settings, options, agent, error);
    bool names = false;
    TbNet net = tb_network_level(settings, options, agent, &names);
    policy->open = net == TB_NET_OPEN;
    if (!secrets || (net == TB_NET_AGENT && !add_agent(policy, settings, agent, image, error)) ||
        (names && !add_all(policy, (const char *const *)settings->allow_hosts, image,
                           "'allow_hosts' of the settings", false, error)) ||
        !tb_secrets_allow(secrets, false, policy, error) ||
        !narrow(policy, settings, options, image, error) ||
        !add_all(policy, options->allow_hosts, image, "--allow-host", true, error) ||
        !tb_secrets_allow(secrets, true, policy, error))
        return NULL;
    return g_steal_pointer(&policy);
}

bool tb_network_decide(TbNetwork *network, const TbSettings *settings, const TbRunOptions *options,
                       const TbAgent *agent, const TbImage *image, TbTask *task, GError **error)
{
    g_autoptr(TbNetPolicy) policy = tb_network_policy(settings, options, agent, image, error);
    if (!policy)
        return false;
    network->chosen = tb_secrets_choose(settings, options, agent, error);
    network->secrets =
        network->chosen ? tb_secrets_read(network->chosen, &network->sealed, error) : NULL;
    if (!network->secrets)
        return false;
    task->net_policy = tb_net_policy_text(policy);
    if (policy->open || policy->rules->len > 0)
        network->policy = g_steal_pointer(&policy);
    return true;
}

bool tb_network_start(TbNetwork *network, const TbLimits *limits, TbTask *task, GError **error)
{
    if (!network->policy)
        return true;
    network->policy->requests = limits->requests;
    network->policy->bytes = limits->net_bytes;
    network->log = openat(task->dirfd, TB_TASK_NETWORK,
                          O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (network->log < 0)
        return tb_error_set_errno(error, errno, "cannot make the network log of task '%s'",
                                  task->id);
    network->egress =
        tb_egress_start(task->id, network->policy, network->sealed, network->log, error);
    tb_clear_fd(&network->sealed);
    return network->egress != NULL;
}

bool tb_network_attach(TbNetwork *network, TbBox *box, GError **error)
{
    if (!network->egress)
        return true;
    int port = tb_box_egress(box, error);
    return port >= 0 && tb_egress_attach(network->egress, port, error);
}

/* The system's bundles, too, for what looks at no variable; update-ca-certificates keeps it there.
 */
static const char trust_script[] =
    "set -e; umask 022; dir=/run/taskbox; mkdir -p $dir; cat >$dir/ca.pem; cp $dir/ca.pem "
    "$dir/ca-bundle.pem\n"
    "for b in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do\n"
    "  if [ -f $b ]; then cat $b $dir/ca.pem >$dir/ca-bundle.pem; cat $dir/ca.pem >>$b; break; fi\n"
    "done\n"
    "dir=/usr/local/share/ca-certificates; ! [ -d $dir ] || cp /run/taskbox/ca.pem "
    "$dir/taskbox.crt";

bool tb_network_trust(const TbNetwork *network, TbSession *session, int64_t deadline,
                      GError **error)
{
    if (!network->egress || network->secrets->len == 0)
        return true;
    const char *pem = tb_egress_authority(network->egress);
    tb_autofd fd = memfd_create("authority", MFD_CLOEXEC);
    if (!pem)
        return tb_error_set(error, TB_ERROR_VM, "the egress process has made no certificate");
    if (fd < 0 || !tb_write_all(fd, pem, strlen(pem), "certificate", NULL) ||
        lseek(fd, 0, SEEK_SET) < 0)
        return tb_error_set_errno(error, errno, "cannot keep the certificate in memory");
    const char *argv[] = {"sh", "-c", trust_script, NULL};
    TbExec exec = {.argv = argv, .as_root = true, .cwd = "/", .stdin_fd = fd};
    TbExecResult result = {0};
    if (!tb_session_exec(session, &exec, NULL, deadline, &result, error))
        return false;
    return result.code == 0 ||
           tb_error_set(error, TB_ERROR_GUEST,
                        "the box could not be made to trust the task's certificate (code %d)",
                        result.code);
}

bool tb_network_check(const TbNetwork *network, GError **error)
{
    g_autofree char *over = network->egress ? tb_egress_over(network->egress) : NULL;
    return !over || tb_error_set(error, TB_ERROR_LIMIT, "%s", over);
}

const char *const *tb_network_env(TbNetwork *network, char **agent_env)
{
    if (!network->egress)
        return (const char *const *)agent_env;
    g_autoptr(GPtrArray) env = g_ptr_array_new_with_free_func(g_free);
    for (const char *const *variable = proxy_env; *variable; variable++)
        g_ptr_array_add(env, g_strdup(*variable));
    for (char **variable = agent_env; variable && *variable; variable++)
        g_ptr_array_add(env, g_strdup(*variable));
    tb_secrets_env(network->chosen, network->secrets, env);
    g_ptr_array_add(env, NULL);
    g_clear_pointer(&network->env, g_ptr_array_unref);
    network->env = g_steal_pointer(&env);
    return (const char *const *)network->env->pdata;
}

static void note_refusals(TbTask *task)
{
    for (guint i = 0; i < task->refusals->len; i++) {
        const TbRefusal *refusal = task->refusals->pdata[i];
        if (refusal->kind == TB_REFUSED_OTHER)
            continue;
        g_autofree char *where = refusal->host
                                     ? g_strdup_printf("%s:%u", refusal->host, refusal->port)
                                     : g_strdup("other hosts");
        g_autofree char *note = g_strdup_printf("refused, %s: %s (%" G_GUINT64_FORMAT " times)",
                                                where, refusal->reason, refusal->count);
        tb_task_note(task, note);
    }
}

void tb_network_end(TbNetwork *network, TbTask *task)
{
    if (!network->egress)
        return;
    tb_egress_stop(network->egress, &task->net);
    task->refusals = tb_egress_refusals(network->egress);
    g_clear_pointer(&network->egress, tb_egress_free);
    note_refusals(task);
    if (fsync(network->log) < 0)
        tb_warn("cannot write the network log of task '%s' to disk: %s", task->id,
                g_strerror(errno));
    if (task->net.lost)
        tb_task_note(task, "the network was gone before the task had ended: its proxy had died");
}
