/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * taskbox policy explain: what a run in this project could reach and see, and what says so. It asks
 * the same functions that a run asks, and starts no box.
 */
#include <fcntl.h>
#include <string.h>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/show.h"
#include "config/layers.h"
#include "run/masking.h"
#include "run/network.h"
#include "run/start.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/units.h"
#include "vm/box.h"

#define MASKED_SHOWN 50

/* ---- the network */

static const char *net_source(const TbSettings *settings, const TbAgent *agent)
{
    TbNet cap = tb_settings_net_cap(settings);
    TbNet held = settings->net ? settings->net : agent ? TB_NET_AGENT : TB_NET_NONE;
    if (cap && cap < held)
        return settings->environment && settings->environment->net == cap
                   ? "TASKBOX_NET lowers it"
                   : "'net' of the project's " TB_PROJECT_SETTINGS " lowers it";
    if (settings->net != TB_NET_UNSET)
        return "'net' of the settings";
    return agent ? "the default for a prompt" : "the default for a command";
}

static void count_groups(char *const *hosts, GHashTable *groups)
{
    for (; hosts && *hosts; hosts++)
        if (tb_host_group_valid(*hosts))
            g_hash_table_add(groups, *hosts);
}

/* What the groups that somebody names stand for, and what said so. */
static void add_groups(GString *text, const TbSettings *settings, const TbAgent *agent,
                       const TbImage *image)
{
    g_autoptr(GHashTable) groups = g_hash_table_new(g_str_hash, g_str_equal);
    count_groups(settings->allow_hosts, groups);
    count_groups(agent ? agent->hosts : NULL, groups);
    count_groups(settings->project ? settings->project->only_hosts : NULL, groups);
    for (const char *const *group = tb_host_groups; *group; group++) {
        for (guint i = 0; image && g_hash_table_contains(groups, *group) && i < image->hosts->len;
             i++) {
            const TbImageHost *host = image->hosts->pdata[i];
            if (!g_str_equal(host->group, *group))
                continue;
            g_autofree char *line = g_strdup_printf("'%s' means %s (%s of image '%s')", *group,
                                                    host->host, host->from, image->name);
            tb_show_add(text, "", line);
        }
    }
}

static bool add_network(GString *text, const char *label, const TbSettings *settings,
                        const TbAgent *agent, GError **error)
{
    const TbRunOptions none = {0};
    /* Without one only what needs it cannot be said. */
    g_autoptr(TbImage) image = tb_image_open(tb_start_image(&none, settings, agent), NULL);
    g_autoptr(TbNetPolicy) policy = tb_network_policy(settings, &none, agent, image, error);
    if (!policy)
        return false;
    g_autofree char *reach = tb_net_policy_text(policy);
    g_autofree char *hosts = agent && agent->hosts && !policy->open
                                 ? g_strdup_printf("; 'hosts' of agent '%s'", agent->name)
                                 : g_strdup("");
    g_autoptr(GPtrArray) secrets = tb_secrets_choose(settings, &none, agent, NULL);
    g_autofree char *line = g_strdup_printf(
        "%s (%s%s%s%s%s)", reach, net_source(settings, agent), hosts,
        settings->allow_hosts ? "; 'allow_hosts' of the settings" : "",
        secrets && secrets->len && !policy->open ? "; the hosts of the secrets below" : "",
        settings->project && settings->project->only_hosts
            ? "; no more than 'only_hosts' of the project's " TB_PROJECT_SETTINGS
            : "");
    tb_show_add(text, label, line);
    add_groups(text, settings, agent, image);
    return true;
}

static void add_environment(GString *text, const TbAgent *agent)
{
    for (char **variable = agent ? agent->env : NULL; variable && *variable; variable++) {
        g_autofree char *name = g_strndup(*variable, strcspn(*variable, "="));
        g_autofree char *line =
            g_strdup_printf("%s ('env' of agent '%s'; the box can read it)", name, agent->name);
        tb_show_add(text, variable == agent->env ? "variables" : "", line);
    }
}

/* Which credential goes where, never what it is. */
static bool add_secrets(GString *text, const TbSettings *settings, const TbAgent *agent,
                        GError **error)
{
    const TbRunOptions none = {0};
    g_autoptr(GPtrArray) chosen = tb_secrets_choose(settings, &none, agent, error);
    for (guint i = 0; chosen && i < chosen->len; i++) {
        const TbSecretSetting *setting = chosen->pdata[i];
        g_autofree char *hosts = g_strjoinv(", ", setting->hosts);
        g_autofree char *source = tb_secret_setting_source(setting);
        g_autofree char *line = g_strdup_printf(
            "%s for %s alone (from %s; the box has a placeholder%s%s)", setting->name, hosts,
            source, setting->base_env ? ", and the gateway in " : "",
            setting->base_env ? setting->base_env : "");
        tb_show_add(text, i ? "" : "secrets", line);
    }
    return chosen != NULL;
}

