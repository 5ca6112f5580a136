/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From argv to exit status: global options, the subcommand, its options; one place where an error
 * is printed and becomes a status. Options may stand before the subcommand, too.
 */
#include <stdio.h>
#include <string.h>

#include "builder/build.h"
#include "cli/command.h"
#include "cli/exit.h"
#include "cli/output.h"
#include "cli/pager.h"
#include "image/store.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/interrupt.h"
#include "util/log.h"

const TbOption tb_global_options[] = {
    {'v', "verbose", NULL, "say more; -vv: every program that is started"},
    {'q', "quiet", NULL, "say nothing but errors"},
    {'h', "help", NULL, "print this"},
    {'\0', NULL, NULL, NULL},
};

static void print_error(const GError *error)
{
    g_autofree char *text = tb_escape_terminal(error->message, strlen(error->message), true);
    tb_status_done();
    fprintf(stderr, "taskbox: %s\n", text);
}

static bool is_given(const char *const *argv, const char *argument)
{
    for (; *argv && strcmp(*argv, "--") != 0; argv++)
        if (strcmp(*argv, argument) == 0)
            return true;
    return false;
}

/* taskbox fails by itself although the statuses are the command's? */
static bool passes_through(const TbSubcommand *command, const char *const *argv)
{
    return command &&
           (command->passes_status || (command->takes_command && g_strv_contains(argv, "--")));
}

static int fail(TbCli *cli, const char *const *argv, const GError *error)
{
    print_error(error);
    if (is_given(argv, "--json") && !cli->printed) {
        g_autofree char *json = tb_error_json(error);
        tb_print_format(NULL, "%s\n", json);
    }
    return tb_exit_status(error, passes_through(cli->command, argv));
}

/* A wrong command line gets a hint where the right one is written. */
static void add_hint(const TbSubcommand *command, GError **error)
{
    if (tb_error_code(*error) != TB_ERROR_USAGE || g_str_has_suffix((*error)->message, ")"))
        return;
    g_autofree char *text =
        g_strdup_printf("%s (see 'taskbox %s --help')", (*error)->message, command->name);
    g_free((*error)->message);
    (*error)->message = g_steal_pointer(&text);
}

static void set_level(const TbArguments *arguments)
{
    unsigned verbose = tb_arguments_count(arguments, "verbose");
    if (tb_arguments_flag(arguments, "quiet"))
        tb_log_set_level(TB_LOG_QUIET);
    else if (verbose)
        tb_log_set_level(verbose > 1 ? TB_LOG_DEBUG : TB_LOG_VERBOSE);
}

static bool open_store(TbCli *cli, GError **error)
{
    if (cli->command->no_store)
        return true;
    tb_image_clean();
    tb_builder_clean(true, NULL);
    cli->store = tb_store_open(error);
    return cli->store && tb_store_reconcile(cli->store, error);
}

static bool run_subcommand(TbCli *cli, const char *const *argv, int *status, GError **error)
{
    cli->arguments = tb_arguments_parse(argv, cli->command->options, tb_global_options,
                                        cli->command->takes_command, error);
    if (!cli->arguments)
        return false;
    set_level(cli->arguments);
    if (tb_arguments_flag(cli->arguments, "help")) {
        g_autofree char *text = tb_help_subcommand(cli->command);
        return tb_print(text, error);
    }
    return open_store(cli, error) && cli->command->run(cli, status, error);
}

/* The arguments without the subcommand's words; those before it come along. NULL with *status set
 * when there is nothing more to do. */
static char **split(TbCli *cli, char **argv, int *status, GError **error)
{
    char **word = argv;
    while (*word && **word == '-' && strcmp(*word, "--") != 0)
        word++;
    const char *const *all = (const char *const *)argv;
    if (!*word || strcmp(*word, "--") == 0) {
        bool wanted = is_given(all, "--help") || is_given(all, "-h");
        g_autofree char *text = tb_help_overview();
        if (is_given(all, "--version")) {
            tb_print("taskbox " TB_VERSION "\n", error);
        } else if (wanted) {
            tb_print(text, error);
        } else if (word == argv && !*word) {
            fputs(text, stderr);
            *status = 2;
        } else {
            tb_error_set(error, TB_ERROR_USAGE, "a command is missing (see 'taskbox help')");
        }
        return NULL;
    }
    int words = 0;
    cli->command = tb_subcommand_find((const char *const *)word, &words, error);
    if (!cli->command)
        return NULL;
    g_autoptr(GPtrArray) rest = g_ptr_array_new();
    for (char **before = argv; before < word; before++)
        g_ptr_array_add(rest, g_strdup(*before));
    for (char **after = word + words; *after; after++)
        g_ptr_array_add(rest, g_strdup(*after));
    g_ptr_array_add(rest, NULL);
    return (char **)g_ptr_array_steal(rest, NULL);
}

int tb_cli_main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    TbCli cli = {0};
    int status = 0;
    g_auto(GStrv) rest = split(&cli, argv + MIN(argc, 1), &status, &error);
    const char *const *all = (const char *const *)argv + MIN(argc, 1);
    if (rest && !run_subcommand(&cli, (const char *const *)rest, &status, &error))
        add_hint(cli.command, &error);
    if (error)
        status = fail(&cli, all, error);
    tb_status_done();
    tb_pager_end();
    g_clear_pointer(&cli.arguments, tb_arguments_free);
    g_clear_pointer(&cli.store, tb_store_free);
    return status;
}
