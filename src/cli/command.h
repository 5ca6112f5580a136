/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of subcommands: what `taskbox help` prints, what docs/cli.md is checked against, and
 * where main finds what to call. One file a subcommand; it parses values, calls the library,
 * prints.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "cli/arguments.h"
#include "cli/detach.h"
#include "run/run.h"
#include "cli/output.h"
#include "cli/patch-view.h"

typedef struct TbSubcommand TbSubcommand;

/* One run of one subcommand. */
typedef struct {
    const TbSubcommand *command;
    TbArguments *arguments;
    TbStore *store; /* opened and reconciled; NULL when the subcommand has no_store */
    bool printed;   /* the --json object is out: no second one for an error */
} TbCli;

struct TbSubcommand {
    const char *name;  /* "run", "image build" */
    const char *group; /* heading in the overview */
    const char *summary;
    const char *const *usage; /* what follows the name, one form a line; ends with NULL */
    const char *details;      /* more text for --help; may be NULL */
    const TbOption *options;  /* ends with a NULL name; may be NULL */
    bool takes_command;       /* what follows "--" is a command line of the user's */
    bool passes_status;       /* even without "--" the exit status is a task's own */
    bool no_store;
    /* True: *status (0 when not touched) is the exit status. False: the error decides. */
    bool (*run)(TbCli *cli, int *status, GError **error);
};

/* Ends with a NULL name, in the order of the overview. */
extern const TbSubcommand tb_subcommands[];
/* Options every subcommand takes. */
extern const TbOption tb_global_options[];

/* The subcommand that argv begins with (one word or two); *words says how many it took. NULL with
 * TB_ERROR_USAGE that names the nearest one. */
const TbSubcommand *tb_subcommand_find(const char *const *argv, int *words, GError **error);

/* `taskbox help` and `taskbox NAME --help`. g_free. */
char *tb_help_overview(void);
char *tb_help_subcommand(const TbSubcommand *command);

/* All of the program but the process itself: returns the exit status. */
int tb_cli_main(int argc, char **argv);

/* run.c: --image, --cpus, --memory and --disk. */
bool tb_cli_read_shape(const TbArguments *arguments, TbRunOptions *options, GError **error);
/* run.c: these and all other options that say what a box is and may do. */
bool tb_cli_read_box(const TbArguments *arguments, TbRunOptions *options, GError **error);
/* run.c: the options that say how a task is run: "tty", "detach", "json", "verify". */
bool tb_cli_read_manner(const TbArguments *arguments, TbRunOptions *options, GError **error);
/* run.c: runs one task, or with "detach" lets a process of its own do it, and says what came of it.
 * `options` is complete. `detach` is TB_DETACH_INIT, or what tb_cli_candidates made it. */
bool tb_cli_run_task(TbCli *cli, const TbArguments *arguments, TbSettings *settings,
                     TbRunOptions *options, TbDetach *detach, int *status, GError **error);
/* run.c: to stderr, what came of a task that is ready, and how long each phase took. */
void tb_cli_print_summary(const TbTask *task);
void tb_cli_print_timings(const TbTask *task);
/* run.c: the exit status that its command or agent stands for, once it is ready. */
int tb_cli_status_of(const TbTask *task);
/* logs.c: the log up to now and, with `follow`, until the task ends or a signal comes, which
 * becomes *status. `tail`: only so many of the lines there are now; UINT64_MAX: all. */
bool tb_cli_print_log(TbTask *task, bool follow, uint64_t tail, int *status, GError **error);
/* wait.c: until nobody works on the task any more. False on an interrupt, or at the deadline (as
 * g_get_monotonic_time; 0: none), which is TB_ERROR_TIMEOUT. */
