/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the machine has. A control group's limit counts as well as the machine's memory, and every
 * group above ours may have one. Whatever cannot be read is no limit.
 */
#include "run/capacity.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

#define GIB (UINT64_C(1) << 30)

/* Where the two versions of control groups say our group and its limit. In a container the group's
 * path may be the host's: then only its upper end, the container's own root, is there. */
static const struct {
    const char *mark;  /* in a line of /proc/self/cgroup, before the group's path */
    const char *mount; /* where the hierarchy usually is */
    const char *file;
} hierarchies[] = {
    {"0::", "/sys/fs/cgroup", "memory.max"},
    {":memory:", "/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
};

/* A file with one number; UINT64_MAX when there is none ("max", no such file). */
static uint64_t read_limit(const char *path)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL) || !g_ascii_isdigit(*text))
        return UINT64_MAX;
    return g_ascii_strtoull(text, NULL, 10);
}

/* The least limit of the group and of those above it. */
static uint64_t group_limit(const char *mount, const char *group, const char *file)
{
    uint64_t least = UINT64_MAX;
    g_autofree char *path = g_strdup(group);
    for (;;) {
        g_autofree char *name = g_build_filename(mount, path, file, NULL);
        least = MIN(least, read_limit(name));
        char *slash = strrchr(path, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

static uint64_t control_group_limit(const char *root)
{
    uint64_t least = UINT64_MAX;
    g_autofree char *list = g_build_filename(root, "/proc/self/cgroup", NULL);
    g_autofree char *text = NULL;
    if (!g_file_get_contents(list, &text, NULL, NULL))
        return least;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        for (size_t i = 0; i < G_N_ELEMENTS(hierarchies); i++) {
            const char *mark = strstr(*line, hierarchies[i].mark);
            if (!mark)
                continue;
            g_autofree char *mount = g_build_filename(root, hierarchies[i].mount, NULL);
            const char *group = mark + strlen(hierarchies[i].mark);
            least = MIN(least, group_limit(mount, group, hierarchies[i].file));
        }
    }
    return least;
}

uint64_t tb_capacity_memory(const char *root)
{
    g_autofree char *path = g_build_filename(root, "/proc/meminfo", NULL);
    g_autofree char *text = NULL;
    static const char key[] = "MemTotal:";
    const char *line = g_file_get_contents(path, &text, NULL, NULL) ? strstr(text, key) : NULL;
    uint64_t total = line ? g_ascii_strtoull(line + strlen(key), NULL, 10) * 1024
                          : (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    return MIN(total, control_group_limit(root));
}

uint64_t tb_capacity_less_reserve(uint64_t memory)
{
    return memory - MIN(MAX(GIB, memory / 10), memory / 2);
}

/* GLib's count may leave affinity out. More processors than the set can hold: nobody bound us. */
unsigned tb_capacity_processors(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) > 0)
        return (unsigned)CPU_COUNT(&allowed);
    return g_get_num_processors();
}

TbCapacity tb_capacity_get(const TbCapacity *set)
{
    TbCapacity capacity = *set;
    if (!capacity.cpus)
        capacity.cpus = tb_capacity_processors() * TB_CAPACITY_OVERCOMMIT;
    if (!capacity.memory)
        capacity.memory = tb_capacity_less_reserve(tb_capacity_memory(""));
    return capacity;
}
