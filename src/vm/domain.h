/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A box as libvirt's domain XML. Pure: no file is looked at. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

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
    const char *project_disk; /* raw, read-only; NULL: none */
    const char *project_dir;  /* 9p, read-only; NULL: none */
    bool network;
    const char *channel; /* unix socket somebody listens on */
    const char *console; /* file */
} TbDomainSpec;

/* Free with g_free. */
char *tb_domain_xml(const TbDomainSpec *spec);
