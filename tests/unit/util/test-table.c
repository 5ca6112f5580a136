/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <stdlib.h>

#include "../suite.h"
#include "util/table.h"

static char *printed(const TbTable *table)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    tb_table_print(table, file);
    fclose(file);
    return text;
}

START_TEST(test_columns)
{
    g_autoptr(TbTable) table = tb_table_new("ID", "STATE", "PROMPT", NULL);
    tb_table_add_row(table, (const char *[]){"x7k2", "ready", "fix the test"});
    tb_table_add_row(table, (const char *[]){"größer", NULL, ""});
    tb_table_add_row(table, (const char *[]){"a", "b", "two\nlines\x1b"});
    char *text = printed(table);
    ck_assert_str_eq(text, "ID      STATE  PROMPT\n"
                           "x7k2    ready  fix the test\n"
                           "größer\n"
                           "a       b      two\\x0Alines\\x1B\n");
    free(text);
}
END_TEST

START_TEST(test_only_titles)
{
    g_autoptr(TbTable) table = tb_table_new("NAME", NULL);
    char *text = printed(table);
    ck_assert_str_eq(text, "NAME\n");
    free(text);
}
END_TEST

int main(void)
{
    TCase *tables = tcase_create("table");
    tcase_add_test(tables, test_columns);
    tcase_add_test(tables, test_only_titles);
    Suite *suite = suite_create("util-table");
    suite_add_tcase(suite, tables);
    return suite_run(suite);
}
