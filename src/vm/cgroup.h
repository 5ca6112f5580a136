/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A control group around all processes of a box's jail, where this user may make one: then their
 * memory, their number and their share of the processors are bounded taken together. The limits
 * that each process has for itself hold with it and without.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Where groups can be made. */
typedef struct {
    char *dir; /* absolute; the group that boxes' groups are made in */
    bool memory, pids, cpu;
} TbCgroupPlace;
void tb_cgroup_place_free(TbCgroupPlace *place);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbCgroupPlace, tb_cgroup_place_free)

/*
 * The nearest group from ours upwards that has been delegated to this user (or service), and hands
 * on `memory` and `pids` at least; it must hold our own group, or no process of ours could be
 * moved. `mount` is where version 2 is mounted, `own` the text of /proc/self/cgroup. NULL: there is
 * none, and *why (g_free; may be NULL) says so.
 */
TbCgroupPlace *tb_cgroup_find_in(const char *mount, const char *own, char **why);
/* The same of this machine and process. */
TbCgroupPlace *tb_cgroup_find(char **why);

typedef struct TbCgroup TbCgroup;

/* A group for the box `id` with room for a guest of `memory` bytes and what runs it. Groups that
 * killed taskboxes left there are removed first. NULL with error set. */
TbCgroup *tb_cgroup_new(const TbCgroupPlace *place, const char *id, uint64_t memory,
                        GError **error);
/* Writable for the child, which writes "0" there to move itself; lives as long as the group. */
int tb_cgroup_fd(const TbCgroup *cgroup);
/* How often the kernel has ended a process of it for want of memory. */
unsigned tb_cgroup_killed(const TbCgroup *cgroup);
/* Removes it; its processes must be gone, or about to be. NULL is fine. */
void tb_cgroup_free(TbCgroup *cgroup);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbCgroup, tb_cgroup_free)
