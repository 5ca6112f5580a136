/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file server of a box whose project is shared by virtiofs: a virtiofsd in a jail of its own.
 *
 * It takes the guest's requests out of the guest's own memory, so everything it hears is hostile,
 * and it is treated as taken over from the first request on: it has no network, no capability and
 * nothing it could write, and of the user's files the project alone, whose mount is read-only.
 */
#pragma once

#include "vm/jail.h"

typedef struct {
    const char *id;              /* of the box */
    const char *dir;             /* the project */
    const char *const *unshared; /* TbJailSpec's */
    uint32_t uid, gid;           /* TbJailSpec's */
    uint64_t memory;             /* bytes of the guest's, which the server maps */
    int listener; /* a listening unix socket that QEMU will connect to, blocking; the caller's */
} TbShareSpec;

/* The path of this machine's virtiofsd. NULL with TB_ERROR_DEPENDENCY when there is none. */
const char *tb_share_program(GError **error);
/* Starts it. It ends when QEMU's connection does; tb_jail_next says so, and why. */
TbJail *tb_share_start(const TbShareSpec *spec, GError **error) G_GNUC_WARN_UNUSED_RESULT;
