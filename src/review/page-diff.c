/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files side by side: what was on the left, what is on the right. A large change is folded, and
 * what is over the limits is counted instead of shown, so that a browser can take the page.
 */
#include "review/page-diff.h"

#include <string.h>

#include "review/page.h"
#include "review/select.h"
#include "util/units.h"

#define MOST_LINE  2000               /* bytes of a line that are shown */
#define MOST_ROWS  5000               /* of a file */
#define FOLD_ROWS  400                /* a file with more is closed */
#define MOST_BYTES ((size_t)32 << 20) /* of the page */

typedef struct {
    GString *page;
    unsigned rows, left_out;
    guint unshown; /* files: the page is full */
} Table;

static void add_cell(GString *page, const char *kind, const TbLines *lines, uint32_t line)
{
    size_t length = 0;
    const uint8_t *text = tb_line(lines, line, &length);
    bool newline = length && text[length - 1] == '\n';
    length -= newline;
    size_t shown = MIN(length, MOST_LINE);
    while (shown < length && shown && (text[shown] & 0xc0) == 0x80)
        shown--;
    g_string_append_printf(page, "<td class=\"n\">%u</td><td class=\"%s\">", line + 1, kind);
    tb_page_text(page, text, shown);
    if (shown < length)
        g_string_append_printf(page, " <span class=\"faint\">(%zu bytes more)</span>",
                               length - shown);
    if (!newline)
        g_string_append(page, " <span class=\"faint\">(no newline at the end)</span>");
    g_string_append(page, "</td>");
}

static bool row_begin(Table *table)
{
    if (table->rows >= MOST_ROWS || table->page->len > MOST_BYTES) {
        table->left_out++;
        return false;
    }
    table->rows++;
    g_string_append(table->page, "<tr>");
    return true;
}

static void add_same(Table *table, const TbFileDiff *diff, uint32_t a, uint32_t b)
{
    if (!row_begin(table))
        return;
    add_cell(table->page, "same", &diff->old_lines, a);
    add_cell(table->page, "same twin", &diff->new_lines, b);
    g_string_append(table->page, "</tr>\n");
}

static void add_edit(Table *table, const TbFileDiff *diff, const TbEdit *edit)
{
    static const char *const none = "<td class=\"n none\"></td><td class=\"none\"></td>";
    for (uint32_t i = 0; i < MAX(edit->a_count, edit->b_count); i++) {
        if (!row_begin(table))
            continue;
        if (i < edit->a_count)
            add_cell(table->page, "del", &diff->old_lines, edit->a + i);
        else
            g_string_append(table->page, none);
        if (i < edit->b_count)
            add_cell(table->page, "add", &diff->new_lines, edit->b + i);
        else
            g_string_append(table->page, none);
        g_string_append(table->page, "</tr>\n");
    }
}

static void add_lines(Table *table, const TbFileDiff *diff)
{
    uint32_t a = 0, b = 0;
    for (size_t i = 0; i < diff->edit_count; i++) {
        const TbEdit *edit = &diff->edits[i];
        uint32_t until = i ? MIN(edit->a, a + TB_UNIT_CONTEXT) : a;
        for (; a < until; a++, b++)
            add_same(table, diff, a, b);
        if (edit->a > a + TB_UNIT_CONTEXT) {
            uint32_t skipped = edit->a - a - TB_UNIT_CONTEXT;
            g_string_append_printf(table->page,
                                   "<tr><td class=\"hunk\" colspan=\"4\">%u lines are the "
                                   "same</td></tr>\n",
                                   skipped);
            a += skipped;
            b += skipped;
        }
        for (; a < edit->a; a++, b++)
            add_same(table, diff, a, b);
        add_edit(table, diff, edit);
        a += edit->a_count;
        b += edit->b_count;
    }
    uint32_t until = MIN(diff->old_lines.count, a + TB_UNIT_CONTEXT);
    for (; a < until; a++, b++)
        add_same(table, diff, a, b);
}

static void add_summary(GString *page, const TbFileDiff *diff, uint64_t added, uint64_t removed)
{
    const TbPatchFile *file = diff->file;
    g_string_append(page, "<h3>");
    tb_page_text(page, file->path, strlen(file->path));
    g_string_append_printf(page, "</h3> <span class=\"faint\">%s",
                           !file->old_mode   ? "new"
                           : !file->new_mode ? "deleted"
                                             : "changed");
    if (diff->edits)
        g_string_append_printf(page, ", +%" G_GUINT64_FORMAT " -%" G_GUINT64_FORMAT, added,
                               removed);
    if (file->old_mode && file->new_mode && file->old_mode != file->new_mode)
        g_string_append_printf(page, ", mode %06o to %06o", file->old_mode, file->new_mode);
    else if (file->new_mode && file->new_mode != TB_MODE_FILE)
        g_string_append_printf(page, ", mode %06o", file->new_mode);
    if (!diff->edits) {
        g_autofree char *old_size = tb_size_format(diff->old_size);
        g_autofree char *new_size = tb_size_format(diff->new_size);
        g_string_append_printf(page, ", %s: %s to %s",
                               diff->binary   ? "binary"
                               : diff->unread ? "too large to show"
                                              : "no text",
                               old_size, new_size);
    }
    g_string_append(page, "</span>");
}

static bool add_file(const TbFileDiff *diff, void *user_data, GError **error)
{
    Table *table = user_data;
    uint64_t added = 0, removed = 0;
    if (table->page->len > MOST_BYTES) {
        table->unshown++;
        return true;
    }
    for (size_t i = 0; i < diff->edit_count; i++) {
        added += diff->edits[i].b_count;
        removed += diff->edits[i].a_count;
    }
    g_string_append_printf(table->page, "<details%s><summary>",
                           added + removed > FOLD_ROWS ? "" : " open");
    add_summary(table->page, diff, added, removed);
    g_string_append(table->page, "</summary>\n");
    if (diff->edit_count) {
        table->rows = table->left_out = 0;
        g_string_append(table->page,
                        "<table class=\"diff\"><thead><tr><th class=\"n\" scope=\"col\">line</th>"
                        "<th scope=\"col\">before</th><th class=\"n\" scope=\"col\">line</th>"
                        "<th scope=\"col\">after</th></tr></thead>\n<tbody>\n");
        add_lines(table, diff);
        g_string_append(table->page, "</tbody></table>\n");
    }
    if (table->left_out)
        g_string_append_printf(table->page, "<p class=\"faint\">%u lines more (taskbox diff)</p>\n",
                               table->left_out);
    table->left_out = 0;
    g_string_append(table->page, "</details>\n");
    return true;
}

bool page_add_diff(GString *page, TbGit *git, const char *base_tree, const char *result_tree,
                   GError **error)
{
    g_autoptr(GPtrArray) files = tb_patch_raw(git, base_tree, result_tree, error);
    if (!files)
        return false;
    g_string_append_printf(page, "<h2>Files: %u</h2>\n", files->len);
    Table table = {.page = page};
    if (!tb_file_diffs_each(git, files, add_file, &table, error))
        return false;
    if (table.unshown)
        g_string_append_printf(page, "<p>%u files more: the page is full (taskbox diff)</p>\n",
                               table.unshown);
    return true;
}
