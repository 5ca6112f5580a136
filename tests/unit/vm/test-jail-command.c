/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The jail's argument vector against golden files: what is visible in it, word for word. */
#include "golden.h"
#include "vm/jail-private.h"

static const char *const arguments[] = {"--name=x7k2", "--cpus=1", NULL};
static const char *const sources[] = {"/state/box", "/lib/taskbox-vmm", "/images/a/disk.qcow2",
                                      "/images/a/kernel"};
static const TbJailData data[] = {{.target = "/lv/etc/qemu.conf"}, {.target = "/etc/passwd"}};

static TbJailSpec spec_of_box(void)
{
    return (TbJailSpec){
        .id = "x7k2",
        .dir = "/state/box",
        .binds = {{.source = "/images/a/disk.qcow2", .target = "/image/disk.qcow2"},
                  {.source = "/images/a/kernel", .target = "/image/kernel"}},
        .n_binds = 2,
        .file_limit = 1 << 30,
        .arguments = arguments,
    };
}

/* One option a line: a change of the jail is then a change of lines. */
static void assert_command(const TbJailSpec *spec, const char *golden)
{
    TbJailPlan plan = {
        .spec = spec, .vmm = sources[1], .sources = sources, .data = data, .n_data = 2};
    g_autoptr(TbCommand) command = tb_jail_command(&plan);
    g_autofree char *line = tb_command_to_string(command);
    g_auto(GStrv) options = g_strsplit(line, " --", -1);
    g_autofree char *lines = g_strjoinv("\n--", options);
    g_autofree char *text = g_strconcat(lines, "\n", NULL);
    assert_golden(golden, text);
}

START_TEST(box_of_a_task)
{
    TbJailSpec spec = spec_of_box();
    assert_command(&spec, "jail-plain.txt");
}
END_TEST

START_TEST(box_with_kvm)
{
    TbJailSpec spec = spec_of_box();
    spec.kvm = true;
    assert_command(&spec, "jail-kvm.txt");
}
END_TEST

START_TEST(image_build_with_network)
{
    TbJailSpec spec = spec_of_box();
    spec.network = true;
    spec.binds[0].writable = true;
    assert_command(&spec, "jail-build.txt");
}
END_TEST

START_TEST(box_with_own_memory)
{
    TbJailSpec spec = spec_of_box();
    spec.own_memory = true;
    spec.memory = 1 << 30;
    assert_command(&spec, "jail-memory.txt");
}
END_TEST

/* Of the host it sees the project, read-only, with nothing of its git directories; nothing is
 * writable, and libvirt has no place. */
START_TEST(file_server)
{
    TbJailSpec spec = spec_of_box();
    spec.dir = "/home/user/project";
    spec.n_binds = 0;
    spec.file_server = true;
    assert_command(&spec, "jail-share.txt");
    spec.changes_root = true;
    static const char *const unshared[] = {".git", "deep/inner/.git", NULL};
    spec.unshared = unshared;
    assert_command(&spec, "jail-share-root.txt");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vm-jail-command");
    TCase *tests = tcase_create("argv");
    tcase_add_test(tests, box_of_a_task);
    tcase_add_test(tests, box_with_kvm);
    tcase_add_test(tests, image_build_with_network);
    tcase_add_test(tests, box_with_own_memory);
    tcase_add_test(tests, file_server);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
