/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "../suite.h"
#include "builder/modules.h"

static const char dep[] =
    "kernel/drivers/virtio/virtio.ko:\n"
    "kernel/drivers/virtio/virtio_ring.ko.xz: kernel/drivers/virtio/virtio.ko\n"
    "kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio_ring.ko.xz "
    "kernel/drivers/virtio/virtio.ko\n"
    "kernel/drivers/char/hw_random/virtio-rng.ko.zst: kernel/drivers/virtio/virtio.ko\n"
    "kernel/a.ko: kernel/b.ko\n"
    "kernel/b.ko: kernel/a.ko\n"
    "kernel/lost.ko: kernel/gone.ko\n"
    "/etc/shadow.ko:\n"
    "../up.ko:\n"
    "kernel/hostile.ko: ../../../etc/x.ko\n";

static TbModules *parse(void)
{
    return tb_modules_parse(dep, "kernel/fs/ext4/ext4.ko\nkernel/drivers/block/virtio-blk.ko\n");
}

static char *resolve(const TbModules *modules, const char *name)
{
    g_autoptr(GPtrArray) order = g_ptr_array_new_with_free_func(g_free);
    if (!tb_modules_resolve(modules, name, order))
        return NULL;
    g_ptr_array_add(order, NULL);
    return g_strjoinv(" ", (char **)order->pdata);
}

START_TEST(what_is_needed_comes_first)
{
    g_autoptr(TbModules) modules = parse();
    g_autofree char *order = resolve(modules, "virtio_pci");
    ck_assert_str_eq(order, "kernel/drivers/virtio/virtio.ko "
                            "kernel/drivers/virtio/virtio_ring.ko.xz "
                            "kernel/drivers/virtio/virtio_pci.ko");
}
END_TEST

START_TEST(each_file_once)
{
    g_autoptr(TbModules) modules = parse();
    g_autoptr(GPtrArray) order = g_ptr_array_new_with_free_func(g_free);
    ck_assert(tb_modules_resolve(modules, "virtio_pci", order));
    ck_assert(tb_modules_resolve(modules, "virtio_rng", order));
    ck_assert(tb_modules_resolve(modules, "virtio-rng", order));
    ck_assert_uint_eq(order->len, 4);
}
END_TEST

START_TEST(builtin_needs_nothing)
{
    g_autoptr(TbModules) modules = parse();
    g_autofree char *order = resolve(modules, "ext4");
    ck_assert_str_eq(order, "");
    ck_assert(tb_modules_builtin(modules, "virtio_blk"));
    ck_assert(!tb_modules_builtin(modules, "virtio_pci"));
}
END_TEST

START_TEST(what_is_not_there_or_broken_is_refused)
{
    g_autoptr(TbModules) modules = parse();
    ck_assert_ptr_null(resolve(modules, "9p"));
    ck_assert_ptr_null(resolve(modules, "lost"));
    ck_assert_ptr_null(resolve(modules, "a"));
    ck_assert_ptr_null(resolve(modules, "shadow"));
    ck_assert_ptr_null(resolve(modules, "up"));
    g_autofree char *hostile = resolve(modules, "hostile");
    ck_assert_str_eq(hostile, "kernel/hostile.ko");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("builder-modules");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, what_is_needed_comes_first);
    tcase_add_test(tcase, each_file_once);
    tcase_add_test(tcase, builtin_needs_nothing);
    tcase_add_test(tcase, what_is_not_there_or_broken_is_refused);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
