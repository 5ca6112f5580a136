/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox ls */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/output.h"
#include "util/error.h"
#include "util/log.h"
#include "util/table.h"

#define SHOWN_CHARACTERS 60

/* The prompt or the command, shortened. */
static char *work_of(const TbTask *task)
{
    g_autofree char *command = task->command ? g_strjoinv(" ", task->command) : NULL;
    g_autofree char *text = g_utf8_make_valid(task->prompt ? task->prompt
                                              : command    ? command
                                                           : "",
                                              -1);
    g_strdelimit(text, "\r\n\t", ' ');
    if (g_utf8_strlen(text, -1) <= SHOWN_CHARACTERS)
        return g_steal_pointer(&text);
    g_autofree char *start = g_utf8_substring(text, 0, SHOWN_CHARACTERS - 3);
    return g_strconcat(start, "...", NULL);
}

static bool print_json(const GPtrArray *tasks, GError **error)
{
    g_autoptr(GString) text = g_string_new("[");
    for (guint i = 0; i < tasks->len; i++) {
        g_autofree char *record = tb_task_record_json(tasks->pdata[i]);
        g_string_append_printf(text, "%s%s", i ? ",\n" : "", record);
    }
    g_string_append(text, "]\n");
    return tb_print(text->str, error);
}

static void add_row(TbTable *table, const TbTask *task)
{
    g_autofree char *age = tb_age_format(task->created);
    g_autofree char *stat = task->has_patch ? tb_stat_format(&task->stat) : NULL;
    g_autofree char *work = work_of(task);
    const char *cells[] = {task->id, tb_task_state_name(task->state), age, task->project_name, stat,
                           work};
    tb_table_add_row(table, cells);
}

bool tb_cli_ls(TbCli *cli, int *status, GError **error)
{
    if (!tb_arguments_none(cli->arguments, error))
        return false;
    g_autoptr(GPtrArray) tasks = tb_task_list(cli->store, error);
    if (!tasks)
        return false;
    if (tb_arguments_flag(cli->arguments, "json"))
        return print_json(tasks, error);
    if (tasks->len == 0) {
        tb_info("no tasks yet (start one with 'taskbox run')");
        return true;
    }
    g_autoptr(TbTable) table =
        tb_table_new("ID", "STATE", "AGE", "PROJECT", "CHANGES", "COMMAND", NULL);
    for (guint i = 0; i < tasks->len; i++)
        add_row(table, tasks->pdata[i]);
    tb_table_print(table, stdout);
    return true;
}
