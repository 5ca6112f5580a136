/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/review-view.h"

#include <string.h>

#include "util/escape.h"
#include "util/units.h"

#define TAB 8

/* As much of the escaped line as fits; what is left out is counted in bytes of the file. */
static void add_line(GString *text, const TbStyle *style, TbColour colour, char mark,
                     const uint8_t *line, size_t length)
{
    size_t column = 1, at = 0;
    g_string_append_printf(text, "%s%c", tb_colour(style, colour), mark);
    if (length && line[length - 1] == '\n')
        length--;
    while (at < length) {
        size_t next = at + 1;
        while (next < length && next - at < 4 && (line[next] & 0xc0) == 0x80)
            next++;
        g_autofree char *shown = tb_escape_terminal(line + at, next - at, true);
        size_t width = strcmp(shown, "\t") == 0 ? TAB - column % TAB : 0;
        for (const char *p = shown; !width && *p; p = g_utf8_next_char(p))
            width += g_unichar_iswide(g_utf8_get_char(p)) ? 1 : 0;
        width += strcmp(shown, "\t") == 0 ? 0 : (size_t)g_utf8_strlen(shown, -1);
        if (column + width > style->width) {
            g_autofree char *more = g_strdup_printf(" (+%zu bytes)", length - at);
            g_string_append(text, more);
            break;
        }
        g_string_append(text, shown);
        column += width;
        at = next;
    }
    g_string_append_printf(text, "%s\n", tb_colour_end(style));
}

typedef struct {
    GString *text;
    const TbStyle *style;
    unsigned most, shown, left_out;
} Page;

static void page_line(Page *page, TbColour colour, char mark, const TbLines *lines, uint32_t index)
{
    if (page->most && page->shown >= page->most) {
        page->left_out++;
        return;
    }
    size_t length = 0;
    const uint8_t *line = tb_line(lines, index, &length);
    add_line(page->text, page->style, colour, mark, line, length);
    page->shown++;
}

static void page_end(Page *page)
{
    if (page->left_out)
        g_string_append_printf(page->text, "  (%u lines more, v shows all)\n", page->left_out);
}

static void view_hunk(Page *page, const TbFileDiff *diff, const TbEdit *edits, size_t count)
{
    const TbEdit *last = &edits[count - 1];
    uint32_t before = MIN(edits[0].a, TB_UNIT_CONTEXT);
    uint32_t end = last->a + last->a_count;
    uint32_t after = MIN(diff->old_lines.count - end, TB_UNIT_CONTEXT);
    uint32_t a = edits[0].a - before, a_count = end + after - a;
    uint32_t b = edits[0].b - before, b_count = last->b + last->b_count + after - b;
    g_string_append_printf(page->text, "%s@@ -%u,%u +%u,%u @@%s\n",
                           tb_colour(page->style, TB_COLOUR_FAINT), a + (a_count > 0), a_count,
                           b + (b_count > 0), b_count, tb_colour_end(page->style));
    for (size_t i = 0; i < count; i++) {
        for (; a < edits[i].a; a++)
            page_line(page, TB_COLOUR_NONE, ' ', &diff->old_lines, a);
        for (; a < edits[i].a + edits[i].a_count; a++)
            page_line(page, TB_COLOUR_REMOVED, '-', &diff->old_lines, a);
        for (uint32_t k = 0; k < edits[i].b_count; k++)
            page_line(page, TB_COLOUR_ADDED, '+', &diff->new_lines, edits[i].b + k);
    }
    for (; a < end + after; a++)
        page_line(page, TB_COLOUR_NONE, ' ', &diff->old_lines, a);
}

