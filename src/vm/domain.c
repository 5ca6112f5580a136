/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machine a box is.
 *
 * It has what a task needs and no more: every device is code of QEMU's that the guest can talk to.
 * So there is no network card (but for image builds), no USB, no graphics, no sound, no balloon, no
 * watchdog, no PS/2. All disks name their format, the backing file too: nothing is ever probed.
 * Devices sit on the root bus at fixed places: the guest finds them without walking bridges, and
 * every box of one kind looks alike (which a frozen template relies on).
 */
#include "vm/domain.h"
#include "util/hole.h"

#include <libxml/xmlwriter.h>
#include <stdarg.h>

#define QEMU_NAMESPACE  "http://libvirt.org/schemas/domain/qemu/1.0"
#define TCG_CACHE_MIB   "512"
#define CHANNEL_NAME    "taskbox.channel.0"
#define EGRESS_NAME     "taskbox.egress.0"
#define PROJECT_SERIAL  "tbproject"
#define PROJECT_TAG     "project"
#define RECONNECT_AFTER "1" /* seconds */

enum { SLOT_DISK = 2, SLOT_PROJECT_DISK, SLOT_CHANNEL, SLOT_PROJECT_DIR, SLOT_NETWORK, SLOT_SHARE };

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlTextWriter, xmlFreeTextWriter)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlBuffer, xmlBufferFree)

/* The writer fails for want of memory only, and then we do not live on either. */
static void must(int result)
{
    if (result < 0)
        g_error("cannot write the domain XML: out of memory");
}

static void begin(xmlTextWriter *w, const char *element)
{
    must(xmlTextWriterStartElement(w, BAD_CAST element));
}

static void end(xmlTextWriter *w)
{
    must(xmlTextWriterEndElement(w));
}

static void attribute(xmlTextWriter *w, const char *name, const char *value)
{
    must(xmlTextWriterWriteAttribute(w, BAD_CAST name, BAD_CAST value));
}

/* Attributes as name, value, ..., NULL; the element stays open. */
static void begin_with(xmlTextWriter *w, const char *element, ...)
{
    begin(w, element);
    va_list args;
    va_start(args, element);
    for (const char *name; (name = va_arg(args, const char *));)
        attribute(w, name, va_arg(args, const char *));
    va_end(args);
}

#define empty(w, ...)                                                                              \
    do {                                                                                           \
        begin_with(w, __VA_ARGS__);                                                                \
        end(w);                                                                                    \
    } while (0)

static void text(xmlTextWriter *w, const char *element, const char *content)
{
    must(xmlTextWriterWriteElement(w, BAD_CAST element, BAD_CAST content));
}

static void pci_address(xmlTextWriter *w, int slot)
{
    char number[16];
    g_snprintf(number, sizeof number, "0x%02x", (unsigned)slot);
    empty(w, "address", "type", "pci", "domain", "0x0000", "bus", "0x00", "slot", number,
          "function", "0x0", NULL);
}

bool tb_domain_waits(const TbDomainSpec *spec)
{
    return spec->memory_kind == TB_MEMORY_PRIVATE || spec->memory_kind == TB_MEMORY_COPY;
}

static void write_size(xmlTextWriter *w, const TbDomainSpec *spec)
{
    char number[32];
    begin_with(w, "memory", "unit", "b", NULL);
    g_snprintf(number, sizeof number, "%" G_GUINT64_FORMAT, spec->memory);
    must(xmlTextWriterWriteString(w, BAD_CAST number));
    end(w);
    begin_with(w, "vcpu", "placement", "static", NULL);
    g_snprintf(number, sizeof number, "%u", spec->cpus);
    must(xmlTextWriterWriteString(w, BAD_CAST number));
    end(w);
}

static void write_boot(xmlTextWriter *w, const TbDomainSpec *spec)
{
    begin(w, "os");
    begin_with(w, "type", "arch", "x86_64", "machine", "q35", NULL);
    must(xmlTextWriterWriteString(w, BAD_CAST "hvm"));
    end(w);
    if (!tb_domain_waits(spec)) {
        text(w, "kernel", spec->kernel);
        if (spec->initrd)
            text(w, "initrd", spec->initrd);
        text(w, "cmdline", spec->cmdline);
    }
    end(w);
}

