/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows of text in aligned columns, for the `ls` commands. */
#pragma once

#include <glib.h>
#include <stdio.h>

typedef struct TbTable TbTable;

/* A table with these column titles; the list ends with NULL. Free with tb_table_free. */
TbTable *tb_table_new(const char *first_title, ...) G_GNUC_NULL_TERMINATED;
/* The same with a NULL-terminated list. */
TbTable *tb_table_new_strv(const char *const *titles);
void tb_table_free(TbTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbTable, tb_table_free)

/* One row, a text for each column (NULL: empty). Texts are copied and made safe to show
 * (tb_escape_name). */
void tb_table_add_row(TbTable *table, const char *const *cells);

/* The titles and the rows: left aligned, two spaces between columns, no trailing spaces; width by
 * UTF-8 characters. */
void tb_table_print(const TbTable *table, FILE *file);
