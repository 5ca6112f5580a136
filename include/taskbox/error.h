/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can go wrong, by what the caller can do about it. Messages are one line for people: what,
 * on what, why, what to do. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define TASKBOX_ERROR (taskbox_error_quark())
GQuark taskbox_error_quark(void);

typedef enum {
    TASKBOX_ERROR_INTERNAL,    /* a bug in taskbox */
    TASKBOX_ERROR_USAGE,       /* a wrong argument */
    TASKBOX_ERROR_CONFIG,      /* bad settings or recipe; the message holds file:line:column */
    TASKBOX_ERROR_NOT_FOUND,   /* no such task, image, file */
    TASKBOX_ERROR_EXISTS,      /* already there */
    TASKBOX_ERROR_BUSY,        /* another taskbox is at work on it */
    TASKBOX_ERROR_UNSUPPORTED, /* this host, image or project cannot do it */
    TASKBOX_ERROR_DEPENDENCY,  /* a program or library is missing */
    TASKBOX_ERROR_IMAGE,       /* the golden image is damaged or failed to build */
    TASKBOX_ERROR_VM,          /* jail, libvirt or QEMU failed */
    TASKBOX_ERROR_GUEST,       /* the guest broke the protocol or died */
    TASKBOX_ERROR_TIMEOUT,     /* a deadline passed */
    TASKBOX_ERROR_LIMIT,       /* a limit of taskbox was reached */
    TASKBOX_ERROR_CONFLICT,    /* the patch does not apply to what is there now */
    TASKBOX_ERROR_DENIED,      /* permission or policy */
    TASKBOX_ERROR_NO_SPACE,    /* disk full or quota */
    TASKBOX_ERROR_IO,          /* any other failure of a system call */
    TASKBOX_ERROR_VERIFY,      /* a patch is not what it says */
    TASKBOX_ERROR_INTERRUPTED, /* a signal, after taskbox_interrupt_install */
} TaskboxError;

/* "no-space", "conflict", ...: as --json prints it. Static string. */
const char *taskbox_error_name(TaskboxError code);

/* Makes SIGINT, SIGTERM and SIGHUP end what runs cleanly, and ignores SIGPIPE. Optional, once. */
void taskbox_interrupt_install(void);

G_END_DECLS
