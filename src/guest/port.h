/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Opens the virtio-serial port of this name; -1 when it is not there, or open elsewhere. */
int tb_port_open(const char *name);
/* Waits until the channel's virtio-serial port is there and opens it. */
int tb_port_wait(void);
/* TbGuestConfig.reopen for such a port; `data` points to an int that starts as -1. */
int tb_port_reopen(int fd, void *data);
