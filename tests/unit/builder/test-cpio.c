/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "../suite.h"
#include "builder/cpio.h"

static GBytes *sample(void)
{
    TbCpio cpio;
    tb_cpio_begin(&cpio);
    tb_cpio_dir(&cpio, "dev", 0755);
    tb_cpio_char(&cpio, "dev/console", 0600, 5, 1);
    tb_cpio_file(&cpio, "init", 0755, "hello", 5);
    tb_cpio_file(&cpio, "empty", 0644, NULL, 0);
    return tb_cpio_end(&cpio);
}

static unsigned field(const char *header, int number)
{
    char text[9] = {0};
    memcpy(text, header + 6 + 8 * number, 8);
    return (unsigned)strtoul(text, NULL, 16);
}

/* Walks the archive by its own lengths, as the kernel does. */
START_TEST(every_entry_is_where_the_last_one_ends)
{
    static const struct {
        const char *name;
        unsigned mode, size;
    } want[] = {{"dev", 040755, 0},
                {"dev/console", 020600, 0},
                {"init", 0100755, 5},
                {"empty", 0100644, 0},
                {"TRAILER!!!", 0, 0}};
    g_autoptr(GBytes) archive = sample();
    size_t length = 0, at = 0;
    const char *data = g_bytes_get_data(archive, &length);
    for (size_t i = 0; i < G_N_ELEMENTS(want); i++) {
        ck_assert_uint_le(at + 110, length);
        ck_assert_int_eq(memcmp(data + at, "070701", 6), 0);
        ck_assert_uint_eq(field(data + at, 1), want[i].mode);
        unsigned size = field(data + at, 6), name_size = field(data + at, 11);
        ck_assert_uint_eq(size, want[i].size);
        ck_assert_str_eq(data + at + 110, want[i].name);
        ck_assert_uint_eq(name_size, strlen(want[i].name) + 1);
        at = (at + 110 + name_size + 3) / 4 * 4;
        if (size > 0)
            ck_assert_int_eq(memcmp(data + at, "hello", size), 0);
        at = (at + size + 3) / 4 * 4;
    }
    ck_assert_uint_eq(at, length);
}
END_TEST

START_TEST(the_same_content_gives_the_same_bytes)
{
    g_autoptr(GBytes) a = sample(), b = sample();
    ck_assert(g_bytes_equal(a, b));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("builder-cpio");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, every_entry_is_where_the_last_one_ends);
    tcase_add_test(tcase, the_same_content_gives_the_same_bytes);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
