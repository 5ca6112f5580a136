/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../suite.h"
#include "image/qcow2.h"
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

/* The jail has written it: what it names behind it must be what was put there. */
START_TEST(a_layer_names_what_it_was_made_on)
{
    static const char backing[] = "/image/base-1.qcow2";
    uint8_t file[512] = {0};
    g_autofree char *path = g_strdup_printf("/tmp/tb-qcow2-%d", (int)getpid());
    make_header(file);
    file[14] = 1; /* at 256 */
    file[19] = sizeof backing - 1;
    memcpy(file + 256, backing, sizeof backing - 1);
    ck_assert(g_file_set_contents(path, (char *)file, sizeof file, NULL));
    ck_assert(tb_qcow2_check_layer(path, backing, NULL));
    ck_assert(!tb_qcow2_check(path, NULL));
    static const struct {
        unsigned at;
        uint8_t value;
    } changes[] = {{256, 'x'}, {19, 3}, {14, 0}, {8, 0x80}, {79, 1 << 2}, {35, 1}, {0, 0}};
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autoptr(GError) error = NULL;
        uint8_t old = file[changes[i].at];
        file[changes[i].at] = changes[i].value;
        ck_assert(g_file_set_contents(path, (char *)file, sizeof file, NULL));
        ck_assert_msg(!tb_qcow2_check_layer(path, backing, &error), "change %zu", i);
        ck_assert_int_eq(tb_error_code(error), TB_ERROR_IMAGE);
        file[changes[i].at] = old;
    }
    unlink(path);
}
END_TEST

START_TEST(tools_are_told_what_lies_behind)
{
    const char *const bases[] = {"/a\"b", "/c,d", NULL};
    g_autofree char *alone = tb_disk_description("/x", NULL);
    ck_assert_str_eq(alone, "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\","
                            "\"filename\":\"/x\"},\"backing\":null}");
    g_autofree char *layers = tb_disk_description("/x", bases);
    ck_assert_ptr_nonnull(strstr(layers, "\"backing\":{\"driver\":\"qcow2\",\"file\":{\"driver\":"
                                         "\"file\",\"filename\":\"/a\\\"b\"}"));
    ck_assert(g_str_has_suffix(layers, "\"/c,d\"},\"backing\":null}}}"));
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
    tcase_add_test(tcase, a_layer_names_what_it_was_made_on);
    tcase_add_test(tcase, tools_are_told_what_lies_behind);
    tcase_add_test(tcase, anything_else_is_refused);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