bool tb_cli_await(TbTask *task, int64_t deadline, GError **error);
/* wait.c: says how a task that has ended did, and what its exit status is. */
int tb_cli_outcome(const TbTask *task);
/* compare.c: tasks side by side, TB_MOST_COMPARED at most. */
#define TB_MOST_COMPARED 20
bool tb_cli_compare_tasks(TbStore *store, const char *const *names, GError **error);
/* candidates.c: the same task so many times, with the agents in turn (NULL: as the options say),
 * each a process and a task of its own. True with *child: this is one of them, and `options` says
 * with which agent; go on and run it. Else all have ended, are compared, and *status is said. */
bool tb_cli_candidates(TbCli *cli, TbRunOptions *options, TbDetach *detach, unsigned count,
                       const char *const *agents, bool *child, int *status, GError **error);
/* wait.c: asks a running task to stop, or ends it now, and waits for that. */
bool tb_cli_stop_task(TbTask *task, bool now, GError **error);
/* diff.c: the patch file of a task, to be closed; -1 and TB_ERROR_NOT_FOUND when it has none. */
int tb_open_patch(const TbTask *task, GError **error);
/* What there is to be read in `fd`. */
bool tb_print_patch(int fd, TbPatchView *view, GError **error);

bool tb_cli_completion(TbCli *cli, int *status, GError **error);
bool tb_cli_config_show(TbCli *cli, int *status, GError **error);
bool tb_cli_config_explain(TbCli *cli, int *status, GError **error);
bool tb_cli_init(TbCli *cli, int *status, GError **error);
bool tb_cli_image_build(TbCli *cli, int *status, GError **error);
bool tb_cli_image_ls(TbCli *cli, int *status, GError **error);
bool tb_cli_image_show(TbCli *cli, int *status, GError **error);
bool tb_cli_image_verify(TbCli *cli, int *status, GError **error);
bool tb_cli_image_rm(TbCli *cli, int *status, GError **error);
bool tb_cli_image_export(TbCli *cli, int *status, GError **error);
bool tb_cli_image_import(TbCli *cli, int *status, GError **error);
bool tb_cli_template_build(TbCli *cli, int *status, GError **error);
bool tb_cli_template_ls(TbCli *cli, int *status, GError **error);
bool tb_cli_template_show(TbCli *cli, int *status, GError **error);
bool tb_cli_template_rm(TbCli *cli, int *status, GError **error);
bool tb_cli_run(TbCli *cli, int *status, GError **error);
bool tb_cli_retry(TbCli *cli, int *status, GError **error);
bool tb_cli_attach(TbCli *cli, int *status, GError **error);
bool tb_cli_cp(TbCli *cli, int *status, GError **error);
bool tb_cli_exec(TbCli *cli, int *status, GError **error);
bool tb_cli_stop(TbCli *cli, int *status, GError **error);
bool tb_cli_wait(TbCli *cli, int *status, GError **error);
bool tb_cli_shell(TbCli *cli, int *status, GError **error);
bool tb_cli_ls(TbCli *cli, int *status, GError **error);
bool tb_cli_show(TbCli *cli, int *status, GError **error);
bool tb_cli_logs(TbCli *cli, int *status, GError **error);
bool tb_cli_diff(TbCli *cli, int *status, GError **error);
bool tb_cli_review(TbCli *cli, int *status, GError **error);
bool tb_cli_compare(TbCli *cli, int *status, GError **error);
bool tb_cli_inspect(TbCli *cli, int *status, GError **error);
bool tb_cli_apply(TbCli *cli, int *status, GError **error);
bool tb_cli_patch(TbCli *cli, int *status, GError **error);
bool tb_cli_patch_verify(TbCli *cli, int *status, GError **error);
bool tb_cli_undo(TbCli *cli, int *status, GError **error);
bool tb_cli_discard(TbCli *cli, int *status, GError **error);
bool tb_cli_gc(TbCli *cli, int *status, GError **error);
bool tb_cli_doctor(TbCli *cli, int *status, GError **error);
bool tb_cli_policy_explain(TbCli *cli, int *status, GError **error);
bool tb_cli_redteam(TbCli *cli, int *status, GError **error);
bool tb_cli_help(TbCli *cli, int *status, GError **error);
bool tb_cli_version(TbCli *cli, int *status, GError **error);
