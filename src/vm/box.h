/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A box: overlay + domain + jail + channel. How a domain comes to run is behind tb_box_start
 * alone. The box's directory is written by the jail and therefore hostile once it has run: only
 * this module touches it. Freeing a box kills the jail and with it everything in it.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include "vm/session.h"

typedef enum { TB_ACCEL_TCG, TB_ACCEL_KVM } TbAccel;
const char *tb_accel_name(TbAccel accel); /* "tcg", "kvm" */

/* Whether KVM really works: runs a small guest loop with a deadline; the answer is kept for this
 * boot of the host in the cache directory. *why (g_free, may be NULL) says it in words. */
TbAccel tb_accel_probe(char **why);

typedef struct {
    const char *id;     /* names the domain; letters, digits, dash */
    const char *dir;    /* box directory; created by start, removed by free */
    const char *disk;   /* golden image (read-only) or, with disk_writable, the disk itself */
    bool disk_writable; /* image builds: no overlay */
    const char *kernel, *initrd;
    const char *cmdline;      /* kernel command line, root= included */
    const char *project_disk; /* raw project image, attached read-only; NULL: none */
    const char *project_dir;  /* 9p: shared read-only; NULL: none */
    unsigned cpus;
    uint64_t memory;     /* bytes */
    uint64_t disk_size;  /* virtual size of the overlay; 0: as the image */
    uint64_t disk_limit; /* bytes the overlay file may grow to; 0: disk_size and some */
    TbAccel accel;
    bool network; /* QEMU user network: image builds only */
} TbBoxSpec;

typedef struct TbBox TbBox;

/* Starts the VM in its jail and returns without waiting for the guest. */
TbBox *tb_box_start(const TbBoxSpec *spec, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Waits for the guest program's hello. The session belongs to the box. TB_ERROR_TIMEOUT with the
 * last console line when it never comes; TB_ERROR_VM when QEMU or libvirt failed. */
TbSession *tb_box_wait_hello(TbBox *box, int64_t deadline, TbGuestInfo *info, GError **error);
/* Waits until the VM has powered itself off. */
bool tb_box_wait_off(TbBox *box, int64_t deadline, GError **error);
/* Leaves the box directory (overlay, console log) in place when the box is freed. */
void tb_box_keep(TbBox *box);
/* Kills the jail, reaps it, removes the box directory (unless it is kept). */
void tb_box_free(TbBox *box);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbBox, tb_box_free)

/* Removes the directory of a box whose owner died (its jail is dead by then: it dies with its
 * parent). */
bool tb_box_clean(const char *dir, GError **error);
