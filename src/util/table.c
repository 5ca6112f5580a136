/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/table.h"

#include <stdint.h>

#include "util/escape.h"

#define GAP 2

struct TbTable {
    guint columns;
    GPtrArray *cells; /* char *, row after row, the titles first */
};

TbTable *tb_table_new_strv(const char *const *titles)
{
    TbTable *table = g_new0(TbTable, 1);
    table->cells = g_ptr_array_new_with_free_func(g_free);
    for (; *titles; titles++)
        g_ptr_array_add(table->cells, tb_escape_name(*titles));
    table->columns = table->cells->len;
    return table;
}

TbTable *tb_table_new(const char *first_title, ...)
{
    g_autoptr(GPtrArray) titles = g_ptr_array_new();
    va_list args;
    va_start(args, first_title);
    for (const char *title = first_title; title; title = va_arg(args, const char *))
        g_ptr_array_add(titles, (char *)(uintptr_t)title);
    va_end(args);
    g_ptr_array_add(titles, NULL);
    return tb_table_new_strv((const char *const *)titles->pdata);
}

void tb_table_free(TbTable *table)
{
    if (!table)
        return;
    g_ptr_array_unref(table->cells);
    g_free(table);
}

void tb_table_add_row(TbTable *table, const char *const *cells)
{
    for (guint i = 0; i < table->columns; i++)
        g_ptr_array_add(table->cells, tb_escape_name(cells[i] ? cells[i] : ""));
}

static glong column_width(const TbTable *table, guint column)
{
    glong width = 0;
    for (guint i = column; i < table->cells->len; i += table->columns)
        width = MAX(width, g_utf8_strlen(table->cells->pdata[i], -1));
    return width;
}

void tb_table_print(const TbTable *table, FILE *file)
{
    g_autofree glong *widths = g_new0(glong, table->columns + 1);
    for (guint i = 0; i < table->columns; i++)
        widths[i] = column_width(table, i);
    g_autoptr(GString) line = g_string_new(NULL);
    for (guint i = 0; i < table->cells->len; i++) {
        const char *cell = table->cells->pdata[i];
        guint column = i % table->columns;
        g_string_append(line, cell);
        if (column + 1 < table->columns) {
            glong spaces = widths[column] - g_utf8_strlen(cell, -1) + GAP;
            g_string_append_printf(line, "%*s", (int)spaces, "");
            continue;
        }
        fprintf(file, "%s\n", g_strchomp(line->str));
        g_string_truncate(line, 0);
    }
}
