/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox diff --log: the commits that were made in the box, as `git log --stat` shows them, but
 * for the order: as they were made. Every word of it is the box's. */
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/log.h"
#include "cli/style.h"
#include "task/commits.h"
#include "task/finish.h"
#include "util/escape.h"

/* "NAME <ADDRESS> SECONDS ZONE": the name, and the time as a date in its zone. */
static void add_author(GString *text, const char *author)
{
    const char *close = strrchr(author, '>');
    g_autofree char *who = g_strndup(author, close ? (gsize)(close - author) + 1 : strlen(author));
    g_autofree char *name = tb_escape_name(who);
    char *zone = NULL;
    gint64 seconds = g_ascii_strtoll(close ? close + 1 : "0", &zone, 10);
    g_autoptr(GTimeZone) there = g_time_zone_new_identifier(g_strstrip(zone));
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(seconds);
    g_autoptr(GDateTime) local = utc && there ? g_date_time_to_timezone(utc, there) : NULL;
    g_autofree char *date = local ? g_date_time_format(local, "%Y-%m-%d %H:%M:%S %z") : NULL;
    g_string_append_printf(text, "Author: %s\nDate:   %s\n", name, date ? date : "?");
}

/* Indented. What is not UTF-8 is escaped, whatever encoding it says. */
static void add_message(GString *text, const char *message)
{
    g_autofree char *visible = tb_escape_terminal(message, strlen(message), true);
    g_auto(GStrv) lines = g_strsplit(g_strchomp(visible), "\n", -1);
    g_string_append_c(text, '\n');
    for (char **line = lines; *line; line++)
        g_string_append_printf(text, "%s%s\n", **line ? "    " : "", *line);
    g_string_append_c(text, '\n');
}

static void add_file(GString *text, const TbStyle *style, const TbPatchFile *file)
{
    g_autofree char *name = tb_escape_name(file->path);
    g_string_append_printf(text, " %s ", tb_file_kind(file));
    if (file->added < 0)
        g_string_append_printf(text, "%-12s", "binary");
    else
        g_string_append_printf(text, "%s+%-5" G_GINT64_FORMAT "%s %s-%-5" G_GINT64_FORMAT "%s",
                               tb_colour(style, TB_COLOUR_ADDED), file->added, tb_colour_end(style),
                               tb_colour(style, TB_COLOUR_REMOVED), file->removed,
                               tb_colour_end(style));
    g_string_append_printf(text, " %s%s%s\n", tb_colour(style, TB_COLOUR_PLACE), name,
                           tb_colour_end(style));
}

static bool on_diff(const uint8_t *data, size_t length, void *user_data, GError **error)
{
    return tb_patch_view_write(user_data, data, length, error);
}

static bool print_diff(TbGit *git, const TbStyle *style, const char *from, const char *to,
                       const GPtrArray *files, GError **error)
{
    g_autoptr(TbScreen) screen = tb_screen_new(STDOUT_FILENO);
    g_autoptr(TbPatchView) view = tb_patch_view_new(screen, style);
    return tb_print("\n", error) && tb_patch_diff(git, from, to, files, on_diff, view, error);
}

static bool print_step(TbGit *git, const TbStyle *style, const TbSeriesStep *step, const char *from,
                       bool patch, GError **error)
{
    g_autoptr(GPtrArray) files = tb_patch_files(git, from, step->tree, error);
    if (!files)
        return false;
    g_autoptr(GString) text = g_string_new(tb_colour(style, TB_COLOUR_MEDIUM));
    if (step->commit)
        g_string_append_printf(text, "commit %s%s\n", step->commit, tb_colour_end(style));
    else
        g_string_append_printf(text, "not committed%s\n\n", tb_colour_end(style));
    if (step->commit) {
        add_author(text, step->author);
        add_message(text, step->message);
    }
    TbPatchStat total = {.files = files->len};
    for (guint i = 0; i < files->len; i++) {
        const TbPatchFile *file = files->pdata[i];
        add_file(text, style, file);
        total.added += (uint64_t)MAX(file->added, 0);
        total.removed += (uint64_t)MAX(file->removed, 0);
    }
    g_autofree char *sum = tb_stat_format(&total);
    g_string_append_printf(text, " %s\n", sum);
    return tb_print(text->str, error) &&
           (!patch || print_diff(git, style, from, step->tree, files, error));
}

bool tb_print_log(const TbTask *task, bool patch, GError **error)
{
    g_autoptr(TbGit) git = tb_task_objects(task, error);
    g_autoptr(GPtrArray) series = git ? tb_task_series(task, error) : NULL;
    if (!series)
        return false;
    if (series->len == 0)
        return tb_print("no commits came along\n", error);
    TbStyle style = tb_style_of(STDOUT_FILENO);
    const char *from = task->base_tree;
    for (guint i = 0; i < series->len; i++) {
        const TbSeriesStep *step = series->pdata[i];
        if ((i > 0 && !tb_print("\n", error)) || !print_step(git, &style, step, from, patch, error))
            return false;
        from = step->tree;
    }
    return true;
}