static void write_cpu_and_features(xmlTextWriter *w, const TbDomainSpec *spec)
{
    begin(w, "features");
    begin(w, "acpi");
    end(w);
    begin(w, "apic");
    end(w);
    if (!spec->kvm) { /* its default of up to 1 GiB a box is memory nobody planned with */
        begin(w, "tcg");
        begin_with(w, "tb-cache", "unit", "MiB", NULL);
        must(xmlTextWriterWriteString(w, BAD_CAST TCG_CACHE_MIB));
        end(w);
        end(w);
    }
    empty(w, "vmport", "state", "off", NULL);
    empty(w, "smm", "state", "off", NULL);
    end(w);
    if (spec->kvm) {
        empty(w, "cpu", "mode", "host-passthrough", "check", "none", NULL);
        return;
    }
    begin_with(w, "cpu", "mode", "maximum", "check", "none", NULL);
    empty(w, "feature", "policy", "disable", "name", "la57", NULL); /* TCG: kernels hung with it */
    end(w);
}

/* A guest that is done is gone: nothing restarts. */
static void write_life(xmlTextWriter *w)
{
    begin_with(w, "clock", "offset", "utc", NULL);
    empty(w, "timer", "name", "hpet", "present", "no", NULL);
    end(w);
    text(w, "on_poweroff", "destroy");
    text(w, "on_reboot", tb_hole("reset") ? "restart" : "destroy");
    text(w, "on_crash", "destroy");
    begin(w, "pm");
    empty(w, "suspend-to-mem", "enabled", "no", NULL);
    empty(w, "suspend-to-disk", "enabled", "no", NULL);
    end(w);
}

/* Begins the element of what is behind a disk, when there is one; how many were begun. */
static unsigned write_behind(xmlTextWriter *w, const char *file)
{
    if (!file)
        return 0;
    begin_with(w, "backingStore", "type", "file", NULL);
    empty(w, "format", "type", "qcow2", NULL);
    empty(w, "source", "file", file, NULL);
    return 1;
}

/* cache=unsafe: after a crash of the host a box is thrown away in any case. */
static void write_disk(xmlTextWriter *w, const TbDomainSpec *spec)
{
    begin_with(w, "disk", "type", "file", "device", "disk", "model", "virtio-non-transitional",
               NULL);
    empty(w, "driver", "name", "qemu", "type", "qcow2", "cache", "unsafe", "discard", "unmap",
          NULL);
    empty(w, "source", "file", spec->disk, NULL);
    unsigned depth = write_behind(w, spec->backing);
    depth += write_behind(w, spec->backing ? spec->base : NULL);
    for (unsigned i = 0; i < spec->n_bases; i++)
        depth += write_behind(w, spec->bases[i]);
    empty(w, "backingStore", NULL);
    while (depth-- > 0)
        end(w);
    empty(w, "target", "dev", "vda", "bus", "virtio", NULL);
    pci_address(w, SLOT_DISK);
    end(w);
}

static void write_project_disk(xmlTextWriter *w, const TbDomainSpec *spec)
{
    if (!spec->project_disk)
        return;
    begin_with(w, "disk", "type", "file", "device", "disk", "model", "virtio-non-transitional",
               NULL);
    empty(w, "driver", "name", "qemu", "type", "raw", NULL);
    empty(w, "source", "file", spec->project_disk, NULL);
    begin(w, "backingStore");
    end(w);
    empty(w, "target", "dev", "vdb", "bus", "virtio", NULL);
    if (!tb_hole("project-disk")) {
        begin(w, "readonly");
        end(w);
    }
    text(w, "serial", PROJECT_SERIAL);
    pci_address(w, SLOT_PROJECT_DISK);
    end(w);
}

static void write_project_dir(xmlTextWriter *w, const TbDomainSpec *spec)
{
    if (!spec->project_dir)
        return;
    begin_with(w, "filesystem", "type", "mount", "accessmode", "passthrough", "model",
               "virtio-non-transitional", "multidevs", "remap", NULL);
    empty(w, "source", "dir", spec->project_dir, NULL);
    empty(w, "target", "dir", PROJECT_TAG, NULL);
    if (!tb_hole("share-9p")) {
        begin(w, "readonly");
        end(w);
    }
    pci_address(w, SLOT_PROJECT_DIR);
    end(w);
}

/* On the root bus nothing can be plugged in. */
static void write_share_port(xmlTextWriter *w, const TbDomainSpec *spec)
{
    if (!spec->share_port)
        return;
    begin_with(w, "controller", "type", "pci", "index", "1", "model", "pcie-root-port", NULL);
    pci_address(w, SLOT_SHARE);
    end(w);
}

static void write_network(xmlTextWriter *w, const TbDomainSpec *spec)
{
    if (!spec->network)
        return;
    begin_with(w, "interface", "type", "user", NULL);
    empty(w, "model", "type", "virtio-non-transitional", NULL);
    begin_with(w, "rom", "enabled", "no", NULL);
    end(w);
    pci_address(w, SLOT_NETWORK);
    end(w);
}

/* The host listens before the machine exists, so no path that the machine could have changed is
 * ever looked up by the host. */
