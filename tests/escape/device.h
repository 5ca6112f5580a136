/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A virtio device that the box's root takes from its kernel, which would never say such things to
 * it, and drives from here (virtio 1.1, sections 2.6 and 4.1). What cannot be done ends the program
 * with 2 and a line "cannot: WHAT".
 */
#pragma once

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEVICE_PAGE 4096

_Noreturn void device_die(const char *what);
/* By printf, and out at once: what follows may end the box. */
void device_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A page of zeros that stays where it is; never freed. */
void *device_page(void);
/* Where the device finds it. */
uint64_t device_physical(const void *page);

/* The one device with this PCI id ("0x105a"). */
void device_take(const char *id);
/* Resets it and sets up its first `queues` queues (two at most); may be called again. */
void device_start(unsigned queues);
/* The table of a queue; at least 4 entries. */
struct vring_desc *device_descriptors(unsigned queue);
/* Hands descriptor 0 over and waits for it to come back: false when it does not. */
bool device_ring(unsigned queue, int milliseconds);
/* Fills in one readable and one writable descriptor and rings. */
bool device_ask(unsigned queue, const void *request, size_t size, void *answer, int milliseconds);
/* Descriptors that lead nowhere, in circles, or are as long as can be said; `after` (may be NULL)
 * is called after each. */
void device_lie(unsigned queue, const void *request, void *answer, void (*after)(void));
