/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A variable can come from a project's .envrc as well as from the user: what widens what a box may
 * reach or see has none (hosts, secrets, masks), and TASKBOX_NET can only lower. */
#include "config/environment.h"

#include <stddef.h>
#include <string.h>

#include "util/error.h"
#include "util/units.h"

static bool set_text(const char *text, void *field, GError **error)
{
    *(char **)field = g_strdup(text);
    return true;
}

static bool set_count(const char *text, void *field, GError **error)
{
    uint64_t number = 0;
    if (!tb_number_parse(text, "number", 1, 100000, &number, error))
        return false;
    *(unsigned *)field = (unsigned)number;
    return true;
}

static bool set_size(const char *text, void *field, GError **error)
{
    return tb_size_parse(text, field, error);
}

static bool set_duration(const char *text, void *field, GError **error)
{
    return tb_duration_parse(text, field, error);
}

static bool set_keep(const char *text, void *settings, GError **error)
{
    TbSettings *all = settings;
    all->has_keep = true;
    return tb_keep_parse(text, &all->keep, error);
}

static bool set_history(const char *text, void *settings, GError **error)
{
    TbSettings *all = settings;
    all->has_history = true;
    return tb_history_parse(text, &all->history, error);
}

static bool set_net(const char *text, void *field, GError **error)
{
    return tb_net_parse(text, field, error);
}

static const struct {
    const char *name;
    bool (*set)(const char *text, void *field, GError **error);
    size_t offset;
} variables[] = {
    {"TASKBOX_IMAGE", set_text, offsetof(TbSettings, image)},
    {"TASKBOX_CPUS", set_count, offsetof(TbSettings, cpus)},
    {"TASKBOX_MEMORY", set_size, offsetof(TbSettings, memory)},
    {"TASKBOX_DISK", set_size, offsetof(TbSettings, disk)},
    {"TASKBOX_TIMEOUT", set_duration, offsetof(TbSettings, timeout)},
    {"TASKBOX_KEEP", set_keep, 0},
    {"TASKBOX_AGENT", set_text, offsetof(TbSettings, agent)},
    {"TASKBOX_VERIFY", set_text, offsetof(TbSettings, verify)},
    {"TASKBOX_HISTORY", set_history, 0},
    {"TASKBOX_NET", set_net, offsetof(TbSettings, net)},
};

TbSettings *tb_settings_environment(GError **error)
{
    g_autoptr(TbSettings) settings = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(variables); i++) {
        const char *text = g_getenv(variables[i].name);
        g_autoptr(GError) why = NULL;
        if (!text || !*text)
            continue;
        if (!settings)
            settings = tb_settings_new();
        if (!variables[i].set(text, (char *)settings + variables[i].offset, &why)) {
            tb_error_set(error, TB_ERROR_CONFIG, "%s: %s", variables[i].name, why->message);
            return NULL;
        }
    }
    return g_steal_pointer(&settings);
}
