/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What lies where in the jail. The host side binds it there, taskbox-vmm writes it into the XML. */
#pragma once

#define TB_JAIL_VMM     "/run/taskbox-vmm"
#define TB_JAIL_DIR     "/vm" /* the box directory: all that can be written */
#define TB_JAIL_LIBVIRT "/lv" /* libvirt's root, on a tmpfs */
#define TB_JAIL_IMAGE   "/image/disk.qcow2"
/* What the image lies on when it is a layer, nearest first; an initialiser. */
#define TB_JAIL_BASES                                                                              \
    {                                                                                              \
        TB_JAIL_BASE, "/image/base-2.qcow2", "/image/base-3.qcow2", "/image/base-4.qcow2",         \
    }
#define TB_JAIL_BASE         "/image/base-1.qcow2"
#define TB_JAIL_KERNEL       "/image/kernel"
#define TB_JAIL_INITRD       "/image/initrd"
#define TB_JAIL_PROJECT_DISK "/image/project"
#define TB_JAIL_PROJECT_DIR  "/project"
/* Of a template. */
#define TB_JAIL_MEMORY        "/image/memory"
#define TB_JAIL_STATE         "/image/state"
#define TB_JAIL_TEMPLATE_DISK "/image/template.qcow2"
#define TB_JAIL_PRELOAD       "/run/taskbox-memory.so"
/* Memory that is shared with a file server: a tmpfs as large as it. */
#define TB_JAIL_RAM        "/ram"
#define TB_JAIL_OWN_MEMORY TB_JAIL_RAM "/memory"

/* In the box directory. */
#define TB_BOX_OVERLAY      "overlay.qcow2"
#define TB_BOX_CHANNEL      "chan.sock"
#define TB_BOX_EGRESS       "egress.sock"
#define TB_BOX_SHARE        "share.sock" /* QEMU's way to the file server */
#define TB_BOX_CONSOLE      "console.log"
#define TB_BOX_CAPABILITIES "capabilities.xml" /* of a probe */
#define TB_BOX_MEMORY       "memory"           /* of a box that is to be frozen, */
#define TB_BOX_STATE        "state"            /* and its devices' state */
#define TB_BOX_MIGRATION    "migration.sock"
#define TB_BOX_TEMPLATE     "template.qcow2" /* of a kept fork: what its overlay lies on */

#define TB_EMULATOR "/usr/bin/qemu-system-x86_64"

/* The jail's end of the event socket: SOCK_SEQPACKET, one event a packet, "WORD TEXT". */
#define TB_JAIL_EVENT_FD  3
#define TB_JAIL_EVENT_MAX 1024
/* Of a file server's jail: where the server takes QEMU's connection. */
#define TB_JAIL_LISTEN_FD 16
/* The one word the host ever says there. */
#define TB_JAIL_FREEZE "freeze"
