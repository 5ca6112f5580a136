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

/* The size of every project disk: a box that is forked from a template cannot learn another. */
#define TB_BOX_PROJECT_DISK_SIZE (INT64_C(64) << 30)

typedef enum { TB_ACCEL_TCG, TB_ACCEL_KVM } TbAccel;
const char *tb_accel_name(TbAccel accel); /* "tcg", "kvm" */

/* Whether KVM really works: runs a small guest loop with a deadline; the answer is kept for this
 * boot of the host in the cache directory. *why (g_free, may be NULL) says it in words. */
TbAccel tb_accel_probe(char **why);

/* How many directories of a shared project can be shown empty. */
#define TB_BOX_MAX_UNSHARED 256

/* How many images a box's own may lie on. */
#define TB_BOX_MAX_BASES 4

/* A frozen box (absolute paths of read-only files): what tb_box_freeze left, and an empty overlay
 * on its disk as tb_box_template_overlay makes it. */
typedef struct {
    const char *memory, *state, *disk, *overlay;
} TbBoxTemplate;

typedef struct {
    const char *id;           /* names the domain; letters, digits, dash */
    const char *dir;          /* box directory; created by start, removed by free */
    const char *disk;         /* golden image (read-only) or, with disk_writable, the disk itself */
    bool disk_writable;       /* image builds: no overlay */
    const char *const *bases; /* what `disk` lies on when it is a layer: disks of golden images,
                                 nearest first, NULL at the end; NULL: nothing */
    const char *kernel, *initrd;
    const char *cmdline;      /* kernel command line, root= included */
    const char *project_disk; /* raw project image, attached read-only; NULL: none */
    const char *project_dir;  /* 9p: shared read-only; NULL: none */
    const char *share_dir;    /* virtiofs: likewise, by a server in a jail of its own; NULL: none */
    const char *const *unshared; /* directories below either, by relative paths without links, that
                                    are empty in it; NULL at the end; NULL: none */
    uint32_t owner_uid, owner_gid; /* who the owner of either is to be in the box, as far as that
                                      can be chosen (by root); 0: whoever it is */
    bool share_port; /* has a place for that server's device, also where there is none */
    unsigned cpus;
    uint64_t memory;     /* bytes */
    uint64_t disk_size;  /* virtual size of the overlay; 0: as the image */
    uint64_t disk_limit; /* bytes the overlay file may grow to; 0: disk_size and some */
    TbAccel accel;
    bool network;              /* QEMU user network: image builds only */
    const TbBoxTemplate *fork; /* go on from here, made of the same spec; NULL: boot */
    bool freezable;            /* tb_box_freeze may be called: memory lies in a file of the box */
} TbBoxSpec;

typedef struct TbBox TbBox;

/* Whether this machine has what `share_dir` needs. TB_ERROR_DEPENDENCY that says what to install.
 */
bool tb_box_can_share(GError **error);
/* How many files and directories a project may have that is shared by `share_dir`: its server keeps
 * a descriptor of each that the guest remembers, and has none to give when they are used up. */
uint64_t tb_box_share_files(void);

/* Starts the VM in its jail and returns without waiting for the guest. */
TbBox *tb_box_start(const TbBoxSpec *spec, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Waits for the guest program's hello. The session belongs to the box. TB_ERROR_TIMEOUT with the
 * last console line when it never comes; TB_ERROR_VM when QEMU or libvirt failed. */
TbSession *tb_box_wait_hello(TbBox *box, int64_t deadline, TbGuestInfo *info, GError **error);
/* The same with a time of its own: a boot that has not answered in `seconds` is ended, and one that
 * QEMU dies of is over: `spec`, which the box was started by, is booted once more. *box is NULL
 * when that cannot be started. */
TbSession *tb_box_wait_boot(TbBox **box, const TbBoxSpec *spec, int seconds, TbGuestInfo *info,
                            GError **error);
/* The seconds for an image that has booted before. Emulated and on a busy machine it can take one
 * minute. */
#define TB_BOX_BOOT_SECONDS 120
/* The host's end of the port taskbox.egress.0, once the guest has said hello; the caller closes it.
 * Given once. Nobody listens to a box whose end was not asked for. -1 with error set. */
int tb_box_egress(TbBox *box, GError **error);
/* Waits until the VM has powered itself off. */
bool tb_box_wait_off(TbBox *box, int64_t deadline, GError **error);
/*
 * Stops a freezable box for good and moves what a template is made of into the directory `to`, as
 * "memory", "state" and "disk.qcow2": mode 0444, ours, pages of zeros left out. The guest must be
 * idle. Of the box only tb_box_free is left to be called.
 */
bool tb_box_freeze(TbBox *box, int to, int64_t deadline, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Makes `name` in the directory `to`: an empty overlay of `size` bytes, for boxes that are forked
 * from the template. */
bool tb_box_template_overlay(int to, const char *name, uint64_t size, GError **error);
/* Makes `name` in the directory `to`: an empty disk of `size` bytes for a box with `bases`, of the
 * first of which it has all that is not written to it. */
bool tb_box_layer_disk(int to, const char *name, uint64_t size, GError **error);
/* The name that such a disk's header has for what it lies on. */
extern const char tb_box_layer_backing[];
/* What besides its spec decides how a machine looks to its guest: QEMU, libvirt and our own part of
 * them as they are installed here, and with KVM the processor. Equal text, equal machine. g_free.
 */
char *tb_box_machine(TbAccel accel, GError **error);

/* When `why` is that the connection to the guest was lost: waits a moment for word of what has
 * become of the VM, and says that instead. */
void tb_box_explain(TbBox *box, GError **why);

/* Whether the box failed only because the file server of its project has ended, after the guest had
 * spoken. Then it counts as running again: its disk is whole, but whoever in it asks for a file of
 * the project waits for ever (tb_session_export_upper does not). */
bool tb_box_forsake_share(TbBox *box);

/* Leaves the box directory (overlay, console log) in place when the box is freed; with a fork also
 * a copy of the template's disk, which the overlay lies on and which may go away. */
void tb_box_keep(TbBox *box);
/* Kills the jail, reaps it, removes the box directory (unless it is kept). */
void tb_box_free(TbBox *box);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbBox, tb_box_free)

/* Removes the directory of a box whose owner died (its jail is dead by then: it dies with its
 * parent). */
bool tb_box_clean(const char *dir, GError **error);
