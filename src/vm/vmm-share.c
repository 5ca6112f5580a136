/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine whose project comes from a file server (virtiofs).
 *
 * The server works on the guest's memory, so that is a file both map. A template's cannot be it: it
 * is everybody's. Such a fork has a copy of its own, on a tmpfs of the jail, which goes with the
 * jail; pages that the template never used are holes in both.
 *
 * QEMU cannot freeze a machine with such a device. So the template has an empty place for one, and
 * each box gets its own plugged in before it runs. libvirt would do it, but only where it has set
 * up the memory itself.
 */
#include "vm/vmm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/auto.h"
#include "vm/domain.h"
#include "vm/layout.h"

#define CHUNK (1024 * 1024)

#define ADD_SOCKET                                                                                 \
    "{\"execute\":\"chardev-add\",\"arguments\":{\"id\":\"tbshare\",\"backend\":{"                 \
    "\"type\":\"socket\",\"data\":{\"server\":false,\"addr\":{\"type\":\"unix\","                  \
    "\"data\":{\"path\":\"" TB_JAIL_DIR "/" TB_BOX_SHARE "\"}}}}}}"
#define ADD_DEVICE                                                                                 \
    "{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"vhost-user-fs-pci\","                 \
    "\"id\":\"tbsharefs\",\"chardev\":\"tbshare\",\"tag\":\"project\",\"queue-size\":1024,"        \
    "\"bus\":\"" TB_DOMAIN_SHARE_BUS "\"}}"

static bool copy_run(int from, int to, off_t at, off_t end, char *buffer)
{
    while (at < end) {
        ssize_t got = pread(from, buffer, (size_t)MIN(CHUNK, end - at), at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || pwrite(to, buffer, (size_t)got, at) != got)
            return false;
        at += got;
    }
    return true;
}

static bool copy_used(int from, int to, off_t size)
{
    g_autofree char *buffer = g_malloc(CHUNK);
    off_t data = lseek(from, 0, SEEK_DATA);
    while (data >= 0 && data < size) {
        off_t hole = lseek(from, data, SEEK_HOLE);
        if (hole < 0 || !copy_run(from, to, data, MIN(hole, size), buffer))
            return false;
        data = lseek(from, hole, SEEK_DATA);
    }
    return data >= 0 || errno == ENXIO; /* none after this */
}

bool tb_vmm_make_memory(uint64_t size, bool copy)
{
    static const char what[] = "cannot make the VM's memory";
    tb_autofd to = open(TB_JAIL_OWN_MEMORY, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0 || ftruncate(to, (off_t)size) < 0)
        return tb_vmm_fail(what, g_strerror(errno));
    if (!copy)
        return true;
    tb_autofd from = open(TB_JAIL_MEMORY, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (from < 0 || fstat(from, &st) < 0)
        return tb_vmm_fail(what, g_strerror(errno));
    if ((uint64_t)st.st_size != size)
        return tb_vmm_fail(what, "the template's has another size");
    return copy_used(from, to, st.st_size) || tb_vmm_fail(what, g_strerror(errno));
}

bool tb_vmm_plug_share(virDomainPtr domain)
{
    static const char what[] = "cannot plug in the project's file server";
    return tb_vmm_order(domain, what, ADD_SOCKET) && tb_vmm_order(domain, what, ADD_DEVICE);
}
