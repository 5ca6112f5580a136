/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A box as libvirt's domain XML. Pure: no file is looked at. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Where the machine's memory lies, when it is more than anonymous memory of QEMU's. */
typedef enum {
    TB_MEMORY_PLAIN,
    TB_MEMORY_SHARED,  /* in a file that is written: the machine is to become a template */
    TB_MEMORY_PRIVATE, /* copy on write over a template's file; waits for its device state */
    TB_MEMORY_OWN,     /* in a file of the box's own that others map, too: a file server */
    TB_MEMORY_COPY,    /* likewise, a copy of a template's; waits for its device state */
} TbMemoryKind;

/* Paths are those in the jail. */
typedef struct {
    const char *name;
    const char *emulator;
    unsigned cpus;
    uint64_t memory; /* bytes */
    bool kvm;
    const char *kernel, *initrd; /* initrd may be NULL */
    const char *cmdline;
    const char *disk;         /* qcow2 */
    const char *backing;      /* the qcow2 behind it; NULL: none */
    const char *base;         /* the qcow2 behind that; NULL: none */
    const char *const *bases; /* those behind all of these, nearest first; NULL: none */
    unsigned n_bases;
    const char *project_disk; /* raw, read-only; NULL: none */
    const char *project_dir;  /* 9p, read-only; NULL: none */
    bool share_port;          /* has a place to plug a file server's device into */
    bool network;
    TbMemoryKind memory_kind;
    const char *memory_file;    /* unless plain */
    const char *memory_preload; /* library that makes QEMU open a private one read-only; NULL: this
                                   QEMU has an option for it (8.2 and later) */
    const char *channel;        /* unix socket somebody listens on */
    const char *egress;         /* likewise, for what the box sends to the network */
    const char *console;        /* file */
} TbDomainSpec;

/* The name that libvirt has for that place. */
#define TB_DOMAIN_SHARE_BUS "pci.1"

/* Whether it goes on from a template's device state. */
bool tb_domain_waits(const TbDomainSpec *spec);
/* Free with g_free. */
char *tb_domain_xml(const TbDomainSpec *spec);
