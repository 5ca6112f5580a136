/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the jail share: jail.c (life), jail-command.c (bwrap's arguments),
 * jail-filter.c (system calls), jail-stage.c (from root to a uid without rights). */
#pragma once

#include "vm/jail.h"

/* Descriptors of the child. 3 is the event socket. */
enum { FD_FILTER = 4, FD_INFO, FD_DATA };

/* A file whose content is given through a descriptor. */
typedef struct {
    const char *target;
    int fd; /* a memfd */
} TbJailData;

typedef struct {
    const TbJailSpec *spec;
    const char *vmm;            /* taskbox-vmm on the host */
    uint32_t uid, gid;          /* the user's from inside */
    const char *const *sources; /* of dir, vmm and the binds, in this order */
    const TbJailData *data;
    unsigned n_data;
} TbJailPlan;

/* The whole argument vector, bwrap first. Descriptors are not passed yet. */
TbCommand *tb_jail_command(const TbJailPlan *plan);

/* The filter as a memfd at offset 0; -1 with error set. */
int tb_jail_filter(const TbJailSpec *spec, GError **error);
/* A memfd with this content at offset 0; -1 with error set. */
int tb_jail_memfd(const char *name, const void *data, size_t length, GError **error);

/* ---- from root to the jail's user, in the child */
#define TB_STAGE_ITEMS (TB_JAIL_MAX_BINDS + 2)
typedef struct {
    uid_t uid;
    gid_t gid;
    gid_t kvm_group;
    bool has_kvm_group;
    pid_t host;      /* the process that forks */
    int group;       /* its control group's cgroup.procs; -1: none */
    char **detached; /* mount points that the child lets go of, in the order of mountinfo */
    unsigned n;
    struct {
        const char *source;
        char target[16]; /* "/tmp/N": in the child's own mount namespace */
        bool folder, writable;
        int map;  /* user namespace that maps the owner to `uid`; -1: shown as it is */
        int tree; /* the child's */
    } items[TB_STAGE_ITEMS];
} TbStage;

/* Finds out what the items are and which need mapping; to be freed with tb_stage_clear. */
bool tb_stage_prepare(TbStage *stage, const TbJailUser *user, const TbJailPlan *plan,
                      GError **error);
void tb_stage_clear(TbStage *stage);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TbStage, tb_stage_clear)
/* A TbChildSetup with a TbStage: becomes the jail's user, then puts a guard in front of bwrap. */
int tb_stage_enter(void *stage);
/* A TbChildSetup for ordinary users; of the TbStage only `host` and `group` count: the guard. */
int tb_stage_stay(void *stage);
