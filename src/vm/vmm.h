/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What taskbox-vmm's files share: main-vmm.c (life), vmm-template.c (freeze and fork). */
#pragma once

#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>
#include <stdint.h>

/* Says one event to the host. */
void tb_vmm_report(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* Reports "error WHAT: the reason libvirt gives" (or `reason`, when not NULL). False. */
bool tb_vmm_fail(const char *what, const char *reason);

/* Whether this QEMU can itself map a file privately and read-only. */
bool tb_vmm_maps_read_only(virConnectPtr connection);

/* Stops a machine whose memory is a shared file and writes its devices' state beside it. The
 * machine is of no further use. False: the host has been told why. */
bool tb_vmm_freeze(virDomainPtr domain);
/* Gives a paused machine, made with TB_MEMORY_PRIVATE or _COPY, the template's device state. It
 * stays paused. False: the host has been told why. */
bool tb_vmm_thaw(virDomainPtr domain);

/* The file for TB_MEMORY_OWN, empty, or for TB_MEMORY_COPY, with what the template's has: `size`
 * bytes, of which only what was ever used takes room. False: the host has been told why. */
bool tb_vmm_make_memory(uint64_t size, bool copy);
/* Plugs the device of the project's file server into a paused machine. False as above. */
bool tb_vmm_plug_share(virDomainPtr domain);
/* Gives QEMU's monitor an order whose success has nothing to say. False as above, with `what`. */
bool tb_vmm_order(virDomainPtr domain, const char *what, const char *command);
