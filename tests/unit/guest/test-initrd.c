/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of the initramfs's init that need no kernel of their own. */
#include <check.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "../suite.h"
#include "guest/initrd.h"

START_TEST(options)
{
    static const char line[] =
        "console=ttyS0 root=/dev/vda xroot=no root=LABEL=system\trw init=/a\n";
    char value[32];
    ck_assert(tb_initrd_option(line, "root=", value, sizeof value));
    ck_assert_str_eq(value, "LABEL=system");
    ck_assert(tb_initrd_option(line, "init=", value, sizeof value));
    ck_assert_str_eq(value, "/a");
    ck_assert(!tb_initrd_option(line, "rootflags=", value, sizeof value));
    ck_assert(!tb_initrd_option("", "root=", value, sizeof value));
    char small[5];
    ck_assert(tb_initrd_option(line, "root=", small, sizeof small));
    ck_assert_str_eq(small, "LABE");
}
END_TEST

START_TEST(labels_and_ids)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("taskbox-super-XXXXXX", &path, NULL);
    uint8_t block[2048] = {0};
    block[1024 + 56] = 0x53;
    block[1024 + 57] = 0xef;
    for (int i = 0; i < 16; i++)
        block[1024 + 104 + i] = (uint8_t)(0xa0 + i);
    memcpy(block + 1024 + 120, "sixteen-letters!", 16);
    ck_assert_int_eq(write(fd, block, sizeof block), (ssize_t)sizeof block);
    ck_assert(tb_initrd_matches(path, "LABEL=sixteen-letters!"));
    ck_assert(!tb_initrd_matches(path, "LABEL=sixteen-letters!!"));
    ck_assert(!tb_initrd_matches(path, "LABEL=sixteen"));
    ck_assert(tb_initrd_matches(path, "UUID=A0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf"));
    ck_assert(!tb_initrd_matches(path, "UUID=a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeae"));
    ck_assert(!tb_initrd_matches(path, "PARTUUID=1"));
    ck_assert_int_eq(ftruncate(fd, 1100), 0);
    ck_assert(!tb_initrd_matches(path, "LABEL=sixteen-letters!"));
    ck_assert(!tb_initrd_matches("/nonexistent", "LABEL=x"));
    close(fd);
    g_unlink(path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("guest-initrd");
    TCase *tcase = tcase_create("initrd");
    tcase_add_test(tcase, options);
    tcase_add_test(tcase, labels_and_ids);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
