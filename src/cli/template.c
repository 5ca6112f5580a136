/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox template build|ls|show|rm */
#include <stdio.h>

#include "cli/command.h"
#include "cli/output.h"
#include "config/layers.h"
#include "image/template.h"
#include "run/run.h"
#include "util/log.h"
#include "util/table.h"
#include "util/units.h"

#define KEY_SHOWN 12

bool tb_cli_template_build(TbCli *cli, int *status, GError **error)
{
    TbRunOptions options = {0};
    g_autoptr(TbSettings) settings = tb_settings_load(error);
    if (!settings || !tb_arguments_none(cli->arguments, error) ||
        !tb_cli_read_shape(cli->arguments, &options, error))
        return false;
    bool made = false;
    g_autoptr(TbTemplate) template = tb_task_template(settings, &options, &made, error);
    if (!template)
        return false;
    g_autofree char *size = tb_size_format(template->bytes);
    tb_info("template of image '%s' %s: %s", template->image_name,
            made ? "is made" : "is there already", size);
    return tb_print_format(error, "%s\n", template->key);
}

bool tb_cli_template_ls(TbCli *cli, int *status, GError **error)
{
    g_autoptr(GPtrArray) list =
        tb_arguments_none(cli->arguments, error) ? tb_template_list(error) : NULL;
    if (!list)
        return false;
    if (list->len == 0) {
        tb_info("no templates (the first task of a shape makes one, or 'taskbox template build')");
        return true;
    }
    g_autoptr(TbTable) table = tb_table_new("KEY", "IMAGE", "CPUS", "MEMORY", "DISK", "MOUNT",
                                            "ACCEL", "AGE", "USED", "SIZE", NULL);
    for (guint i = 0; i < list->len; i++) {
        const TbTemplate *t = list->pdata[i];
        g_autofree char *key = g_strndup(t->key, KEY_SHOWN);
        g_autofree char *cpus = g_strdup_printf("%u", t->cpus);
        g_autofree char *memory = tb_size_format(t->memory);
        g_autofree char *disk = tb_size_format(t->disk);
        g_autofree char *age = tb_age_format(t->created * 1000);
        g_autofree char *used = tb_age_format(t->used * 1000);
        g_autofree char *size = tb_size_format(t->bytes);
        const char *cells[] = {key,      t->image_name, cpus, memory, disk,
                               t->mount, t->accel,      age,  used,   size};
        tb_table_add_row(table, cells);
    }
    tb_table_print(table, stdout);
    return true;
}

bool tb_cli_template_show(TbCli *cli, int *status, GError **error)
{
    const char *name = tb_arguments_sole(cli->arguments, "a template", error);
    g_autoptr(TbTemplate) template = name ? tb_template_open(name, error) : NULL;
    g_autofree char *manifest = template ? tb_template_manifest(template, error) : NULL;
    return manifest && tb_print_format(error, "%s", manifest);
}

bool tb_cli_template_rm(TbCli *cli, int *status, GError **error)
{
    const char *name = tb_arguments_sole(cli->arguments, "a template", error);
    g_autoptr(TbTemplate) template = name ? tb_template_open(name, error) : NULL;
    return template && tb_template_remove(template->key, error) &&
           tb_print_format(error, "removed %.12s\n", template->key);
}