/* ---- the project */

static void add_lines(GString *text, const char *label, const GPtrArray *lines)
{
    for (guint i = 0; i < MIN(lines->len, MASKED_SHOWN); i++)
        tb_show_add(text, i ? "" : label, lines->pdata[i]);
    if (lines->len > MASKED_SHOWN) {
        g_autofree char *more = g_strdup_printf("%u more", lines->len - MASKED_SHOWN);
        tb_show_add(text, "", more);
    }
}

static const char *history_of(const TbSettings *settings)
{
    const TbSettings *project = settings->project;
    if (project && project->has_history && !settings->has_history)
        return "at most what the project's " TB_PROJECT_SETTINGS
               " says, none where a masked file is tracked";
    if (!settings->has_history)
        return "full, or none where a masked file is tracked (the default)";
    return settings->history == TB_ALL_COMMITS ? "full ('history' of the settings)"
           : settings->history                 ? "as deep as 'history' of the settings says"
                                               : "none ('history' of the settings)";
}

/* `scratch` is a directory that git may use. */
static bool add_project(GString *text, TbProject *project, const TbSettings *settings,
                        const char *scratch, GError **error)
{
    const TbRunOptions none = {0};
    if (!tb_task_set_masking(project, settings, &none, error))
        return false;
    g_auto(GStrv) alternates = tb_project_alternates(project, error);
    g_autofree char *path = g_build_filename(scratch, "git", NULL);
    g_autoptr(TbGit) git = alternates ? tb_git_create(path, tb_project_sha256(project),
                                                      (const char *const *)alternates, error)
                                      : NULL;
    g_autoptr(TbScan) scan = git ? tb_scan_new(project, error) : NULL;
    if (!scan || !tb_scan_mask(scan, git, error))
        return false;
    g_autofree char *files =
        g_strdup_printf("%" G_GUINT64_FORMAT " files of %s, read-only; only 'taskbox apply' leads "
                        "back from the box",
                        tb_scan_files(scan), tb_project_root(project));
    tb_show_add(text, "sees", files);
    tb_show_add(text, "mount",
                settings->mount ? tb_mount_type_name(settings->mount)
                                : "as the image's 'mountType' says, which is image by default");
    add_lines(text, "masked", tb_scan_masked(scan));
    add_lines(text, "shown", tb_scan_shown(scan));
    add_lines(text, "left out", tb_scan_left_out(scan));
    if (tb_project_is_git(project))
        tb_show_add(text, "history", history_of(settings));
    return true;
}

/* ---- all of it */

static void add_fences(GString *text)
{
    bool emulated = tb_accel_probe(NULL) == TB_ACCEL_TCG;
    tb_show_add(text, "fences",
                emulated
                    ? "the jail around QEMU; the VM is emulated (TCG), which QEMU's developers "
                      "regard as no fence"
                    : "the VM (KVM) and the jail around QEMU");
}

static bool explain(GString *text, TbSettings *settings, const TbAgent *agent, const char *dir,
                    const char *scratch, GError **error)
{
    g_autoptr(TbProject) project = tb_project_open(dir, error);
    if (!project || !tb_settings_add_project(settings, tb_project_root(project), error))
        return false;
    tb_show_add(text, "settings", settings->path ? settings->path : "no file, all defaults");
    if (settings->project)
        tb_show_add(text, "", "the project's own " TB_PROJECT_SETTINGS);
    if (!add_network(text, "a command", settings, NULL, error) ||
        (agent && !add_network(text, "an agent", settings, agent, error)))
        return false;
    add_environment(text, agent);
    if (!add_secrets(text, settings, agent, error) ||
        !add_project(text, project, settings, scratch, error))
        return false;
    add_fences(text);
    return true;
}

bool tb_cli_policy_explain(TbCli *cli, int *status, GError **error)
{
    const char *dir = tb_arguments_value(cli->arguments, "directory");
    const char *name = tb_arguments_value(cli->arguments, "agent");
    g_autoptr(TbSettings) settings = NULL;
    if (!tb_arguments_none(cli->arguments, error) || !(settings = tb_settings_load(error)))
        return false;
    /* Without any agent there is nothing to say of one, unless it was asked for. */
    const TbAgent *agent = name || settings->agents->len
                               ? tb_settings_agent(settings, name, name ? error : NULL)
                               : NULL;
    if (name && !agent)
        return false;
    g_autofree char *scratch = g_dir_make_tmp("taskbox-policy-XXXXXX", error);
    if (!scratch)
        return false;
    g_autoptr(GString) text = g_string_new(NULL);
    bool done = explain(text, settings, agent, dir ? dir : ".", scratch, error);
    (void)tb_remove_tree(AT_FDCWD, scratch, NULL);
    return done && tb_print(text->str, error);
}
