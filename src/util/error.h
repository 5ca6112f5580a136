/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One error domain for all of taskbox: a code says what the caller can do about it. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define TB_ERROR (tb_error_quark())
GQuark tb_error_quark(void);

typedef enum {
    TB_ERROR_INTERNAL,    /* a bug in taskbox */
    TB_ERROR_USAGE,       /* wrong command line */
    TB_ERROR_CONFIG,      /* bad configuration or recipe; the message holds file:line:column */
    TB_ERROR_NOT_FOUND,   /* no such task, image, file */
    TB_ERROR_EXISTS,      /* already there */
    TB_ERROR_BUSY,        /* locked by another taskbox */
    TB_ERROR_UNSUPPORTED, /* this host, image or build cannot do it */
    TB_ERROR_DEPENDENCY,  /* a program or library that is needed is missing */
    TB_ERROR_IMAGE,       /* golden image missing a part, damaged or failed to build */
    TB_ERROR_VM,          /* jail, libvirt or QEMU failed */
    TB_ERROR_GUEST,       /* the guest broke the protocol or died */
    TB_ERROR_TIMEOUT,     /* a deadline passed */
    TB_ERROR_LIMIT,       /* a limit of ours was reached */
    TB_ERROR_CONFLICT,    /* a patch does not apply to what is there now */
    TB_ERROR_DENIED,      /* permission or policy */
    TB_ERROR_NO_SPACE,    /* disk full or quota */
    TB_ERROR_IO,          /* any other failure of a system call */
    TB_ERROR_VERIFY,      /* a patch is not what it says */
    TB_ERROR_INTERRUPTED, /* SIGINT, SIGTERM or SIGHUP arrived */
} TbErrorCode;

/* The code's name in lower case with dashes ("no-space"), as --json prints it. Static string. */
const char *tb_error_code_name(TbErrorCode code);

/* Sets `error` from errno `err`: message is the formatted text, then ": " and strerror. ENOSPC and
 * EDQUOT become NO_SPACE, EACCES and EPERM DENIED, ENOENT NOT_FOUND, EEXIST EXISTS, others IO.
 * Returns false, so that it can be returned. Keeps errno. */
bool tb_error_set_errno(GError **error, int err, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Sets a TB_ERROR with `code`. Returns false. */
bool tb_error_set(GError **error, TbErrorCode code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The code of `error`, INTERNAL when it is of another domain. */
TbErrorCode tb_error_code(const GError *error);
