/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config/layers.h"

#include <errno.h>
#include <fcntl.h>

#include "config/environment.h"
#include "config/profile.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/hole.h"
#include "util/log.h"
#include "util/units.h"

#define PROJECT_LIMIT ((size_t)64 << 10)

static void replace(char **field, const char *text)
{
    g_free(*field);
    *field = g_strdup(text);
}

/* All that a variable can say, but `net`: tb_settings_net_cap looks at that. */
static void take_environment(TbSettings *settings)
{
    const TbSettings *said = settings->environment;
    if (said->image)
        replace(&settings->image, said->image);
    if (said->agent)
        replace(&settings->agent, said->agent);
    if (said->verify)
        replace(&settings->verify, said->verify);
    settings->cpus = said->cpus ? said->cpus : settings->cpus;
    settings->memory = said->memory ? said->memory : settings->memory;
    settings->disk = said->disk ? said->disk : settings->disk;
    settings->timeout = said->timeout ? said->timeout : settings->timeout;
    if (said->has_keep) {
        settings->has_keep = true;
        settings->keep = said->keep;
    }
    if (said->has_history) {
        settings->has_history = true;
        settings->history = said->history;
    }
}

TbSettings *tb_settings_load(GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(TbSettings) settings = tb_settings_user(error);
    if (!settings)
        return NULL;
    settings->environment = tb_settings_environment(&why);
    if (why) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    if (settings->environment)
        take_environment(settings);
    if (!tb_profiles_add(settings, error))
        return NULL;
    return !settings->agent || tb_settings_agent(settings, NULL, error) ? g_steal_pointer(&settings)
                                                                        : NULL;
}

static void say_no_more(const char *key, const char *asked, const char *held)
{
    tb_info("note: the project's " TB_PROJECT_SETTINGS " asks for '%s: %s' and gets %s; a flag or "
            "your own settings may give it more",
            key, asked, held);
}

uint64_t tb_settings_lower(uint64_t held, uint64_t asked, const char *key,
                           char *(*format)(uint64_t value))
{
    if (!asked || !held || asked <= held)
        return asked ? asked : held;
    g_autofree char *more = format(asked), *less = format(held);
    say_no_more(key, more, less);
    return held;
}

TbNet tb_settings_net_cap(const TbSettings *settings)
{
    TbNet one = settings->environment ? settings->environment->net : TB_NET_UNSET;
    TbNet other = settings->project ? settings->project->net : TB_NET_UNSET;
    return !one ? other : !other ? one : MIN(one, other);
}

static char *seconds_format(uint64_t seconds)
{
    return tb_duration_format(seconds * 1000);
}

static void take_project(TbSettings *settings)
{
    const TbSettings *said = settings->project, *above = settings->environment;
    if (said->image && !(above && above->image))
        replace(&settings->image, said->image);
    if (said->verify && !settings->verify) /* it cannot ask for less */
        settings->verify = g_strdup(said->verify);
    settings->require_kvm |= said->require_kvm;
    if (!(above && above->timeout))
        settings->timeout =
            tb_settings_lower(settings->timeout, said->timeout, "timeout", seconds_format);
    TbNet net = settings->net ? settings->net : TB_NET_AGENT; /* at most, when nobody says */
    if (said->net > net)
        say_no_more("net", tb_net_name(said->net), tb_net_name(net));
}

bool tb_settings_add_project(TbSettings *settings, const char *root, GError **error)
{
    tb_autofd dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return tb_error_set_errno(error, errno, "cannot open '%s'", root);
    g_autoptr(GError) why = NULL;
    g_autoptr(GBytes) text = tb_read_file_at(dir, TB_PROJECT_SETTINGS, PROJECT_LIMIT, &why);
    if (!text && tb_error_code(why) == TB_ERROR_NOT_FOUND)
        return true;
    if (!text)
        return tb_error_set(error, TB_ERROR_CONFIG, "cannot use the project's settings: %s",
                            why->message);
    gsize size = 0;
    const void *data = g_bytes_get_data(text, &size);
    settings->project = tb_settings_parse_project(TB_PROJECT_SETTINGS, data, size, error);
    if (settings->project && tb_hole("project-settings"))
        settings->net = settings->project->net;
    if (settings->project)
        take_project(settings);
    return settings->project != NULL;
}
