/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "image/build-private.h"
#include "util/error.h"

static void make_header(uint8_t header[104])
{
    memset(header, 0, 104);
    memcpy(header, "QFI\xfb", 4);
    header[7] = 3;
}

static void expect(const uint8_t *header, size_t length, const char *word)
{
    g_autoptr(GError) error = NULL;
    bool ok = tb_qcow2_check_header(header, length, "f.qcow2", &error);
    if (!word) {
        ck_assert_msg(ok, "%s", error ? error->message : "");
        return;
    }
    ck_assert(!ok);
    ck_assert_int_eq(tb_error_code(error), TB_ERROR_IMAGE);
    ck_assert_msg(strstr(error->message, word), "got '%s'", error->message);
}

START_TEST(an_image_that_stands_alone_is_good)
{
    uint8_t header[104];
    make_header(header);
    expect(header, sizeof header, NULL);
    header[7] = 2;
    expect(header, sizeof header, NULL);
}
END_TEST

START_TEST(one_that_names_another_file_is_refused)
{
    uint8_t header[104];
    make_header(header);
    header[15] = 1;
    expect(header, sizeof header, "backing file");
    make_header(header);
    header[8] = 0x80;
    expect(header, sizeof header, "backing file");
    make_header(header);
    header[79] = 1 << 2;
    expect(header, sizeof header, "another file");
}
END_TEST

START_TEST(anything_else_is_refused)
{
    uint8_t header[104];
    make_header(header);
    expect(header, 103, "no qcow2 image");
    expect(header, 0, "no qcow2 image");
    header[35] = 1;
    expect(header, sizeof header, "encrypted");
    make_header(header);
    header[7] = 9;
    expect(header, sizeof header, "unknown qcow2 version");
    memcpy(header, "MZ\0\0", 4);
    expect(header, sizeof header, "no qcow2 image");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("image-qcow2");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, an_image_that_stands_alone_is_good);
    tcase_add_test(tcase, one_that_names_another_file_is_refused);
    tcase_add_test(tcase, anything_else_is_refused);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
