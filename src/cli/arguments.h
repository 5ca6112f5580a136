/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A command line, taken apart by a list of options. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
    char letter;       /* '\0': none */
    const char *name;  /* without the dashes */
    const char *value; /* what the value is called; NULL: the option takes none */
    const char *help;
} TbOption;

typedef struct TbArguments TbArguments;

/* Takes apart `argv` (without program and subcommand). Options may stand anywhere before "--";
 * "--name=value", "--name value", "-nvalue", "-n value" and "-abc" are understood. The option
 * lists end with a NULL name; `more` may be NULL. With `keeps_rest` what follows "--" is kept
 * apart, else it is positional. TB_ERROR_USAGE, naming the nearest option. */
TbArguments *tb_arguments_parse(const char *const *argv, const TbOption *options,
                                const TbOption *more, bool keeps_rest, GError **error);
void tb_arguments_free(TbArguments *arguments);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbArguments, tb_arguments_free)

/* How often an option without value was given. */
unsigned tb_arguments_count(const TbArguments *arguments, const char *name);
bool tb_arguments_flag(const TbArguments *arguments, const char *name);
/* The options that were given, each as one argument ("--name=value"), but for those in `without`
 * (ends with NULL). To be parsed again; g_strfreev. */
char **tb_arguments_options(const TbArguments *arguments, const char *const *without);
/* The last value given, NULL when none was. */
const char *tb_arguments_value(const TbArguments *arguments, const char *name);
/* All values given, in order; ends with NULL. */
const char *const *tb_arguments_all(const TbArguments *arguments, const char *name);
/* Positional arguments; ends with NULL. */
const char *const *tb_arguments_words(const TbArguments *arguments);
/* What followed "--"; NULL when there was no "--". */
const char *const *tb_arguments_rest(const TbArguments *arguments);

/* The one positional argument, called `what` in the error ("a task id"). */
const char *tb_arguments_sole(const TbArguments *arguments, const char *what, GError **error);
/* None expected. */
bool tb_arguments_none(const TbArguments *arguments, GError **error);
