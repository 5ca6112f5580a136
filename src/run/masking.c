/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the settings and the options of a run together say of masks and history. */
#include "run/masking.h"

#include "util/units.h"

/* The settings' patterns, then the project's, then those of this run. */
static char **all_of(char *const *first, char *const *project, const char *const *second)
{
    g_autoptr(GStrvBuilder) all = g_strv_builder_new();
    for (char *const *at = first; at && *at; at++)
        g_strv_builder_add(all, *at);
    for (char *const *at = project; at && *at; at++)
        g_strv_builder_add(all, *at);
    for (const char *const *at = second; at && *at; at++)
        g_strv_builder_add(all, *at);
    return g_strv_builder_end(all);
}

static TbHistory history_from(unsigned commits)
{
    if (commits == TB_ALL_COMMITS)
        return (TbHistory){.kind = TB_HISTORY_FULL};
    return (TbHistory){.kind = commits ? TB_HISTORY_DEPTH : TB_HISTORY_NONE, .depth = commits};
}

/* A flag, then a variable; then the project may lower what the user has set, or the default. */
static TbHistory history_of(const TbSettings *settings, const TbRunOptions *options)
{
    const TbSettings *project = settings->project, *above = settings->environment;
    if (options->has_history)
        return history_from(options->history);
    bool lower = project && project->has_history && !(above && above->has_history);
    if (settings->has_history)
        return history_from(lower ? MIN(settings->history, project->history) : settings->history);
    if (!lower || project->history == TB_ALL_COMMITS)
        return (TbHistory){.kind = TB_HISTORY_AUTO};
    return (TbHistory){.kind = project->history ? TB_HISTORY_AUTO : TB_HISTORY_NONE,
                       .depth = project->history};
}

bool tb_task_set_masking(TbProject *project, const TbSettings *settings,
                         const TbRunOptions *options, GError **error)
{
    g_auto(GStrv) exclude = all_of(
        settings->exclude, settings->project ? settings->project->exclude : NULL, options->exclude);
    g_auto(GStrv) include = all_of(settings->include, NULL, options->include);
    TbMasking masking = {.exclude = (const char *const *)exclude,
                         .include = (const char *const *)include};
    masking.history = history_of(settings, options);
    return tb_project_set_masking(project, &masking, error);
}
