/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's side of taskbox-egress: starts it in a jail of its own, gives it the policy and the
 * box's port, and writes down what it tells. All that it tells is hostile.
 *
 * What passes on its descriptor 3 (SOCK_SEQPACKET): from us one packet with the port's descriptor;
 * our end of sending means stop. From it, when there are secrets, the certificate of the task's
 * authority; "ready" once; then a line (net/report.h) a packet. The policy is on descriptor 4, the
 * secrets (net/secret.h), if any, on 7, sealed memfds both. No value is anywhere else.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/authority.h"
#include "net/policy.h"
#include "net/report.h"

#define TB_EGRESS_CONTROL 3
#define TB_EGRESS_CONFIG  4
#define TB_EGRESS_SECRETS 7
#define TB_EGRESS_READY   "ready"
#define TB_EGRESS_PEM     "authority\n" /* and the certificate as PEM */
#define TB_EGRESS_PACKET  (TB_AUTHORITY_PEM + 64)

typedef struct {
    uint64_t connections, refused, failed; /* connections: all that were asked for */
    uint64_t sent, received;               /* bytes, by the box's view */
    bool lost;                             /* it ended before it was told to */
} TbNetCounts;

/* What was refused, of one host and one kind. */
typedef enum { TB_REFUSED_PLACEHOLDER, TB_REFUSED_FOREIGN, TB_REFUSED_OTHER } TbRefusalKind;
typedef struct {
    TbRefusalKind kind;
    char *host, *reason; /* of the first; printable */
    uint16_t port;
    uint64_t count;
} TbRefusal;
#define TB_REFUSALS_MAX 100 /* of a kind; what is over is counted in one without a host */

typedef struct TbEgress TbEgress;

/* The secrets (array of TbSecret *, with values) as a sealed memory file; -1 with error set. */
int tb_egress_seal(const GPtrArray *secrets, GError **error);
/* Starts it and does not wait. `id` is the task's; `secrets` as above, -1: no secrets. What it
 * tells is written to the descriptor `log`. Both stay the caller's, and `log` must live as long as
 * the egress. */
TbEgress *tb_egress_start(const char *id, const TbNetPolicy *policy, int secrets, int log,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Gives it the box's port (taken), and waits until it is ready. */
bool tb_egress_attach(TbEgress *egress, int port, GError **error);
/* The certificate of the task's authority, once it is attached; NULL: there are no secrets. PEM as
 * to its form; what is in it nobody has looked at. */
const char *tb_egress_authority(const TbEgress *egress);
/* Why the task may have no more of the network, since a budget is used up (g_free); NULL: it may.
 */
char *tb_egress_over(TbEgress *egress);
/* Stops it; the box has no network any more. *counts says what there was. Once. */
void tb_egress_stop(TbEgress *egress, TbNetCounts *counts);
/* Once it is stopped: an array of TbRefusal * (g_ptr_array_unref). */
GPtrArray *tb_egress_refusals(TbEgress *egress);
/* Stops it when that was not done. */
void tb_egress_free(TbEgress *egress);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbEgress, tb_egress_free)
