/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * taskbox review: findings first, then one change after the other, and at the end what was accepted
 * becomes a tree that is applied. Nothing is decided by default: what was skipped stays out.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/review-keys.h"
#include "cli/review-page.h"
#include "cli/review-view.h"
#include "task/findings.h"
#include "task/finish.h"
#include "util/error.h"
#include "util/escape.h"

#define FOLD_LINES 200

typedef struct {
    TbCli *cli;
    TbTask *task;
    TbKeys *keys;
    TbStyle style;
    TbSelection *selection;
    guint at; /* unit */
    TbFileDiff *diff;
    bool quit;
} Review;

static const char *const help = "y  accept this change          n  reject it\n"
                                "a  accept it and the rest of the file\n"
                                "d  reject it and the rest of the file\n"
                                "s  skip: decide nothing        j  next    k  previous\n"
                                "v  view the whole file         f  findings again\n"
                                "q  quit: what was accepted so far counts\n"
                                "?  this help\n";

/* A screenful at a time. */
static bool page(Review *review, const char *text, GError **error)
{
    unsigned lines = 0;
    for (const char *at = text; *at;) {
        const char *newline = strchr(at, '\n');
        size_t length = newline ? (size_t)(newline - at) + 1 : strlen(at);
        if (lines + 2 > review->style.height) {
            char key = '\0';
            if (!tb_print("-- more: any key, q ends --", error) ||
                !tb_keys_read(review->keys, &key, error) || !tb_print("\r\033[K", error))
                return false;
            if (key == 'q' || key == '\0')
                return true;
            lines = 0;
        }
        g_autofree char *line = g_strndup(at, length);
        if (!tb_print(line, error))
            return false;
        at += length;
        lines++;
    }
    return true;
}

static bool show_findings(Review *review, GError **error)
{
    g_autoptr(TbFindings) findings = tb_task_findings(review->task, error);
    if (!findings)
        return false;
    g_autoptr(GString) text = g_string_new(NULL);
    tb_style_findings(text, &review->style, findings);
    return page(review, text->str, error);
}

static bool load_diff(Review *review, GError **error)
{
    const TbUnit *unit = tb_unit(review->selection, review->at);
    const TbPatchFile *file = review->selection->files->pdata[unit->file];
    if (review->diff && review->diff->file == file)
        return true;
    g_clear_pointer(&review->diff, tb_file_diff_free);
    review->diff = tb_file_diff_new(review->selection->git, file, error);
    return review->diff != NULL;
}

static bool show_unit(Review *review, GError **error)
{
    if (!load_diff(review, error))
        return false;
    g_autoptr(GString) text = g_string_new(NULL);
    tb_view_unit(text, &review->style, review->selection, review->at, review->diff, FOLD_LINES);
    return tb_print(text->str, error);
}

static bool show_file(Review *review, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    tb_view_file(text, &review->style, review->diff);
    return page(review, text->str, error);
}

/* This change, or with `rest` also the later ones of its file that are open. */
static void decide(Review *review, TbDecision decision, bool rest)
{
    guint file = tb_unit(review->selection, review->at)->file;
    tb_unit(review->selection, review->at++)->decision = decision;
    for (; rest && review->at < review->selection->units->len; review->at++) {
        TbUnit *unit = tb_unit(review->selection, review->at);
        if (unit->file != file)
            return;
        if (unit->decision == TB_DECISION_OPEN)
            unit->decision = decision;
    }
}

/* *again: the same change is still to be decided, and need not be shown anew. */
static bool obey(Review *review, char key, bool *again, GError **error)
{
    *again = false;
    switch (key) {
    case 'y':
    case 'n':
        decide(review, key == 'y' ? TB_DECISION_ACCEPTED : TB_DECISION_REJECTED, false);
        return true;
    case 'a':
    case 'd':
        decide(review, key == 'a' ? TB_DECISION_ACCEPTED : TB_DECISION_REJECTED, true);
        return true;
    case 's':
    case 'j':
        review->at++;
        return true;
    case 'k':
        review->at -= review->at > 0;
        return true;
    case 'q':
    case '\0':
        review->quit = true;
        return true;
    case 'v':
        return show_file(review, error);
    case 'f':
        return show_findings(review, error);
    case '?':
        *again = true;
        return tb_print(help, error);
    default:
        *again = true;
        return true;
    }
}

static bool go_through(Review *review, GError **error)
{
    while (!review->quit && review->at < review->selection->units->len) {
        if (!show_unit(review, error))
            return false;
        for (bool again = true; again;) {
            char key = '\0';
            if (!tb_print_format(error, "accept this change [y,n,a,d,s,j,k,v,f,q,?]? ") ||
                !tb_keys_read(review->keys, &key, error) ||
                !tb_print_format(error, "%c\n", g_ascii_isprint(key) ? key : ' ') ||
                !obey(review, key, &again, error))
                return false;
        }
    }
    return true;
}

