/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's side of taskbox-egress: starts it in a jail of its own, gives it the policy and the
 * box's port, and writes down what it tells. All that it tells is hostile.
 *
 * What passes on its descriptor 3 (SOCK_SEQPACKET): from us one packet with the port's descriptor;
 * our end of sending means stop. From it "ready" once, then a line (net/report.h) a packet. The
 * policy is on descriptor 4, a sealed memfd.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/policy.h"
#include "net/report.h"

#define TB_EGRESS_CONTROL 3
#define TB_EGRESS_CONFIG  4
#define TB_EGRESS_READY   "ready"

typedef struct {
    uint64_t connections, refused, failed; /* connections: all that were asked for */
    uint64_t sent, received;               /* bytes, by the box's view */
    bool lost;                             /* it ended before it was told to */
} TbNetCounts;

typedef struct TbEgress TbEgress;

/* Starts it and does not wait. `id` is the task's. What it tells is written to the descriptor
 * `log`, which stays the caller's and must live as long as the egress. */
TbEgress *tb_egress_start(const char *id, const TbNetPolicy *policy, int log,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Gives it the box's port (taken), and waits until it is ready. */
bool tb_egress_attach(TbEgress *egress, int port, GError **error);
/* Stops it; the box has no network any more. *counts says what there was. Once. */
void tb_egress_stop(TbEgress *egress, TbNetCounts *counts);
/* Stops it when that was not done. */
void tb_egress_free(TbEgress *egress);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbEgress, tb_egress_free)
