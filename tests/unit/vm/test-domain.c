/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The domain XML against golden files, and what must never be in one. */
#include <libxml/parser.h>
#include <string.h>

#include "golden.h"
#include "vm/domain.h"

static const TbDomainSpec plain = {
    .name = "x7k2",
    .emulator = "/usr/bin/qemu-system-x86_64",
    .cpus = 2,
    .memory = 1024ULL * 1024 * 1024,
    .kernel = "/image/kernel",
    .initrd = "/image/initrd",
    .cmdline = "root=/dev/vda console=ttyS0 quiet",
    .disk = "/vm/overlay.qcow2",
    .backing = "/image/disk.qcow2",
    .channel = "/vm/chan.sock",
    .egress = "/vm/egress.sock",
    .console = "/vm/console.log",
};

static void assert_spec(const TbDomainSpec *spec, const char *golden)
{
    g_autofree char *xml = tb_domain_xml(spec);
    assert_golden(golden, xml);
}

START_TEST(plain_box)
{
    assert_spec(&plain, "domain-plain.xml");
}
END_TEST

START_TEST(kvm_box_with_project_disk)
{
    TbDomainSpec spec = plain;
    spec.kvm = true;
    spec.project_disk = "/image/project";
    assert_spec(&spec, "domain-kvm-project.xml");
}
END_TEST

START_TEST(box_with_shared_folder)
{
    TbDomainSpec spec = plain;
    spec.project_dir = "/project";
    assert_spec(&spec, "domain-9p.xml");
}
END_TEST

/* A place for the file server's device, and memory that the server can map: never the template's.
 */
START_TEST(box_with_file_server)
{
    TbDomainSpec spec = plain;
    spec.share_port = true;
    spec.memory_kind = TB_MEMORY_OWN;
    spec.memory_file = "/ram/memory";
    assert_spec(&spec, "domain-share.xml");
    spec.memory_kind = TB_MEMORY_COPY;
    spec.backing = "/image/template.qcow2";
    spec.base = "/image/disk.qcow2";
    assert_spec(&spec, "domain-share-fork.xml");
}
END_TEST

START_TEST(image_build)
{
    TbDomainSpec spec = plain;
    spec.disk = "/image/disk.qcow2";
    spec.backing = NULL;
    spec.initrd = NULL;
    spec.network = true;
    assert_spec(&spec, "domain-build.xml");
}
END_TEST

/* Of what a box is frozen and forked: the shared memory is written, a private one never. */
static TbDomainSpec fork_spec(void)
{
    TbDomainSpec spec = plain;
    spec.project_disk = "/image/project";
    spec.memory_kind = TB_MEMORY_PRIVATE;
    spec.memory_file = "/image/memory";
    spec.backing = "/image/template.qcow2";
    spec.base = "/image/disk.qcow2";
    return spec;
}

START_TEST(box_to_freeze)
{
    TbDomainSpec spec = plain;
    spec.memory_kind = TB_MEMORY_SHARED;
    spec.memory_file = "/vm/memory";
    spec.project_disk = "/image/project";
    assert_spec(&spec, "domain-freezable.xml");
}
END_TEST

START_TEST(fork_with_an_old_qemu)
{
    TbDomainSpec spec = fork_spec();
    spec.memory_preload = "/run/taskbox-memory.so";
    assert_spec(&spec, "domain-fork-preload.xml");
}
END_TEST

START_TEST(fork_with_a_new_qemu)
{
    TbDomainSpec spec = fork_spec();
    assert_spec(&spec, "domain-fork.xml");
}
END_TEST

/* All that a layer lies on is named, behind a fork's template and while the layer is built. */
START_TEST(box_of_a_layer)
{
    static const char *const bases[] = {"/image/base-1.qcow2", "/image/base-2.qcow2"};
    TbDomainSpec spec = fork_spec();
    spec.bases = bases;
    spec.n_bases = 2;
    assert_spec(&spec, "domain-layers.xml");
    spec = plain;
    spec.disk = "/image/disk.qcow2";
    spec.backing = NULL;
    spec.bases = bases;
    spec.n_bases = 1;
    assert_spec(&spec, "domain-layer-build.xml");
}
END_TEST

START_TEST(text_is_escaped)
{
    TbDomainSpec spec = plain;
    spec.cmdline = "init=\"</cmdline><evil a='b'>&\"";
    g_autofree char *xml = tb_domain_xml(&spec);
    ck_assert_ptr_null(strstr(xml, "<evil"));
    xmlDoc *document = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, XML_PARSE_NONET);
    ck_assert_ptr_nonnull(document);
    xmlFreeDoc(document);
}
END_TEST

START_TEST(nothing_a_box_does_not_need)
{
    static const char *const unwanted[] = {"<interface", "<graphics", "<video",  "<sound",
                                           "<hostdev",   "<tpm",      "<floppy", "vsock",
                                           "<input",     "<rng",      NULL};
    g_autofree char *xml = tb_domain_xml(&plain);
    for (const char *const *word = unwanted; *word; word++)
        ck_assert_msg(!strstr(xml, *word), "%s is there", *word);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vm-domain");
    TCase *tests = tcase_create("xml");
    tcase_add_test(tests, plain_box);
    tcase_add_test(tests, kvm_box_with_project_disk);
    tcase_add_test(tests, box_with_shared_folder);
    tcase_add_test(tests, box_with_file_server);
    tcase_add_test(tests, image_build);
    tcase_add_test(tests, box_to_freeze);
    tcase_add_test(tests, fork_with_an_old_qemu);
    tcase_add_test(tests, fork_with_a_new_qemu);
    tcase_add_test(tests, box_of_a_layer);
    tcase_add_test(tests, text_is_escaped);
    tcase_add_test(tests, nothing_a_box_does_not_need);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
