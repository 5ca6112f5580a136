/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a box's control group would be made, in trees of plain files; and a real one where this
 * machine and user can have it. */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../suite.h"
#include "util/auto.h"
#include "util/fs.h"
#include "vm/cgroup.h"

static char *mount_dir;

static void set_up(void)
{
    mount_dir = g_dir_make_tmp("taskbox-cgroup-XXXXXX", NULL);
}

static void tear_down(void)
{
    ck_assert(tb_remove_tree(AT_FDCWD, mount_dir, NULL));
    g_clear_pointer(&mount_dir, g_free);
}

static void put(const char *group, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(mount_dir, group, name, NULL);
    ck_assert(g_file_set_contents(path, text, -1, NULL));
}

static char *get(const char *group, const char *name)
{
    g_autofree char *path = g_build_filename(mount_dir, group, name, NULL);
    char *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) ? text : g_strdup("");
}

/* A group of ours. `control`: what it hands on; `procs`: who is in it. For root systemd's mark says
 * that it was given to us; false: it cannot be put here. */
static bool add_group(const char *group, bool ours, const char *control, const char *procs)
{
    g_autofree char *dir = g_build_filename(mount_dir, group, NULL);
    ck_assert_int_eq(g_mkdir_with_parents(dir, 0755), 0);
    put(group, "cgroup.subtree_control", control);
    put(group, "cgroup.procs", procs);
    if (ours && geteuid() == 0)
        return setxattr(dir, "trusted.delegate", "1", 1, 0) == 0 ||
               setxattr(dir, "user.delegate", "1", 1, 0) == 0;
    return true;
}

static TbCgroupPlace *find(const char *own, const char *reason)
{
    g_autofree char *why = NULL;
    TbCgroupPlace *place = tb_cgroup_find_in(mount_dir, own, &why);
    ck_assert_msg((reason == NULL) == (place != NULL), "%s", why ? why : "found");
    ck_assert_msg(!reason || strstr(why, reason), "'%s' is not '%s'", why, reason);
    return place;
}

START_TEST(version_one_only)
{
    put("", "cgroup.controllers", "");
    find("0::/\n", "no cgroups of version 2");
    put("", "cgroup.controllers", "cpu memory pids\n");
    find("4:memory:/x\n", "in no group of version 2");
    find("0::/../x\n", "in no group of version 2");
}
END_TEST

START_TEST(the_nearest_that_hands_on)
{
    put("", "cgroup.controllers", "cpuset cpu io memory pids\n");
    ck_assert(add_group("user/app/own.scope", true, "", "1\n2\n"));
    ck_assert(add_group("user/app", true, "memory pids\n", ""));
    ck_assert(add_group("user", true, "cpu memory pids\n", ""));
    g_autoptr(TbCgroupPlace) place = find("1:name=systemd:/z\n0::/user/app/own.scope\n", NULL);
    ck_assert(g_str_has_suffix(place->dir, "/user/app"));
    ck_assert(place->memory && place->pids && !place->cpu);
}
END_TEST

/* The kernel lets a group with processes hand nothing on, so it is not even asked; what is in one
 * that was handed over whole is put aside first. */
START_TEST(nobody_is_in_the_way)
{
    put("", "cgroup.controllers", "memory pids\n");
    bool marked = add_group("own", true, "", "77\n78\n") && geteuid() == 0;
    find("0::/own\n", "do not hand on");
    g_autofree char *kept = get("own", "cgroup.subtree_control");
    ck_assert_str_eq(kept, "");
    g_autofree char *aside = get("own/taskbox-aside", "cgroup.procs");
    ck_assert_str_eq(aside, marked ? "78" : ""); /* each overwrites the last one, in a plain file */
    put("own", "cgroup.procs", "");
    find("0::/own\n", "do not hand on"); /* a plain file does not turn into an answer */
    g_autofree char *asked = get("own", "cgroup.subtree_control");
    ck_assert(g_str_has_prefix(asked, "+"));
}
END_TEST

/* Root could write anywhere, and takes nothing that was not given to it. */
START_TEST(not_given)
{
    put("", "cgroup.controllers", "memory pids\n");
    ck_assert(add_group("system", false, "memory pids\n", ""));
    ck_assert(add_group("system/own", false, "memory pids\n", ""));
    if (geteuid() == 0)
        find("0::/system/own\n", "no group is delegated");
    g_autofree char *dir = g_build_filename(mount_dir, "system/own", NULL);
    if (geteuid() == 0)
        ck_assert_int_eq(chown(dir, 12345, 12345), 0);
    find("0::/system/gone/own\n", geteuid() == 0 ? "no group is delegated" : NULL);
}
END_TEST

