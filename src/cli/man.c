/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Manual pages, from the table that --help is made of: man(7). */
#include "cli/man.h"

#include <string.h>

/* No line begins a request, no dash becomes a hyphen. */
static void put(GString *out, const char *text)
{
    for (const char *at = text; *at; at++) {
        bool begins = out->len == 0 || out->str[out->len - 1] == '\n';
        if (begins && (*at == '.' || *at == '\''))
            g_string_append(out, "\\&");
        if (*at == '\\')
            g_string_append(out, "\\e");
        else if (*at == '-')
            g_string_append(out, "\\-");
        else
            g_string_append_c(out, *at);
    }
}

static void put_heading(GString *out, const char *page, const char *summary)
{
    g_autofree char *upper = g_ascii_strup(page, -1);
    g_string_append_printf(out, ".TH %s 1 \"\" \"taskbox " TB_VERSION "\" \"taskbox\"\n.SH NAME\n",
                           upper);
    put(out, page);
    g_string_append(out, " \\- ");
    put(out, summary);
    g_string_append(out, "\n.SH SYNOPSIS\n.nf\n");
}

static void put_options(GString *out, const TbOption *options)
{
    for (const TbOption *option = options; option && option->name; option++) {
        g_string_append(out, ".TP\n");
        if (option->letter)
            g_string_append_printf(out, "\\fB\\-%c\\fR, ", option->letter);
        g_string_append(out, "\\fB\\-\\-");
        put(out, option->name);
        g_string_append(out, "\\fR");
        if (option->value) {
            g_string_append(out, " \\fI");
            put(out, option->value);
            g_string_append(out, "\\fR");
        }
        g_string_append_c(out, '\n');
        put(out, option->help);
        g_string_append_c(out, '\n');
    }
}

static char *page_of(const TbSubcommand *command)
{
    char *name = g_strconcat("taskbox-", command->name, NULL);
    return g_strdelimit(name, " ", '-');
}

char *tb_man_subcommand(const TbSubcommand *command)
{
    GString *out = g_string_new(NULL);
    g_autofree char *page = page_of(command);
    put_heading(out, page, command->summary);
    for (const char *const *form = command->usage; *form; form++) {
        g_string_append(out, "\\fBtaskbox ");
        put(out, command->name);
        g_string_append(out, "\\fR ");
        put(out, *form);
        g_string_append_c(out, '\n');
    }
    g_string_append(out, ".fi\n.SH DESCRIPTION\n");
    put(out, command->summary);
    g_string_append(out, ".\n");
    if (command->details) {
        g_string_append(out, ".PP\n");
        put(out, command->details);
        g_string_append_c(out, '\n');
    }
    g_string_append(out, ".SH OPTIONS\n");
    put_options(out, command->options);
    put_options(out, tb_global_options);
    g_string_append(out, ".SH SEE ALSO\n.BR taskbox (1)\n");
    return g_string_free(out, FALSE);
}

char *tb_man_overview(void)
{
    GString *out = g_string_new(NULL);
    const char *group = "";
    put_heading(out, "taskbox", "one task, one throwaway VM, one patch to review");
    g_string_append(out,
                    "\\fBtaskbox\\fR COMMAND [OPTION...] [ARGUMENT...]\n.fi\n.SH DESCRIPTION\n");
    put(out,
        "Gives one task, an AI agent's or any command, a throwaway virtual machine with a copy of "
        "the\n"
        "project directory. What is left of it is a git patch for a human to review. The project\n"
        "stays as it is until 'taskbox apply'.\n");
    g_string_append(out, ".SH COMMANDS\n");
    for (const TbSubcommand *command = tb_subcommands; command->name; command++) {
        if (strcmp(group, command->group) != 0)
            g_string_append_printf(out, ".SS %s\n", command->group);
        group = command->group;
        g_autofree char *page = page_of(command);
        g_string_append(out, ".TP\n\\fB");
        put(out, page);
        g_string_append(out, "\\fR(1)\n");
        put(out, command->summary);
        g_string_append_c(out, '\n');
    }
    g_string_append(out, ".SH OPTIONS\n");
    put_options(out, tb_global_options);
    g_string_append(out, ".SH FILES\n.TP\n");
    put(out, "~/.config/taskbox/config.yaml\nsettings of the user's; 'taskbox config show' lists "
             "what holds\n");
    g_string_append(out, ".TP\n");
    put(out, ".taskbox.yaml, .taskboxignore\nat a project's root: what its boxes are held to, and "
             "do not see\n");
    return g_string_free(out, FALSE);
}
