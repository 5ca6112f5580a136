/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * taskbox shell: a box to try something in. What became of the project is thrown away unless
 * somebody wants it; then it is a task like any other.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/pager.h"
#include "cli/review-keys.h"
#include "cli/style.h"
#include "config/layers.h"
#include "run/front.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/interrupt.h"
#include "util/log.h"

typedef enum { ASK, KEEP, THROW_AWAY } Wish;

static bool on_output(int fd, const uint8_t *data, size_t length, void *user_data, GError **error)
{
    return tb_screens_write(user_data, fd, data, length, error);
}

static bool on_started(const TbTask *task, void *user_data, GError **error)
{
    if (tb_front_possible())
        tb_info("box %s has a copy of %s; 'exit' or Ctrl-D leaves it, Enter ~ . in any case",
                task->id, task->project_name);
    return true;
}

static bool read_wish(const TbArguments *arguments, Wish *wish, GError **error)
{
    bool keep = tb_arguments_flag(arguments, "patch"),
         drop = tb_arguments_flag(arguments, "no-patch");
    if (keep && drop)
        return tb_error_set(error, TB_ERROR_USAGE, "--patch and --no-patch contradict each other");
    *wish = keep ? KEEP : drop ? THROW_AWAY : ASK;
    return true;
}

/* The patch in a pager, which takes a process's stdout for good: so in a process of its own. */
static void show_patch(const TbTask *task)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        g_autoptr(GError) error = NULL;
        tb_autofd fd = tb_open_patch(task, &error);
        tb_pager_start();
        TbScreen *screen = tb_screen_new(STDOUT_FILENO);
        const TbStyle style = tb_style_of(STDOUT_FILENO);
        TbPatchView *view = tb_patch_view_new(screen, &style);
        if (fd < 0 || !tb_print_patch(fd, view, &error))
            tb_warn("%s", error->message);
        tb_patch_view_free(view);
        tb_screen_free(screen);
        tb_pager_end();
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* 'y', 'n' or 'd'; '\0' when a signal came instead. The end of input means no, and so does Enter
 * unless it may belong to the 'd' before; whatever else is hit is no answer. */
static char read_answer(TbKeys *keys, bool enter)
{
    for (;;) {
        char key = '\0';
        if (!tb_keys_read(keys, &key, NULL))
            return '\0';
        if (strchr("yYdDnN", key) && key)
            return g_ascii_tolower(key);
        bool end = !key || key == '\004';
        if (end || (enter && strchr("\r\n", key)))
            return 'n';
    }
}

/* Whoever does not answer keeps: what nobody has decided on is not lost. */
static bool ask(const TbTask *task)
{
    g_autofree char *stat = tb_stat_format(&task->stat);
    for (bool first = true;; first = false) {
        g_auto(TbKeys) keys = {.fd = -1};
        if (!tb_keys_begin(&keys, STDIN_FILENO, NULL))
            return true;
        fprintf(stderr, "%s: keep as a patch? [y/%c/d(iff)] ", stat, first ? 'N' : 'n');
        char answer = read_answer(&keys, first);
        fprintf(stderr, "%s\n", answer == '\0' ? "" : (char[]){answer, '\0'});
        if (answer != 'd') {
            tb_interrupt_acknowledge();
            return answer != 'n';
        }
        tb_keys_end(&keys);
        show_patch(task);
    }
}

/* Who was interrupted was not asked. */
static bool is_wanted(const TbTask *task, Wish wish)
{
    if (wish != ASK || task->stat.files == 0)
        return wish == KEEP && task->stat.files > 0;
    bool interrupted = !task->exited && task->exit_code > 128 && task->exit_code != 128 + SIGKILL;
    return interrupted || (isatty(STDIN_FILENO) && isatty(STDERR_FILENO) && ask(task));
}

static bool decide(TbCli *cli, TbTask *task, Wish wish, GError **error)
{
    if (is_wanted(task, wish)) {
        tb_cli_print_summary(task);
        return true;
    }
    g_autofree char *stat = tb_stat_format(&task->stat);
    if (task->has_patch && task->stat.files > 0)
        tb_info("%s: thrown away%s", stat, wish == ASK ? " (--patch keeps it)" : "");
    else if (task->has_patch)
        tb_info("no changes");
    return tb_task_remove(cli->store, task, error);
}

bool tb_cli_shell(TbCli *cli, int *status, GError **error)
{
    g_autoptr(TbSettings) settings = NULL;
    const char *const *rest = tb_arguments_rest(cli->arguments);
    const char *word = tb_arguments_words(cli->arguments)[0];
    TbRunOptions options = {.dir = tb_arguments_value(cli->arguments, "directory"),
                            .pass_stdin = true,
                            .shell = true,
                            .verify = "", /* who has been there has looked */
                            .tty = tb_front_possible(),
                            .argv = rest && rest[0] ? rest : NULL};
    Wish wish = ASK;
    if (word)
        return tb_error_set(error, TB_ERROR_USAGE,
                            "'%s' is not expected here (a command stands after '--': taskbox shell "
                            "-- %s ...)",
                            word, word);
    if (!read_wish(cli->arguments, &wish, error) || !(settings = tb_settings_load(error)))
        return false;
    options.keep = settings->keep;
    options.no_patch = wish == THROW_AWAY;
    if (!tb_cli_read_box(cli->arguments, &options, error))
        return false;
    g_auto(TbScreens)
        screens = {.out = tb_screen_new(STDOUT_FILENO), .err = tb_screen_new(STDERR_FILENO)};
    TbRunOutput output = {.output = on_output, .started = on_started, .user_data = &screens};
    g_autoptr(TbTask) task = NULL;
    bool ok = tb_task_run(cli->store, settings, &options, &output, &task, error);
    tb_screens_clear(&screens);
    if (task && tb_arguments_flag(cli->arguments, "timings"))
        tb_cli_print_timings(task);
    if (!ok) {
        if (task)
            tb_info("task %s failed (taskbox show %s, taskbox logs %s)", task->id, task->id,
                    task->id);
        return false;
    }
    *status = task->exit_code;
    return decide(cli, task, wish, error);
}
