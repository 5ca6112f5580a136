/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <string.h>

#include "cli/exit.h"

START_TEST(test_every_code_once)
{
    for (int code = 0; code < TB_EXIT_CLASSES; code++) {
        int rows = 0;
        for (int i = 0; i < TB_EXIT_CLASSES; i++)
            rows += tb_exit_classes[i].code == (TbErrorCode)code;
        ck_assert_int_eq(rows, 1);
    }
}
END_TEST

static const struct {
    TbErrorCode code;
    int status;
} promised[] = {
    {TB_ERROR_INTERNAL, 1},   {TB_ERROR_USAGE, 2},         {TB_ERROR_CONFIG, 3},
    {TB_ERROR_DEPENDENCY, 5}, {TB_ERROR_UNSUPPORTED, 6},   {TB_ERROR_DENIED, 8},
    {TB_ERROR_BUSY, 9},       {TB_ERROR_NO_SPACE, 10},     {TB_ERROR_CONFLICT, 11},
    {TB_ERROR_TIMEOUT, 124},  {TB_ERROR_INTERRUPTED, 130}, {TB_ERROR_VERIFY, 12},
};

START_TEST(test_promised)
{
    g_autoptr(GError) error = g_error_new_literal(TB_ERROR, (int)promised[_i].code, "x");
    ck_assert_int_eq(tb_exit_status(error, false), promised[_i].status);
    int own = promised[_i].code == TB_ERROR_INTERRUPTED ? 130 : 125;
    ck_assert_int_eq(tb_exit_status(error, true), own);
}
END_TEST

START_TEST(test_foreign_error)
{
    g_autoptr(GError) error = g_error_new_literal(G_FILE_ERROR, G_FILE_ERROR_IO, "x");
    ck_assert_int_eq(tb_exit_status(error, false), 1);
}
END_TEST

/* docs/exit-codes.md has a row "| STATUS | CLASS |" for each class, and no other class. */
START_TEST(test_documented)
{
    g_autofree char *doc = read_doc("exit-codes.md");
    for (int i = 0; i < TB_EXIT_CLASSES; i++) {
        const TbExitClass *class = &tb_exit_classes[i];
        g_autofree char *status =
            class->status ? g_strdup_printf("%d", class->status) : g_strdup("128 + N");
        g_autofree char *row =
            g_strdup_printf("\n| %s | %s |", status, tb_error_code_name(class->code));
        ck_assert_msg(strstr(doc, row) != NULL, "docs/exit-codes.md lacks '%s'", row + 1);
    }
    int rows = 0;
    g_auto(GStrv) lines = g_strsplit(doc, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) cells = g_strsplit(*line, "|", -1);
        rows += g_ascii_isdigit((*line)[0] == '|' ? (*line)[2] : 'x') && strcmp(cells[2], " ") != 0;
    }
    ck_assert_int_eq(rows, TB_EXIT_CLASSES);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("exit");
    tcase_add_test(cases, test_every_code_once);
    tcase_add_loop_test(cases, test_promised, 0, G_N_ELEMENTS(promised));
    tcase_add_test(cases, test_foreign_error);
    tcase_add_test(cases, test_documented);
    return suite_run_case("cli exit codes", cases);
}
