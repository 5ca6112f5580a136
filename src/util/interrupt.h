/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SIGINT, SIGTERM and SIGHUP as something that can be polled for. Process-wide by nature. */
#pragma once

#include <stdbool.h>
#include <glib.h>

/* Installs the handlers (and ignores SIGPIPE). Call once from main. Library users who do not call
 * it are never interrupted. */
void tb_interrupt_install(void);
/* In a child that goes on by itself: signals from here on are its own, and it is not woken for its
 * parent's. */
void tb_interrupt_forked(void);
/* How many of these signals have arrived and were not yet acknowledged. */
int tb_interrupt_pending(void);
/* The last signal's number, 0 when none ever came. Not cleared by tb_interrupt_acknowledge. */
int tb_interrupt_signal(void);
/* Forgets what is pending, so that what follows (an export, a clean-up) is not interrupted until
 * the next signal. */
void tb_interrupt_acknowledge(void);
/* A descriptor that is readable while a signal is pending, -1 when not installed. Do not read. */
int tb_interrupt_fd(void);
/* False with TB_ERROR_INTERRUPTED when a signal is pending. */
bool tb_interrupt_check(GError **error);
