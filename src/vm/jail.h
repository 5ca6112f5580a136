/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The jail: bubblewrap around taskbox-vmm. It sees /usr, /sys, the files bound into it and one
 * directory it can write. Started by root it drops to a uid of its own first; it never runs as
 * uid 0 and never without a user namespace. All that comes out of it is hostile.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "util/command.h"
#include "util/jail-user.h"

#define TB_JAIL_MAX_BINDS 16

typedef struct {
    const char *source, *target;
    bool writable;
} TbJailBind;

typedef struct {
    const char *id;
    const char *program; /* what runs in it; NULL: taskbox-vmm */
    const char *dir;     /* bound writable at /vm; of a file server, read-only at /project */
    TbJailBind binds[TB_JAIL_MAX_BINDS];
    unsigned n_binds;
    const char *const *unshared; /* directories below TB_JAIL_PROJECT_DIR that are shown empty; NULL
                                    at the end; NULL: none */
    bool kvm, network;
    bool file_server;  /* another jail than that of taskbox-vmm: see vm/share.h */
    bool changes_root; /* and it calls chroot */
    int listener;      /* passed to a file server as TB_JAIL_LISTEN_FD; stays the caller's */
    bool own_memory;   /* a tmpfs of `memory` bytes at TB_JAIL_RAM */
    uint32_t uid, gid; /* where we are root: who the jail's user, and with it the owner of a shared
                          project, is seen from inside; 0: as outside */
    uint64_t memory;   /* of the guest: its control group has room for that and more */
    uint64_t file_limit;          /* no file can grow over this */
    GBytes *capabilities;         /* libvirt's cache of what QEMU can; NULL: it finds out itself */
    const char *const *arguments; /* of the program */
} TbJailSpec;

typedef struct TbJail TbJail;

/* How many descriptors a file server may have: as many as we may (RLIMIT_NOFILE, the hard one). */
uint64_t tb_jail_server_files(void);

/* Starts it. The writable files must belong to tb_jail_user () already. */
TbJail *tb_jail_start(const TbJailSpec *spec, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Kills every process in it and returns when they are gone; also when it ended by itself. */
void tb_jail_free(TbJail *jail);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbJail, tb_jail_free)

/* Readable when there is an event or the jail has ended. */
int tb_jail_fd(const TbJail *jail);
/* Says a word to taskbox-vmm. False with error set when it is gone. */
bool tb_jail_say(TbJail *jail, const char *word, GError **error);
/* The next event: its first word and the rest (escaped, printable; g_free both). Does not block.
 * AGAIN: none now. ENDED: taskbox-vmm is gone, *rest holds the last lines of its stderr. */
typedef enum { TB_JAIL_EVENT, TB_JAIL_AGAIN, TB_JAIL_ENDED } TbJailNext;
TbJailNext tb_jail_next(TbJail *jail, char **word, char **rest);
