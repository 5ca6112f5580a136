/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All help comes from the table of subcommands. */
#include <string.h>

#include "cli/command.h"
#include "cli/man.h"
#include "cli/output.h"
#include "util/error.h"
#include "util/units.h"

static const char *const intro = "taskbox: one task, one throwaway VM, one patch to review\n"
                                 "\n"
                                 "usage: taskbox COMMAND [OPTION...] [ARGUMENT...]\n";

char *tb_help_overview(void)
{
    GString *text = g_string_new(intro);
    const char *group = "";
    for (const TbSubcommand *command = tb_subcommands; command->name; command++) {
        if (strcmp(group, command->group) != 0)
            g_string_append_printf(text, "\n%s\n", command->group);
        group = command->group;
        g_string_append_printf(text, "  %-14s %s\n", command->name, command->summary);
    }
    g_string_append(text, "\n'taskbox COMMAND --help' says more of each. Exit codes: "
                          "docs/exit-codes.md\n");
    return g_string_free(text, FALSE);
}

static void append_options(GString *text, const TbOption *options)
{
    for (const TbOption *option = options; option && option->name; option++) {
        g_autofree char *left = g_strdup_printf(
            "%c%c%s--%s%s%s", option->letter ? '-' : ' ', option->letter ? option->letter : ' ',
            option->letter ? ", " : "  ", option->name, option->value ? " " : "",
            option->value ? option->value : "");
        g_string_append_printf(text, "  %-26s %s\n", left, option->help);
    }
}

char *tb_help_subcommand(const TbSubcommand *command)
{
    GString *text = g_string_new(NULL);
    for (const char *const *form = command->usage; *form; form++)
        g_string_append_printf(text, "%s taskbox %s%s%s\n",
                               form == command->usage ? "usage:" : "      ", command->name,
                               **form ? " " : "", *form);
    g_string_append_printf(text, "\n%s.\n", command->summary);
    if (command->details)
        g_string_append_printf(text, "\n%s\n", command->details);
    g_string_append(text, "\noptions\n");
    append_options(text, command->options);
    append_options(text, tb_global_options);
    return g_string_free(text, FALSE);
}

/* "taskbox image" alone. */
static bool set_incomplete(const char *group, GError **error)
{
    g_autofree char *start = g_strconcat(group, " ", NULL);
    g_autoptr(GString) list = g_string_new(NULL);
    for (const TbSubcommand *command = tb_subcommands; command->name; command++)
        if (g_str_has_prefix(command->name, start))
            g_string_append_printf(list, "%s%s", list->len ? ", " : "",
                                   command->name + strlen(start));
    return tb_error_set(error, TB_ERROR_USAGE, "'%s' needs one word more: %s", group, list->str);
}

const TbSubcommand *tb_subcommand_find(const char *const *argv, int *words, GError **error)
{
    const TbSubcommand *found = NULL;
    bool is_group = false;
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const TbSubcommand *command = tb_subcommands; command->name; command++) {
        g_auto(GStrv) parts = g_strsplit(command->name, " ", 2);
        g_ptr_array_add(names, (char *)command->name);
        bool first = strcmp(parts[0], argv[0]) == 0;
        if (first && !parts[1]) {
            found = command;
            *words = 1;
        } else if (first && argv[1] && strcmp(parts[1], argv[1]) == 0) {
            found = command;
            *words = 2;
        }
        is_group |= first && parts[1];
    }
    if (found)
        return found;
    if (is_group && !argv[1]) {
        set_incomplete(argv[0], error);
        return NULL;
    }
    g_ptr_array_add(names, NULL);
    g_autofree char *asked = is_group ? g_strjoin(" ", argv[0], argv[1], NULL) : g_strdup(argv[0]);
    const char *nearest = tb_nearest_word(asked, (const char *const *)names->pdata);
    tb_error_set(error, TB_ERROR_USAGE, "'%s' is no command (%s%s%s)", asked,
                 nearest ? "did you mean '" : "see 'taskbox help'", nearest ? nearest : "",
                 nearest ? "'?" : "");
    return NULL;
}

bool tb_cli_help(TbCli *cli, int *status, GError **error)
{
    const char *const *words = tb_arguments_words(cli->arguments);
    bool man = tb_arguments_flag(cli->arguments, "man");
    g_autofree char *text = NULL;
    if (!words[0]) {
        text = man ? tb_man_overview() : tb_help_overview();
    } else {
        int taken = 0;
        const TbSubcommand *command = tb_subcommand_find(words, &taken, error);
        if (!command)
            return false;
        text = man ? tb_man_subcommand(command) : tb_help_subcommand(command);
    }
    return tb_print(text, error);
}

bool tb_cli_version(TbCli *cli, int *status, GError **error)
{
    return tb_arguments_none(cli->arguments, error) && tb_print("taskbox " TB_VERSION "\n", error);
}