static void write_channel(xmlTextWriter *w, const TbDomainSpec *spec)
{
    begin_with(w, "controller", "type", "virtio-serial", "index", "0", "model",
               "virtio-non-transitional", NULL);
    pci_address(w, SLOT_CHANNEL);
    end(w);
    begin_with(w, "channel", "type", "unix", NULL);
    begin_with(w, "source", "mode", "connect", "path", spec->channel, NULL);
    empty(w, "reconnect", "enabled", "yes", "timeout", RECONNECT_AFTER, NULL);
    end(w);
    empty(w, "target", "type", "virtio", "name", CHANNEL_NAME, NULL);
    end(w);
}

/* Connected once, before the machine runs: when its host end is gone, it is gone for good. */
static void write_egress(xmlTextWriter *w, const TbDomainSpec *spec)
{
    begin_with(w, "channel", "type", "unix", NULL);
    empty(w, "source", "mode", "connect", "path", spec->egress, NULL);
    empty(w, "target", "type", "virtio", "name", EGRESS_NAME, NULL);
    end(w);
}

static void write_console(xmlTextWriter *w, const TbDomainSpec *spec)
{
    begin_with(w, "serial", "type", "file", NULL);
    empty(w, "source", "path", spec->console, "append", "on", NULL);
    empty(w, "target", "type", "isa-serial", "port", "0", NULL);
    end(w);
}

static void write_devices(xmlTextWriter *w, const TbDomainSpec *spec)
{
    begin(w, "devices");
    text(w, "emulator", spec->emulator);
    write_disk(w, spec);
    write_project_disk(w, spec);
    write_project_dir(w, spec);
    write_share_port(w, spec);
    write_network(w, spec);
    write_channel(w, spec);
    write_egress(w, spec);
    write_console(w, spec);
    empty(w, "controller", "type", "usb", "model", "none", NULL);
    empty(w, "memballoon", "model", "none", NULL);
    empty(w, "audio", "id", "1", "type", "none", NULL);
    end(w);
}

static void qemu_argument(xmlTextWriter *w, const char *option, const char *value)
{
    empty(w, "qemu:arg", "value", option, NULL);
    empty(w, "qemu:arg", "value", value, NULL);
}

/* libvirt chooses the place of a memory file itself, and knows no private mapping of a file that
 * is not to be written. Its own memory object stays unused and untouched. */
static void write_memory_file(xmlTextWriter *w, const TbDomainSpec *spec)
{
    bool private = spec->memory_kind == TB_MEMORY_PRIVATE;
    g_autofree char *object = g_strdup_printf(
        "memory-backend-file,id=tbram,size=%" G_GUINT64_FORMAT ",mem-path=%s,share=%s%s",
        spec->memory, spec->memory_file, private ? "off" : "on",
        private && !spec->memory_preload ? ",readonly=on,rom=off" : "");
    qemu_argument(w, "-object", object);
    qemu_argument(w, "-machine", "memory-backend=tbram");
    if (!tb_domain_waits(spec))
        return;
    qemu_argument(w, "-incoming", "defer");
    /* The kernel is in the memory already and is not read again; the ROM that loaded it is a part
     * of the machine and has to be there. */
    qemu_argument(w, "-option-rom", "linuxboot_dma.bin");
    if (private && spec->memory_preload)
        empty(w, "qemu:env", "name", "LD_PRELOAD", "value", spec->memory_preload, NULL);
}

/* What this libvirt has no words for. */
static void write_qemu_arguments(xmlTextWriter *w, const TbDomainSpec *spec)
{
    begin(w, "qemu:commandline");
    qemu_argument(w, "-machine", "i8042=off");
    if (spec->memory_kind != TB_MEMORY_PLAIN)
        write_memory_file(w, spec);
    end(w);
}

char *tb_domain_xml(const TbDomainSpec *spec)
{
    g_autoptr(xmlBuffer) buffer = xmlBufferCreate();
    g_autoptr(xmlTextWriter) w = buffer ? xmlNewTextWriterMemory(buffer, 0) : NULL;
    must(w ? 0 : -1);
    xmlTextWriterSetIndent(w, 1);
    xmlTextWriterSetIndentString(w, BAD_CAST "  ");
    begin_with(w, "domain", "type", spec->kvm ? "kvm" : "qemu", "xmlns:qemu", QEMU_NAMESPACE, NULL);
    text(w, "name", spec->name);
    empty(w, "genid", NULL); /* a new one each time: the guest's kernel reseeds when it changes */
    write_size(w, spec);
    write_boot(w, spec);
    write_cpu_and_features(w, spec);
    write_life(w);
    write_devices(w, spec);
    write_qemu_arguments(w, spec);
    end(w);
    must(xmlTextWriterFlush(w));
    return g_strdup((const char *)xmlBufferContent(buffer));
}
