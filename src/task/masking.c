/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the settings and the options of a run together say of masks and history. */
#include "task/masking.h"

#include "util/units.h"

/* The settings' patterns, then those of this run. */
static char **both(char *const *first, const char *const *second)
{
    g_autoptr(GStrvBuilder) all = g_strv_builder_new();
    for (char *const *at = first; at && *at; at++)
        g_strv_builder_add(all, *at);
    for (const char *const *at = second; at && *at; at++)
        g_strv_builder_add(all, *at);
    return g_strv_builder_end(all);
}

bool tb_task_set_masking(TbProject *project, const TbSettings *settings,
                         const TbRunOptions *options, GError **error)
{
    g_auto(GStrv) exclude = both(settings->exclude, options->exclude);
    g_auto(GStrv) include = both(settings->include, options->include);
    TbMasking masking = {.exclude = (const char *const *)exclude,
                         .include = (const char *const *)include};
    unsigned commits = options->has_history ? options->history : settings->history;
    if (options->has_history || settings->has_history)
        masking.history = (TbHistory){.kind = commits == TB_ALL_COMMITS ? TB_HISTORY_FULL
                                              : commits                 ? TB_HISTORY_DEPTH
                                                                        : TB_HISTORY_NONE,
                                      .depth = commits};
    return tb_project_set_masking(project, &masking, error);
}