static void view_whole(Page *page, const TbFileDiff *diff)
{
    const TbPatchFile *file = diff->file;
    g_autofree char *old_size = tb_size_format(diff->old_size);
    g_autofree char *new_size = tb_size_format(diff->new_size);
    g_string_append_printf(page->text, "  mode %06o -> %06o\n", file->old_mode, file->new_mode);
    if (file->old_mode == TB_MODE_GITLINK || file->new_mode == TB_MODE_GITLINK)
        g_string_append_printf(page->text, "  submodule %s -> %s\n", file->old_oid, file->new_oid);
    else if (diff->binary || diff->unread)
        g_string_append_printf(page->text, "  %s, %s -> %s\n",
                               diff->binary ? "binary" : "too large to show", old_size, new_size);
    for (uint32_t i = 0; i < diff->old_lines.count; i++)
        page_line(page, TB_COLOUR_REMOVED, '-', &diff->old_lines, i);
    for (uint32_t i = 0; i < diff->new_lines.count; i++)
        page_line(page, TB_COLOUR_ADDED, '+', &diff->new_lines, i);
}

/* "3/7": where a unit stands among those of its file. */
static void add_number(GString *text, const TbSelection *selection, guint index)
{
    guint of_file = 0, number = 0;
    for (guint i = 0; i < selection->units->len; i++) {
        if (tb_unit(selection, i)->file != tb_unit(selection, index)->file)
            continue;
        of_file++;
        number += i <= index;
    }
    if (of_file > 1)
        g_string_append_printf(text, ", change %u of %u", number, of_file);
}

static void add_heading(GString *text, const TbStyle *style, const TbSelection *selection,
                        guint index)
{
    static const char *const decisions[] = {"", " [accepted]", " [rejected]"};
    const TbUnit *unit = tb_unit(selection, index);
    const TbPatchFile *file = selection->files->pdata[unit->file];
    g_autofree char *name = tb_escape_name(file->path);
    g_string_append_printf(text, "\n%s%s%s (%s, file %u of %u", tb_colour(style, TB_COLOUR_PLACE),
                           name, tb_colour_end(style),
                           !file->old_mode   ? "new"
                           : !file->new_mode ? "deleted"
                                             : "changed",
                           unit->file + 1, selection->files->len);
    add_number(text, selection, index);
    g_string_append_printf(text, ")%s\n", decisions[unit->decision]);
}

void tb_view_unit(GString *text, const TbStyle *style, const TbSelection *selection, guint index,
                  const TbFileDiff *diff, unsigned most_lines)
{
    const TbUnit *unit = tb_unit(selection, index);
    Page page = {.text = text, .style = style, .most = most_lines};
    add_heading(text, style, selection, index);
    if (unit->kind == TB_UNIT_MODE)
        g_string_append_printf(text, "  mode %06o -> %06o\n", diff->file->old_mode,
                               diff->file->new_mode);
    else if (unit->kind == TB_UNIT_WHOLE)
        view_whole(&page, diff);
    else
        view_hunk(&page, diff, diff->edits + unit->first_edit, unit->edit_count);
    page_end(&page);
}

void tb_view_file(GString *text, const TbStyle *style, const TbFileDiff *diff)
{
    Page page = {.text = text, .style = style};
    g_autofree char *name = tb_escape_name(diff->file->path);
    g_string_append_printf(text, "\n%s%s%s, all of it\n", tb_colour(style, TB_COLOUR_PLACE), name,
                           tb_colour_end(style));
    if (!diff->file->old_mode || !diff->file->new_mode || !diff->edits) {
        view_whole(&page, diff);
        return;
    }
    uint32_t a = 0;
    for (size_t i = 0; i < diff->edit_count; i++) {
        const TbEdit *edit = &diff->edits[i];
        for (; a < edit->a; a++)
            page_line(&page, TB_COLOUR_NONE, ' ', &diff->old_lines, a);
        for (; a < edit->a + edit->a_count; a++)
            page_line(&page, TB_COLOUR_REMOVED, '-', &diff->old_lines, a);
        for (uint32_t k = 0; k < edit->b_count; k++)
            page_line(&page, TB_COLOUR_ADDED, '+', &diff->new_lines, edit->b + k);
    }
    for (; a < diff->old_lines.count; a++)
        page_line(&page, TB_COLOUR_NONE, ' ', &diff->old_lines, a);
}
