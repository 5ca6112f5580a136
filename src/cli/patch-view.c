/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Colours are ours and are written beside the screen's escaping, never through it: no byte of the
 * patch can begin or end one. Only "@@ -a,b +c,d @@" opens a hunk, and its numbers say how many
 * lines belong to it, so that a removed line of "-- a" is no header.
 */
#include "cli/patch-view.h"

#include <stdio.h>
#include <string.h>

#define LINE_MAX_KEPT 256 /* of a line's beginning; the rest has the same colour */

struct TbPatchView {
    TbScreen *screen;
    const TbStyle *style;
    char start[LINE_MAX_KEPT + 1]; /* of the line that is not yet shown */
    size_t length;
    bool within;                 /* a line's beginning is shown, its end is not */
    unsigned long before, after; /* lines of the hunk that are still to come */
};

TbPatchView *tb_patch_view_new(TbScreen *screen, const TbStyle *style)
{
    TbPatchView *view = g_new0(TbPatchView, 1);
    view->screen = screen;
    view->style = style;
    return view;
}

/* "12" and "12,3"; how many lines. */
static bool read_range(const char **at, unsigned long *count)
{
    unsigned long start;
    int used = 0;
    if (sscanf(*at, "%lu%n", &start, &used) != 1)
        return false;
    *at += used;
    *count = 1;
    if (**at != ',')
        return true;
    if (sscanf(*at, ",%lu%n", count, &used) != 1)
        return false;
    *at += used;
    return true;
}

static bool opens_hunk(TbPatchView *view)
{
    const char *at = view->start;
    unsigned long before, after;
    if (strncmp(at, "@@ -", 4) != 0)
        return false;
    at += 4;
    if (!read_range(&at, &before) || strncmp(at, " +", 2) != 0)
        return false;
    at += 2;
    if (!read_range(&at, &after) || strncmp(at, " @@", 3) != 0)
        return false;
    view->before = before;
    view->after = after;
    return true;
}

static TbColour colour_in_hunk(TbPatchView *view)
{
    char mark = view->start[0];
    view->before -= (mark == '-' || mark == ' ') && view->before > 0;
    view->after -= (mark == '+' || mark == ' ') && view->after > 0;
    return mark == '+' ? TB_COLOUR_ADDED : mark == '-' ? TB_COLOUR_REMOVED : TB_COLOUR_NONE;
}

static TbColour colour_of(TbPatchView *view)
{
    static const char *const headers[] = {
        "diff --git ", "--- ",          "+++ ",    "index ",      "old mode ", "new mode ",
        "new file ",   "deleted file ", "rename ", "GIT binary ", "Binary "};
    if (view->before > 0 || view->after > 0)
        return colour_in_hunk(view);
    if (opens_hunk(view))
        return TB_COLOUR_FAINT;
    for (size_t i = 0; i < G_N_ELEMENTS(headers); i++)
        if (g_str_has_prefix(view->start, headers[i]))
            return TB_COLOUR_PLACE;
    return TB_COLOUR_NONE;
}

static bool begin_line(TbPatchView *view, GError **error)
{
    view->start[view->length] = '\0';
    const char *colour = tb_colour(view->style, colour_of(view));
    view->within = true;
    return tb_screen_colour(view->screen, colour, error) &&
           tb_screen_write(view->screen, view->start, view->length, error);
}

static bool end_line(TbPatchView *view, GError **error)
{
    view->length = 0;
    view->within = false;
    return tb_screen_colour(view->screen, tb_colour_end(view->style), error) &&
           tb_screen_write(view->screen, "\n", 1, error);
}

static bool write_line_part(TbPatchView *view, const char *data, size_t length, bool ends,
                            GError **error)
{
    size_t kept = view->within ? 0 : MIN(length, LINE_MAX_KEPT - view->length);
    memcpy(view->start + view->length, data, kept);
    view->length += kept;
    if (!view->within && (ends || view->length == LINE_MAX_KEPT) && !begin_line(view, error))
        return false;
    if (view->within && length > kept &&
        !tb_screen_write(view->screen, data + kept, length - kept, error))
        return false;
    return !ends || end_line(view, error);
}

bool tb_patch_view_write(TbPatchView *view, const void *data, size_t length, GError **error)
{
    if (!view->style->colour)
        return tb_screen_write(view->screen, data, length, error);
    const char *at = data, *end = at + length;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t part = (size_t)((newline ? newline : end) - at);
        if (!write_line_part(view, at, part, newline != NULL, error))
            return false;
        at += part + (newline ? 1 : 0);
    }
    return true;
}

void tb_patch_view_free(TbPatchView *view)
{
    if (!view)
        return;
    if (!view->within && view->length > 0)
        begin_line(view, NULL);
    if (view->within)
        tb_screen_colour(view->screen, tb_colour_end(view->style), NULL);
    g_free(view);
}
