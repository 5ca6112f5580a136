/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * taskbox completion. What a shell asks is answered here, from the table of subcommands and what
 * there is (tasks, images, templates, agents); the scripts for the shells only pass words on.
 *
 * `taskbox completion words -- WORD...` prints what the last word can become, a line each with what
 * it means behind a tab; ":files" or ":directories" as a line says that the shell knows those.
 */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/output.h"
#include "config/layers.h"
#include "image/store.h"
#include "image/template.h"
#include "review/rules.h"
#include "util/error.h"
#include "util/escape.h"

static const char bash_script[] =
    "# taskbox completion bash > ~/.local/share/bash-completion/completions/taskbox\n"
    "_taskbox() {\n"
    "    local line\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r line; do\n"
    "        case $line in\n"
    "        :files) compopt -o default ;;\n"
    "        :directories) compopt -o dirnames ;;\n"
    "        *) COMPREPLY+=(\"${line%%$'\\t'*}\") ;;\n"
    "        esac\n"
    "    done < <(\"${COMP_WORDS[0]}\" completion words -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" "
    "2>/dev/null)\n"
    "}\n"
    "complete -F _taskbox taskbox\n";

static const char zsh_script[] =
    "#compdef taskbox\n"
    "# taskbox completion zsh > a directory of $fpath/_taskbox\n"
    "_taskbox() {\n"
    "    local line\n"
    "    local -a found\n"
    "    for line in \"${(@f)$(\"${words[1]}\" completion words -- \"${(@)words[2,CURRENT]}\" "
    "2>/dev/null)}\"; do\n"
    "        case $line in\n"
    "        :files) _files ;;\n"
    "        :directories) _files -/ ;;\n"
    "        ?*) found+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\") ;;\n"
    "        esac\n"
    "    done\n"
    "    (( ${#found} )) && _describe taskbox found\n"
    "}\n"
    "if [ \"$funcstack[1]\" = _taskbox ]; then _taskbox \"$@\"; else compdef _taskbox taskbox; "
    "fi\n";

static const char fish_script[] =
    "# taskbox completion fish > ~/.config/fish/completions/taskbox.fish\n"
    "function __taskbox_complete\n"
    "    set -l words (commandline -opc) (commandline -ct)\n"
    "    for line in ($words[1] completion words -- $words[2..-1] 2>/dev/null)\n"
    "        switch $line\n"
    "            case :files\n"
    "                __fish_complete_path (commandline -ct)\n"
    "            case :directories\n"
    "                __fish_complete_directories (commandline -ct)\n"
    "            case '*'\n"
    "                echo $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c taskbox -f -a '(__taskbox_complete)'\n";

static const struct {
    const char *name, *script;
} shells[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};

/* ---- candidates */

typedef struct {
    GString *out;
    const char *start; /* what is there of the word */
} Answer;

/* Names of tasks, images and agents are our user's; still no line of ours is broken by one. */
static void offer(Answer *answer, const char *word, const char *meaning)
{
    if (!word || !g_str_has_prefix(word, answer->start) || word[strcspn(word, "\t\n\r")])
        return;
    g_autofree char *shown = tb_escape_terminal(meaning, strlen(meaning), true);
    g_strdelimit(shown, "\t\n", ' ');
    g_string_append_printf(answer->out, "%s\t%s\n", word, shown);
}

static void offer_tasks(Answer *answer)
{
    g_autoptr(TbStore) store = tb_store_open(NULL);
    g_autoptr(GPtrArray) tasks = store ? tb_task_list(store, NULL) : NULL;
    offer(answer, "@last", "the newest task");
    for (guint i = 0; tasks && i < tasks->len; i++) {
        const TbTask *task = tasks->pdata[i];
        g_autofree char *meaning =
            g_strdup_printf("%s, %s", tb_task_state_name(task->state),
                            task->project_name ? task->project_name : "no project");
        offer(answer, task->id, meaning);
    }
}

static void offer_images(Answer *answer)
{
    g_autoptr(GPtrArray) images = tb_image_list(NULL);
    for (guint i = 0; images && i < images->len; i++)
        offer(answer, ((const TbImage *)images->pdata[i])->name, "golden image");
}

static void offer_templates(Answer *answer)
{
    g_autoptr(GPtrArray) templates = tb_template_list(NULL);
    for (guint i = 0; templates && i < templates->len; i++) {
        const TbTemplate *template = templates->pdata[i];
        g_autofree char *key = g_strndup(template->key, 12);
        offer(answer, key, template->image_name);
    }
}

static void offer_agents(Answer *answer)
{
    g_autoptr(TbSettings) settings = tb_settings_load(NULL);
    for (guint i = 0; settings && i < settings->agents->len; i++)
        offer(answer, ((const TbAgent *)settings->agents->pdata[i])->name, "agent");
}

static void offer_rules(Answer *answer)
{
    offer(answer, "all", "every finding of severity high");
    for (size_t i = 0; i < tb_rule_count; i++)
        if (tb_rules[i].severity == TB_SEVERITY_HIGH)
            offer(answer, tb_rules[i].name, tb_rules[i].why);
}

static void offer_shells(Answer *answer)
{
    for (size_t i = 0; i < G_N_ELEMENTS(shells); i++)
        offer(answer, shells[i].name, "the script for this shell");
}

