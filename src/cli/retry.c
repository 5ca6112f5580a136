/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox retry: a run whose work, box and beginning come from another task, as far as the command
 * line says nothing else. */
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "config/layers.h"
#include "util/error.h"

/* What the old task was, where the command line says nothing else. */
static bool read_again(const TbArguments *arguments, const TbTask *task, TbRunOptions *options,
                       GError **error)
{
    const char *const *rest = tb_arguments_rest(arguments);
    const char *prompt = tb_arguments_value(arguments, "prompt");
    const char *agent = tb_arguments_value(arguments, "agent");
    options->on_top = tb_arguments_flag(arguments, "on-top");
    if (rest && (prompt || agent))
        return tb_error_set(error, TB_ERROR_USAGE,
                            "--prompt and --agent go with a prompt, not with '-- COMMAND'");
    if (rest && !rest[0])
        return tb_error_set(error, TB_ERROR_USAGE, "there is no command after '--'");
    if (task->command && agent && !prompt)
        return tb_error_set(error, TB_ERROR_USAGE,
                            "task '%s' was a command: --agent needs a --prompt", task->id);
    if (rest || (task->command && !prompt)) {
        options->argv = rest ? rest : (const char *const *)task->command;
        options->pass_stdin = !isatty(STDIN_FILENO);
    } else {
        options->prompt = prompt ? prompt : task->prompt;
        options->agent = agent ? agent : task->agent;
    }
    if (!options->argv && !options->prompt)
        return tb_error_set(error, TB_ERROR_NOT_FOUND,
                            "task '%s' does not say what it was to do (give --prompt, or "
                            "'-- COMMAND')",
                            task->id);
    return true;
}

/* Its base, or result, must still be there. */
static bool check_from(const TbTask *task, bool on_top, GError **error)
{
    g_autofree char *git = tb_task_path(task, "git");
    if (tb_task_state_unfinished(task->state) || task->trial.running)
        return tb_error_set(error, TB_ERROR_BUSY, "task '%s' still runs (taskbox wait %s)",
                            task->id, task->id);
    if (!task->project_root || !(on_top ? task->result_tree : task->base_tree))
        return tb_error_set(error, TB_ERROR_NOT_FOUND,
                            "task '%s' has no %s to begin with (start it anew: taskbox run)",
                            task->id, on_top ? "result" : "base");
    return g_file_test(git, G_FILE_TEST_IS_DIR) ||
           tb_error_set(error, TB_ERROR_NOT_FOUND,
                        "task '%s' was discarded, and what it began with is gone (start it anew: "
                        "taskbox run)",
                        task->id);
}

/* The old task's options, and those of now after them: the last one holds. */
static TbArguments *join_options(const TbCli *cli, const TbTask *task, GError **error)
{
    static const char *const none[] = {NULL};
    g_auto(GStrv) now = tb_arguments_options(cli->arguments, none);
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    for (char **flag = task->flags; flag && *flag; flag++)
        if (!g_str_has_prefix(*flag, "--verify=") && !g_str_equal(*flag, "--no-verify"))
            g_ptr_array_add(all, *flag);
        else if (!tb_arguments_flag(cli->arguments, "verify") &&
                 !tb_arguments_flag(cli->arguments, "no-verify"))
            g_ptr_array_add(all, *flag);
    for (char **flag = now; *flag; flag++)
        g_ptr_array_add(all, *flag);
    g_ptr_array_add(all, NULL);
    return tb_arguments_parse((const char *const *)all->pdata, cli->command->options,
                              tb_global_options, true, error);
}

bool tb_cli_retry(TbCli *cli, int *status, GError **error)
{
    const char *name = tb_arguments_sole(cli->arguments, "a task", error);
    g_autoptr(TbTask) task = name ? tb_task_open(cli->store, name, error) : NULL;
    g_autoptr(TbArguments) arguments = task ? join_options(cli, task, error) : NULL;
    TbRunOptions options = {0};
    if (!arguments || !read_again(cli->arguments, task, &options, error) ||
        !check_from(task, options.on_top, error))
        return false;
    g_autoptr(TbSettings) settings = tb_settings_load(error);
    if (!settings)
        return false;
    g_autofree char *dir = g_build_filename(task->project_root,
                                            task->project_subdir ? task->project_subdir : "", NULL);
    const char *other = tb_arguments_value(cli->arguments, "directory");
    options.dir = other ? other : dir;
    options.from = task;
    options.image = task->image_name;
    options.keep = settings->keep;
    TbDetach detach = TB_DETACH_INIT;
    const char *image = options.image;
    if (!tb_cli_read_box(arguments, &options, error) ||
        !tb_cli_read_manner(arguments, &options, error))
        return false;
    options.image = options.image ? options.image : image;
    return tb_cli_run_task(cli, arguments, settings, &options, &detach, status, error);
}
