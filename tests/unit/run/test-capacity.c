/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../task/fixture.h"

#include <sched.h>

#include "run/capacity.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static void put(const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(root, name, NULL);
    g_autofree char *dir = g_path_get_dirname(path);
    ck_assert_int_eq(g_mkdir_with_parents(dir, 0755), 0);
    ck_assert(g_file_set_contents(path, text, -1, NULL));
}

static const char meminfo[] = "MemTotal:       16777216 kB\nMemFree:        1 kB\n"; /* 16 GiB */

static const struct {
    const char *groups, *file, *text;
    uint64_t memory;
} limits[] = {
    {"", "sys/fs/cgroup/memory.max", "1\n", 16 * GIB}, /* we are in no group */
    {"0::/a/b\n", "sys/fs/cgroup/a/b/memory.max", "max\n", 16 * GIB},
    {"0::/a/b\n", "sys/fs/cgroup/a/b/memory.max", "4294967296\n", 4 * GIB},
    {"0::/a/b\n", "sys/fs/cgroup/a/memory.max", "4294967296\n", 4 * GIB}, /* of a group above */
    {"0::/a/b\n", "sys/fs/cgroup/memory.max", "4294967296\n", 4 * GIB},   /* a container's */
    {"0::/\n", "sys/fs/cgroup/memory.max", "4294967296\n", 4 * GIB},
    {"0::/a/b\n", "sys/fs/cgroup/other/memory.max", "4294967296\n", 16 * GIB},
    {"0::/a/b\n", "sys/fs/cgroup/a/b/memory.max", "34359738368\n",
     16 * GIB}, /* more than we have */
    {"5:cpu:/a\n4:memory:/c\n0::/\n", "sys/fs/cgroup/memory/c/memory.limit_in_bytes",
     "2147483648\n", 2 * GIB},
    {"4:memory:/c\n", "sys/fs/cgroup/memory/c/memory.limit_in_bytes", "9223372036854771712\n",
     16 * GIB},
};

START_TEST(test_memory)
{
    put("proc/meminfo", meminfo);
    put("proc/self/cgroup", limits[_i].groups);
    put(limits[_i].file, limits[_i].text);
    ck_assert_uint_eq(tb_capacity_memory(root), limits[_i].memory);
}
END_TEST

START_TEST(test_reserve)
{
    ck_assert_uint_eq(tb_capacity_less_reserve(40 * GIB), 36 * GIB);
    ck_assert_uint_eq(tb_capacity_less_reserve(4 * GIB), 3 * GIB);
    ck_assert_uint_eq(tb_capacity_less_reserve(GIB), 512 * MIB); /* a recipe's default: half */
}
END_TEST

START_TEST(test_what_is_set_wins)
{
    const TbCapacity nothing = {0}, cpus = {.cpus = 3}, both = {.cpus = 3, .memory = 5 * MIB};
    TbCapacity own = tb_capacity_get(&nothing);
    ck_assert_uint_eq(own.memory, tb_capacity_less_reserve(tb_capacity_memory("")));
    ck_assert_uint_eq(tb_capacity_get(&cpus).cpus, 3);
    ck_assert_uint_eq(tb_capacity_get(&cpus).memory, own.memory);
    ck_assert_uint_eq(tb_capacity_get(&both).cpus, 3);
    ck_assert_uint_eq(tb_capacity_get(&both).memory, 5 * MIB);
}
END_TEST

START_TEST(test_affinity_counts)
{
    cpu_set_t allowed, one;
    ck_assert_int_eq(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    const TbCapacity nothing = {0};
    ck_assert_uint_eq(tb_capacity_get(&nothing).cpus,
                      (unsigned)CPU_COUNT(&allowed) * TB_CAPACITY_OVERCOMMIT);
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &allowed))
            CPU_SET(cpu, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    ck_assert_uint_eq(tb_capacity_get(&nothing).cpus, TB_CAPACITY_OVERCOMMIT);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("capacity");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_loop_test(cases, test_memory, 0, G_N_ELEMENTS(limits));
    tcase_add_test(cases, test_reserve);
    tcase_add_test(cases, test_what_is_set_wins);
    tcase_add_test(cases, test_affinity_counts);
    return suite_run_case("task capacity", cases);
}