/* The first words; with `group` the second words of its commands. */
static void offer_commands(Answer *answer, const char *group)
{
    for (const TbSubcommand *command = tb_subcommands; command->name; command++) {
        const char *space = strchr(command->name, ' ');
        if (group) {
            size_t length = strlen(group);
            if (space && (size_t)(space - command->name) == length &&
                strncmp(command->name, group, length) == 0)
                offer(answer, space + 1, command->summary);
            continue;
        }
        g_autofree char *first = space ? g_strndup(command->name, (gsize)(space - command->name))
                                       : g_strdup(command->name);
        g_autofree char *line = g_strconcat("\n", first, "\t", NULL);
        if (!strstr(answer->out->str, line))
            offer(answer, first, space ? "commands of this group" : command->summary);
    }
}

/* ---- what a word of the usage stands for */

static const struct {
    const char *name;
    void (*offer)(Answer *answer);
    const char *directive;
} kinds[] = {
    {"TASK", offer_tasks, NULL},         {"ID", offer_tasks, NULL},   {"IMAGE", offer_images, NULL},
    {"TEMPLATE", offer_templates, NULL}, {"RULE", offer_rules, NULL}, {"SHELL", offer_shells, NULL},
    {"DIR", NULL, ":directories\n"},     {"FILE", NULL, ":files\n"},  {"PATH", NULL, ":files\n"},
    {"RECIPE", NULL, ":files\n"},        {"DEST", NULL, ":files\n"},
};

static void offer_kind(Answer *answer, const char *kind)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (strcmp(kinds[i].name, kind) != 0)
            continue;
        if (kinds[i].offer)
            kinds[i].offer(answer);
        else
            g_string_append(answer->out, kinds[i].directive);
        return;
    }
}

static void offer_values(Answer *answer, const TbOption *option)
{
    if (strcmp(option->name, "image") == 0) {
        offer_images(answer);
    } else if (strcmp(option->name, "agent") == 0) {
        offer_agents(answer);
    } else if (strchr(option->value, '|')) {
        g_auto(GStrv) words = g_strsplit(option->value, "|", -1);
        for (char **word = words; *word; word++)
            offer(answer, *word, option->help);
    } else {
        offer_kind(answer, option->value);
    }
}

/* Every word of capital letters in the usage that is no option's. */
static void offer_positional(Answer *answer, const TbSubcommand *command)
{
    for (const char *const *form = command->usage; *form; form++) {
        g_auto(GStrv) words = g_strsplit_set(*form, " []|.", -1);
        for (char **word = words; *word; word++) {
            bool of_option = word > words && **(word - 1) == '-';
            bool seen = form > command->usage && strstr(command->usage[0], *word);
            if (**word && !of_option && !seen)
                offer_kind(answer, *word);
        }
    }
    if (strcmp(command->name, "help") == 0)
        offer_commands(answer, NULL);
}

static void offer_options(Answer *answer, const TbOption *options)
{
    for (const TbOption *option = options; option && option->name; option++) {
        g_autofree char *name = g_strconcat("--", option->name, NULL);
        offer(answer, name, option->help);
    }
}

static const TbOption *find_option(const TbOption *options, const char *word)
{
    for (; options && options->name; options++)
        if ((word[1] == '-' && strcmp(word + 2, options->name) == 0) ||
            (options->letter && word[1] == options->letter && !word[2]))
            return options;
    return NULL;
}

/* The option whose value comes next, after `word`. */
static const TbOption *open_option(const TbSubcommand *command, const char *word)
{
    const TbOption *option = *word == '-' && word[1] ? find_option(command->options, word) : NULL;
    return option && option->value ? option : NULL;
}

static void complete(Answer *answer, const char *const *words, size_t count)
{
    int taken = 0;
    const TbSubcommand *command =
        count > 0 && *words[0] ? tb_subcommand_find(words, &taken, NULL) : NULL;
    if (!command) {
        offer_commands(answer, count == 0 ? NULL : words[0]);
        return;
    }
    for (size_t i = (size_t)taken; i < count; i++)
        if (strcmp(words[i], "--") == 0) {
            g_string_append(answer->out, ":files\n");
            return;
        }
    const TbOption *option = count ? open_option(command, words[count - 1]) : NULL;
    if (option) {
        offer_values(answer, option);
    } else if (*answer->start != '-') {
        offer_positional(answer, command);
    } else {
        offer_options(answer, command->options);
        offer_options(answer, tb_global_options);
    }
    if (count == 1)
        offer_commands(answer, words[0]); /* 'patch' is one, 'patch verify' another */
}

/* bash makes three words of "--net=open". */
static bool print_words(const char *const *words, GError **error)
{
    g_autoptr(GPtrArray) before = g_ptr_array_new();
    for (; words && *words; words++)
        if (strcmp(*words, "=") != 0 || !words[1])
            g_ptr_array_add(before, (char *)*words);
    g_autoptr(GString) out = g_string_new("\n");
    const char *last = before->len ? before->pdata[before->len - 1] : "";
    Answer answer = {.out = out, .start = strcmp(last, "=") == 0 ? "" : last};
    if (before->len)
        g_ptr_array_remove_index(before, before->len - 1);
    size_t count = before->len;
    g_ptr_array_add(before, NULL);
    complete(&answer, (const char *const *)before->pdata, count);
    return tb_print(out->str + 1, error);
}

bool tb_cli_completion(TbCli *cli, int *status, GError **error)
{
    const char *what = tb_arguments_sole(cli->arguments, "bash, zsh or fish", error);
    if (!what)
        return false;
    if (strcmp(what, "words") == 0)
        return print_words(tb_arguments_rest(cli->arguments), error);
    for (size_t i = 0; i < G_N_ELEMENTS(shells); i++)
        if (strcmp(what, shells[i].name) == 0)
            return tb_print(shells[i].script, error);
    return tb_error_set(error, TB_ERROR_USAGE, "there is no completion for '%s' (bash, zsh, fish)",
                        what);
}