START_TEST(a_group)
{
    GError *error = NULL;
    const TbCgroupPlace place = {.dir = mount_dir, .memory = true, .pids = true, .cpu = true};
    g_autofree char *old = g_build_filename(mount_dir, "taskbox-old-1", NULL);
    g_autofree char *other = g_build_filename(mount_dir, "others", NULL);
    g_autofree char *young = g_build_filename(mount_dir, "taskbox-young-1", NULL);
    const struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    ck_assert(mkdir(old, 0700) == 0 && mkdir(other, 0700) == 0 && mkdir(young, 0700) == 0);
    ck_assert_int_eq(utimensat(AT_FDCWD, old, long_ago, 0), 0);
    ck_assert_int_eq(utimensat(AT_FDCWD, other, long_ago, 0), 0);
    TbCgroup *group = tb_cgroup_new(&place, "brave", UINT64_C(2) << 30, &error);
    ck_assert_msg(group != NULL, "%s", error ? error->message : "");
    ck_assert(!g_file_test(old, G_FILE_TEST_EXISTS));
    ck_assert(g_file_test(other, G_FILE_TEST_EXISTS) && g_file_test(young, G_FILE_TEST_EXISTS));
    g_autofree char *name = g_strdup_printf("taskbox-brave-%d", (int)getpid());
    g_autofree char *memory = get(name, "memory.max");
    g_autofree char *pids = get(name, "pids.max");
    g_autofree char *weight = get(name, "cpu.weight");
    ck_assert_str_eq(memory, "3758096384"); /* 2 GiB, a quarter of it, and 1 GiB */
    ck_assert_str_eq(pids, "1200");
    ck_assert_str_eq(weight, "50");
    ck_assert_int_eq(write(tb_cgroup_fd(group), "0", 1), 1);
    ck_assert_uint_eq(tb_cgroup_killed(group), 0);
    put(name, "memory.events", "low 0\nmax 9\noom 2\noom_kill 3\n");
    ck_assert_uint_eq(tb_cgroup_killed(group), 3);
    g_autofree char *dir = g_build_filename(mount_dir, name, NULL);
    ck_assert(tb_remove_tree(AT_FDCWD, dir, NULL)); /* in a real one the files go by themselves */
    tb_cgroup_free(group);
}
END_TEST

/* ---- the real thing, where there is one */

START_TEST(real)
{
    GError *error = NULL;
    g_autoptr(TbCgroupPlace) place = tb_cgroup_find(NULL);
    if (!place)
        return;
    TbCgroup *group = tb_cgroup_new(place, "test", UINT64_C(64) << 20, &error);
    ck_assert_msg(group != NULL, "%s", error ? error->message : "");
    int ends[2];
    char said[512] = "";
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int own = write(tb_cgroup_fd(group), "0", 1) == 1
                      ? open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC)
                      : -1;
        ssize_t got = own < 0 ? 0 : read(own, said, sizeof said);
        if (got <= 0 || write(ends[1], said, (size_t)got) != got)
            _exit(1);
        pause();
    }
    close(ends[1]);
    ck_assert_int_gt(read(ends[0], said, sizeof said - 1), 0);
    ck_assert_msg(strstr(said, "/taskbox-test-") != NULL, "the child is in %s", said);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    close(ends[0]);
    g_autofree char *dir = g_strdup_printf("%s/taskbox-test-%d", place->dir, (int)getpid());
    g_autofree char *file = g_build_filename(dir, "memory.max", NULL);
    g_autofree char *most = NULL;
    ck_assert(g_file_get_contents(file, &most, NULL, NULL));
    ck_assert_str_eq(g_strstrip(most), "1157627904");
    tb_cgroup_free(group);
    ck_assert(!g_file_test(dir, G_FILE_TEST_EXISTS));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vm-cgroup");
    TCase *tests = tcase_create("cgroup");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, version_one_only);
    tcase_add_test(tests, the_nearest_that_hands_on);
    tcase_add_test(tests, nobody_is_in_the_way);
    tcase_add_test(tests, not_given);
    tcase_add_test(tests, a_group);
    tcase_add_test(tests, real);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
