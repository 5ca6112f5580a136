/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table is the one source: help prints all of it, docs/cli.md says the same. */
#include "fixture.h"

#include <string.h>

#include "cli/command.h"
#include "util/error.h"

START_TEST(test_overview_lists_all)
{
    g_autofree char *text = tb_help_overview();
    for (const TbSubcommand *command = tb_subcommands; command->name; command++) {
        g_autofree char *line = g_strdup_printf("\n  %-14s %s\n", command->name, command->summary);
        ck_assert_msg(strstr(text, line) != NULL, "help lacks '%s'", command->name);
    }
}
END_TEST

START_TEST(test_help_of_each)
{
    for (const TbSubcommand *command = tb_subcommands; command->name; command++) {
        g_autofree char *text = tb_help_subcommand(command);
        ck_assert_ptr_nonnull(strstr(text, command->summary));
        ck_assert(command->run != NULL);
        for (const char *const *form = command->usage; *form; form++) {
            g_autofree char *line =
                g_strdup_printf(" taskbox %s%s%s\n", command->name, **form ? " " : "", *form);
            ck_assert_ptr_nonnull(strstr(text, line));
        }
        for (const TbOption *option = command->options; option && option->name; option++) {
            g_autofree char *name = g_strdup_printf("--%s", option->name);
            ck_assert_ptr_nonnull(strstr(text, name));
        }
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++)
            ck_assert_msg(strlen(*line) <= 100, "%s --help: '%s' is long", command->name, *line);
    }
}
END_TEST

/* The part of docs/cli.md that is about `command`. */
static char *section_of(const char *doc, const TbSubcommand *command)
{
    g_autofree char *title = g_strdup_printf("\n### taskbox %s\n", command->name);
    const char *start = strstr(doc, title);
    ck_assert_msg(start != NULL, "docs/cli.md has no section '%s'", title + 1);
    start += strlen(title);
    const char *end = strstr(start, "\n##");
    return end ? g_strndup(start, (size_t)(end - start)) : g_strdup(start);
}

START_TEST(test_docs_agree)
{
    g_autofree char *doc = read_doc("cli.md");
    int commands = 0;
    for (const TbSubcommand *command = tb_subcommands; command->name; command++, commands++) {
        g_autofree char *section = section_of(doc, command);
        for (const char *const *form = command->usage; *form; form++) {
            g_autofree char *line =
                g_strdup_printf("\n    taskbox %s%s%s\n", command->name, **form ? " " : "", *form);
            ck_assert_msg(strstr(section, line) != NULL, "docs/cli.md lacks '%s'", line + 1);
        }
        for (const TbOption *option = command->options; option && option->name; option++) {
            g_autofree char *name = g_strdup_printf("--%s", option->name);
            ck_assert_msg(strstr(section, name) != NULL, "docs/cli.md: '%s' lacks '%s'",
                          command->name, name);
        }
    }
    int sections = 0;
    for (const char *at = doc; (at = strstr(at, "\n### taskbox ")); at++)
        sections++;
    ck_assert_int_eq(sections, commands);
}
END_TEST

/* Every option that docs/cli.md names in a section is one of that command's. */
START_TEST(test_docs_name_no_others)
{
    g_autofree char *doc = read_doc("cli.md");
    for (const TbSubcommand *command = tb_subcommands; command->name; command++) {
        g_autofree char *section = section_of(doc, command);
        for (const char *at = section; (at = strstr(at, "`--")); at++) {
            size_t length = strspn(at + 3, "0123456789abcdefghijklmnopqrstuvwxyz-");
            g_autofree char *name = g_strndup(at + 3, length);
            bool known = false;
            for (const TbOption *option = command->options; option && option->name; option++)
                known |= strcmp(option->name, name) == 0;
            ck_assert_msg(known || strstr(section, "Also `taskbox"),
                          "docs/cli.md: '%s' has no '--%s'", command->name, name);
        }
    }
}
END_TEST

static const struct {
    const char *first, *second, *found;
    int words;
} lookups[] = {
    {"run", "x", "run", 1},
    {"image", "ls", "image ls", 2},
    {"ls", NULL, "ls", 1},
    {"help", "run", "help", 1},
};

START_TEST(test_find)
{
    const char *argv[] = {lookups[_i].first, lookups[_i].second, NULL};
    int words = 0;
    const TbSubcommand *command = tb_subcommand_find(argv, &words, NULL);
    ck_assert_str_eq(command->name, lookups[_i].found);
    ck_assert_int_eq(words, lookups[_i].words);
}
END_TEST

static const struct {
    const char *first, *second, *near;
} unknown[] = {
    {"rnu", NULL, "'run'"},
    {"frobnicate", NULL, "'taskbox help'"},
    {"aply", NULL, "'apply'"},
    {"image", "biuld", "'image build'"},
    {"image", NULL, "build, ls, show, verify, rm"},
    {"", NULL, "'taskbox help'"},
};

START_TEST(test_find_nothing)
{
    const char *argv[] = {unknown[_i].first, unknown[_i].second, NULL};
    int words = 0;
    g_autoptr(GError) error = NULL;
    ck_assert_ptr_null(tb_subcommand_find(argv, &words, &error));
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_USAGE);
    ck_assert_msg(strstr(error->message, unknown[_i].near) != NULL, "%s", error->message);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("help");
    tcase_add_test(cases, test_overview_lists_all);
    tcase_add_test(cases, test_help_of_each);
    tcase_add_test(cases, test_docs_agree);
    tcase_add_test(cases, test_docs_name_no_others);
    tcase_add_loop_test(cases, test_find, 0, G_N_ELEMENTS(lookups));
    tcase_add_loop_test(cases, test_find_nothing, 0, G_N_ELEMENTS(unknown));
    return suite_run_case("cli help", cases);
}
