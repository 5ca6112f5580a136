/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the system call filters of our jails have in common (seccomp_rule_add(3)). A call that
 * became a way out is added in one place. `result` keeps the first error: 0 or a negative errno.
 */
#pragma once

#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>

void tb_filter_note(int *result, int rule);
/* Refuses (EPERM) what makes namespaces or mounts, looks into other processes, or changes the
 * machine: nothing that we confine needs any of it. With `own_root` a program may change its root
 * and have a working directory for each of its threads. */
void tb_filter_refuse_common(scmp_filter_ctx context, bool own_root, int *result);
/* Refuses `count` calls with errno `err`. */
void tb_filter_refuse(scmp_filter_ctx context, const int *calls, size_t count, int err,
                      int *result);
/* Refuses sockets (EAFNOSUPPORT) of all families but AF_UNIX, AF_NETLINK and, with `internet`,
 * AF_INET and AF_INET6. */
void tb_filter_refuse_families(scmp_filter_ctx context, bool internet, int *result);
