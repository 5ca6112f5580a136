/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libvirt found out about the host's QEMU, kept in the cache directory. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Asks a jail without a guest when it is not known for this QEMU, libvirt, kernel boot and choice
 * of KVM; two callers at once ask once. NULL with error set when libvirt cannot use QEMU. */
GBytes *tb_capabilities_get(bool kvm, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Appends which QEMU and which libvirt are installed: files, inodes, sizes, ctimes. */
void tb_capabilities_identity(GString *text);
