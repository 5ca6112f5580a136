/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/style.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/pager.h"

#define LEAST_WIDTH 20
#define MOST_WIDTH  1000

TbStyle tb_style_of(int fd)
{
    TbStyle style = {.width = 80, .height = 24};
    bool terminal = tb_shown_on_terminal(fd);
    const char *no_colour = g_getenv("NO_COLOR"), *term = g_getenv("TERM");
    style.colour = terminal && !(no_colour && *no_colour) && term && strcmp(term, "dumb") != 0;
    struct winsize size;
    if (terminal && ioctl(fd, TIOCGWINSZ, &size) == 0) {
        style.width = size.ws_col ? size.ws_col : style.width;
        style.height = size.ws_row ? size.ws_row : style.height;
    }
    const char *columns = g_getenv("COLUMNS");
    unsigned long given = columns ? strtoul(columns, NULL, 10) : 0;
    if (given)
        style.width = (unsigned)MIN(given, MOST_WIDTH);
    style.width = CLAMP(style.width, LEAST_WIDTH, MOST_WIDTH);
    return style;
}

const char *tb_colour(const TbStyle *style, TbColour colour)
{
    static const char *const sequences[] = {
        [TB_COLOUR_NONE] = "",
        [TB_COLOUR_ADDED] = "\033[32m",
        [TB_COLOUR_REMOVED] = "\033[31m",
        [TB_COLOUR_PLACE] = "\033[1m",
        [TB_COLOUR_HIGH] = "\033[1;31m",
        [TB_COLOUR_MEDIUM] = "\033[33m",
        [TB_COLOUR_FAINT] = "\033[2m",
    };
    return style->colour ? sequences[colour] : "";
}

const char *tb_colour_end(const TbStyle *style)
{
    return style->colour ? "\033[0m" : "";
}

/* Words of ASCII prose, wrapped behind an indentation; what is long without a blank stays so. */
static void add_wrapped(GString *text, const TbStyle *style, unsigned indent, const char *prose)
{
    g_auto(GStrv) words = g_strsplit(prose, " ", -1);
    size_t column = 0;
    for (char **word = words; *word; word++) {
        size_t length = (size_t)g_utf8_strlen(*word, -1);
        if (column > 0 && column + 1 + length > style->width) {
            g_string_append_c(text, '\n');
            column = 0;
        }
        if (column == 0)
            g_string_append_printf(text, "%*s", (int)indent, "");
        else
            g_string_append_c(text, ' ');
        column = (column == 0 ? indent : column + 1) + length;
        g_string_append(text, *word);
    }
    g_string_append_c(text, '\n');
}

static void add_finding(GString *text, const TbStyle *style, const TbFinding *finding)
{
    static const TbColour colours[] = {TB_COLOUR_FAINT, TB_COLOUR_MEDIUM, TB_COLOUR_HIGH};
    g_autofree char *place = tb_finding_place(finding);
    g_autofree char *why = finding->detail
                               ? g_strdup_printf("%s: %s", finding->why, finding->detail)
                               : g_strdup(finding->why);
    g_string_append_printf(
        text, "  %s%-6s%s  %s%s%s%s%s\n", tb_colour(style, colours[finding->severity]),
        tb_severity_name(finding->severity), tb_colour_end(style), finding->rule,
        *place ? "  " : "", tb_colour(style, TB_COLOUR_PLACE), place, tb_colour_end(style));
    add_wrapped(text, style, 10, why);
}

void tb_style_findings(GString *text, const TbStyle *style, const TbFindings *findings)
{
    if (findings->list->len == 0) {
        g_string_append(text, "no findings\n");
        return;
    }
    g_autofree char *count = tb_findings_count_text(findings->counts);
    g_string_append_printf(text, "findings: %s\n", count);
    for (guint i = 0; i < findings->list->len; i++)
        add_finding(text, style, findings->list->pdata[i]);
}
