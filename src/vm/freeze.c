/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A box becomes a template: its memory, its devices' state and its disk are taken out of it.
 *
 * taskbox-vmm stops the machine and writes the state; then the jail is killed, so nobody can write
 * the files any more, and only then are they looked at. They are what a jail left: each must be a
 * plain file of the jail's user with no other name, and what is at its new place must be the file
 * that was looked at. None is ever opened as more than bytes on this side.
 *
 * Pages that hold nothing but zeros are cut out of the memory's file, so a template is as large as
 * what the guest has ever used.
 */
#include "vm/box-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/interrupt.h"
#include "util/paths.h"
#include "vm/capabilities.h"
#include "vm/layout.h"

#define PAGE  4096
#define CHUNK (1024 * 1024)

/* ---- pages of zeros */

static bool is_zero(const char *page, size_t length)
{
    return page[0] == 0 && memcmp(page, page + 1, length - 1) == 0;
}

static bool punch(int fd, off_t from, off_t to)
{
    return from == to ||
           fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, to - from) == 0;
}

/* Cuts the zero pages of a run of data out of the file. A file system that cannot do that keeps
 * them: it is only about room. */
static bool thin_out(int fd, off_t from, off_t to, char *buffer)
{
    off_t zeros = from; /* where the present run of zero pages began */
    for (off_t at = from; at < to;) {
        ssize_t got = pread(fd, buffer, (size_t)MIN(CHUNK, to - at), at);
        if (got <= 0)
            return false;
        for (ssize_t i = 0; i < got; i += PAGE) {
            if (is_zero(buffer + i, (size_t)MIN(PAGE, got - i)))
                continue;
            if (!punch(fd, zeros, at + i))
                return false;
            zeros = MIN(at + i + PAGE, to);
        }
        at += got;
    }
    return punch(fd, zeros, to);
}

void tb_freeze_thin_out(int fd)
{
    g_autofree char *buffer = g_malloc(CHUNK);
    off_t end = lseek(fd, 0, SEEK_END);
    off_t data = lseek(fd, 0, SEEK_DATA);
    while (data >= 0 && data < end) {
        off_t hole = lseek(fd, data, SEEK_HOLE);
        if (hole < 0 || !thin_out(fd, data, hole, buffer))
            return;
        data = lseek(fd, hole, SEEK_DATA);
    }
}

/* ---- taking the files out */

static bool not_ours(const char *name, GError **error)
{
    return tb_error_set(error, TB_ERROR_VM, "the jail left something else in the place of its '%s'",
                        name);
}

bool tb_freeze_take(int from, uid_t owner, const char *name, int to, const char *new_name,
                    GError **error)
{
    tb_autofd fd = openat(from, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st, moved;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
        st.st_uid != owner || st.st_size == 0)
        return not_ours(name, error);
    if (strcmp(name, TB_BOX_MEMORY) == 0)
        tb_freeze_thin_out(fd);
    if (fchown(fd, geteuid(), getegid()) < 0 || fchmod(fd, 0444) < 0 || fsync(fd) < 0 ||
        renameat(from, name, to, new_name) < 0)
        return tb_error_set_errno(error, errno, "cannot keep the template's '%s'", new_name);
    if (fstatat(to, new_name, &moved, AT_SYMLINK_NOFOLLOW) < 0 || moved.st_ino != st.st_ino ||
        moved.st_dev != st.st_dev)
        return not_ours(name, error);
    return true;
}

static bool await_frozen(TbBox *box, int64_t deadline, GError **error)
{
    while (tb_box_pump(box, error)) {
        if (box->state == BOX_FROZEN)
            return true;
        if (box->state == BOX_OFF)
            return tb_error_set(error, TB_ERROR_VM, "box '%s': the VM has switched itself off",
                                box->id);
        if (!tb_interrupt_check(error))
            return false;
        if (deadline != 0 && g_get_monotonic_time() >= deadline)
            return tb_error_set(error, TB_ERROR_TIMEOUT, "box '%s': the VM was not frozen in time",
                                box->id);
        tb_box_doze(box, deadline);
    }
    return false;
}

bool tb_box_freeze(TbBox *box, int to, int64_t deadline, GError **error)
{
    box->state = BOX_FREEZING;
    if (!tb_jail_say(box->jail, TB_JAIL_FREEZE, error) || !await_frozen(box, deadline, error))
        return false;
    g_clear_pointer(&box->jail, tb_jail_free);
    int from = box->dir_fd;
    uid_t owner = box->user.uid;
    return tb_freeze_take(from, owner, TB_BOX_MEMORY, to, "memory", error) &&
           tb_freeze_take(from, owner, TB_BOX_STATE, to, "state", error) &&
           tb_freeze_take(from, owner, TB_BOX_OVERLAY, to, "disk.qcow2", error);
}

bool tb_box_template_overlay(int to, const char *name, uint64_t size, GError **error)
{
    return tb_overlay_create(to, name, TB_JAIL_TEMPLATE_DISK, size, error);
}

/* ---- which machine this is */

/* A box that was frozen on one processor is not to wake on another. */
static void append_processor(GString *text)
{
    struct utsname name;
    g_autofree char *cpus = NULL;
    if (uname(&name) == 0)
        g_string_append_printf(text, "|%s %s", name.release, name.machine);
    if (!g_file_get_contents("/proc/cpuinfo", &cpus, NULL, NULL))
        return;
    g_auto(GStrv) lines = g_strsplit(cpus, "\n", -1);
    for (char **line = lines; *line && **line; line++) /* the first processor's */
        if (g_str_has_prefix(*line, "model name") || g_str_has_prefix(*line, "microcode") ||
            g_str_has_prefix(*line, "flags"))
            g_string_append_printf(text, "|%s", *line);
}

char *tb_box_machine(TbAccel accel, GError **error)
{
    g_autofree char *vmm = tb_path_libexec("vm/taskbox-vmm", "taskbox-vmm", error);
    struct stat st;
    if (!vmm)
        return NULL;
    if (stat(vmm, &st) < 0) {
        tb_error_set_errno(error, errno, "cannot look at '%s'", vmm);
        return NULL;
    }
    g_autoptr(GString) text = g_string_new(tb_accel_name(accel));
    tb_capabilities_identity(text);
    g_string_append_printf(text, "|vmm %ju %jd %jd.%09ld", (uintmax_t)st.st_ino,
                           (intmax_t)st.st_size, (intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    if (accel == TB_ACCEL_KVM)
        append_processor(text);
    return g_string_free(g_steal_pointer(&text), FALSE);
}