static bool ask(Review *review, const char *question, bool *yes, GError **error)
{
    char key = '\0';
    bool ok =
        tb_print_format(error, "%s [y/N]? ", question) && tb_keys_read(review->keys, &key, error);
    *yes = key == 'y' || key == 'Y';
    return ok && tb_print(*yes ? "y\n" : "n\n", error);
}

/* What is high in the selection itself wants a word of its own. */
static bool ask_about_findings(Review *review, const char *tree, bool *yes, GError **error)
{
    g_autoptr(TbFindings) findings = tb_findings_find(
        review->selection->git, review->task->base_tree, tree, review->task->prompt, error);
    if (!findings)
        return false;
    g_autofree const char **high = tb_findings_high_rules(findings, false);
    if (!high[0])
        return true;
    g_autofree char *names = g_strjoinv(", ", (char **)high);
    g_autofree char *question = g_strdup_printf(
        "what was accepted has findings of severity high: %s. Apply it all the same", names);
    return ask(review, question, yes, error);
}

static bool apply(Review *review, guint accepted, GError **error)
{
    TbTask *task = review->task;
    g_autofree char *tree = tb_selection_tree(review->selection, error);
    if (!tree)
        return false;
    g_autofree char *root = tb_escape_name(task->project_root);
    g_autofree char *question = g_strdup_printf("apply what was accepted to %s", root);
    bool yes = false;
    if (!ask(review, question, &yes, error) ||
        (yes && !ask_about_findings(review, tree, &yes, error)))
        return false;
    if (!yes)
        return tb_print("nothing was applied\n", error);
    TbApplyOutcome outcome = TB_APPLY_DONE;
    g_autoptr(GPtrArray) drift = NULL;
    const TbTaskApply how = {.tree = tree};
    if (!tb_task_apply_with(review->cli->store, task, &how, &outcome, &drift, error)) {
        for (guint i = 0; drift && i < drift->len; i++)
            fprintf(stderr, "  %s\n", (const char *)drift->pdata[i]); /* escaped by review */
        return false;
    }
    if (accepted < review->selection->units->len) {
        g_autofree char *note = g_strdup_printf("applied in part: %u of %u changes, tree %s",
                                                accepted, review->selection->units->len, tree);
        tb_task_note(task, note);
        if (!tb_task_save(task, TB_TASK_APPLIED, error))
            return false;
    }
    return tb_print(outcome == TB_APPLY_ALREADY ? "already applied\n" : "applied\n", error);
}

static bool finish(Review *review, GError **error)
{
    guint counts[3] = {0};
    for (guint i = 0; i < review->selection->units->len; i++)
        counts[tb_unit(review->selection, i)->decision]++;
    if (!tb_print_format(error, "\naccepted %u, rejected %u, not decided %u\n",
                         counts[TB_DECISION_ACCEPTED], counts[TB_DECISION_REJECTED],
                         counts[TB_DECISION_OPEN]))
        return false;
    return counts[TB_DECISION_ACCEPTED] == 0 || apply(review, counts[TB_DECISION_ACCEPTED], error);
}

static bool review_task(TbCli *cli, TbTask *task, GError **error)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return tb_error_set(error, TB_ERROR_USAGE,
                            "review needs a terminal (elsewhere: 'taskbox inspect %s', 'taskbox "
                            "diff %s')",
                            task->id, task->id);
    g_autoptr(TbGit) git = tb_task_objects(task, error);
    if (!git)
        return false;
    g_autoptr(TbSelection) selection =
        tb_selection_new(git, task->base_tree, task->result_tree, error);
    if (!selection)
        return false;
    g_auto(TbKeys) keys = {.fd = -1};
    if (!tb_keys_begin(&keys, STDIN_FILENO, error))
        return false;
    Review review = {.cli = cli,
                     .task = task,
                     .keys = &keys,
                     .style = tb_style_of(STDOUT_FILENO),
                     .selection = selection};
    bool ok = show_findings(&review, error) && go_through(&review, error) && finish(&review, error);
    tb_file_diff_free(review.diff);
    return ok;
}

bool tb_cli_review(TbCli *cli, int *status, GError **error)
{
    const char *const *words = tb_arguments_words(cli->arguments);
    const char *name = words[0] ? tb_arguments_sole(cli->arguments, "a task", error) : "@last";
    g_autoptr(TbTask) task = name ? tb_task_open(cli->store, name, error) : NULL;
    if (!task)
        return false;
    const char *page = tb_arguments_value(cli->arguments, "html");
    return page ? tb_review_page(task, page, error) : review_task(cli, task, error);
}
