/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a box may reach: names and ports. Pure: nothing is resolved here. Names are bytes of the
 * box's; a name is one only after tb_host_parse.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define TB_HOST_MAX 253

/*
 * The canonical form (lower case, without the dot at the end) of a host name; NULL for anything
 * that is none: bytes other than letters, digits, '-' and '.', empty or too long labels, a hyphen
 * at a label's end, a single label (a resolver would add what it likes), and every form of an
 * address, which means any name whose last label is a number (127.1, 0x7f.1, 2130706433). *why
 * (static, may be NULL) says what is wrong. g_free.
 */
char *tb_host_parse(const char *bytes, size_t length, const char **why);

/* "host", "host:port", "*.suffix" or "*.suffix:port". The suffix itself is not matched. Without a
 * port: 443, and 80 for plain HTTP. */
typedef struct {
    char *host; /* canonical; without "*." */
    bool any_below;
    uint16_t port; /* 0: 80 and 443 */
} TbNetRule;

typedef struct {
    bool open;                /* every name and port, that is */
    GPtrArray *rules;         /* of TbNetRule * */
    uint64_t requests, bytes; /* that the task may use up; 0: as many as it likes */
} TbNetPolicy;

TbNetPolicy *tb_net_policy_new(void);
void tb_net_policy_free(TbNetPolicy *policy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbNetPolicy, tb_net_policy_free)

/* Adds a rule as the user writes it. TB_ERROR_USAGE when it is none. */
bool tb_net_policy_add(TbNetPolicy *policy, const char *text, GError **error);
/* Leaves of the policy only what `only` allows, too: a rule of either that the other covers, with
 * the ports of both. Budgets stay. */
void tb_net_policy_narrow(TbNetPolicy *policy, const TbNetPolicy *only);
/* Whether a canonical name may be reached at this port. */
bool tb_net_policy_allows(const TbNetPolicy *policy, const char *host, uint16_t port);
/* One line: "open", "none" or the rules, comma between them. g_free. */
char *tb_net_policy_text(const TbNetPolicy *policy);

/* For the egress process: lines, and back. NULL, with error set, for anything it does not know
 * whole. g_free. */
char *tb_net_policy_format(const TbNetPolicy *policy);
TbNetPolicy *tb_net_policy_parse(const char *text, GError **error);
