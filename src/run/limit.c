/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run/limit.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "util/error.h"
#include "util/units.h"

#define FREE_SPACE (UINT64_C(512) << 20)

static uint64_t first_of(uint64_t a, uint64_t b, uint64_t c)
{
    return a ? a : b ? b : c;
}

TbLimits tb_limits_merge(const TbLimits *first, const TbLimits *second)
{
    const TbPatchLimits *patch = &tb_patch_limits_default;
    return (TbLimits){
        .free_space = first_of(first->free_space, second->free_space, FREE_SPACE),
        .log = first_of(first->log, second->log, TB_TASK_LOG_CAP),
        .changes = first_of(first->changes, second->changes, patch->max_bytes),
        .files = (unsigned)first_of(first->files, second->files, patch->max_entries),
        .patch = first_of(first->patch, second->patch, patch->max_patch),
        .processes = (unsigned)first_of(first->processes, second->processes, 0),
        .requests = (unsigned)first_of(first->requests, second->requests, 0),
        .net_bytes = first_of(first->net_bytes, second->net_bytes, 0),
    };
}

static uint64_t lower(uint64_t value, uint64_t flag, uint64_t asked)
{
    return flag || !asked ? value : value ? MIN(value, asked) : asked;
}

void tb_limits_lower(TbLimits *limits, const TbLimits *flags, const TbLimits *asked)
{
    if (!flags->free_space)
        limits->free_space = MAX(limits->free_space, asked->free_space);
    limits->log = lower(limits->log, flags->log, asked->log);
    limits->changes = lower(limits->changes, flags->changes, asked->changes);
    limits->files = (unsigned)lower(limits->files, flags->files, asked->files);
    limits->patch = lower(limits->patch, flags->patch, asked->patch);
    limits->processes = (unsigned)lower(limits->processes, flags->processes, asked->processes);
    limits->requests = (unsigned)lower(limits->requests, flags->requests, asked->requests);
    limits->net_bytes = lower(limits->net_bytes, flags->net_bytes, asked->net_bytes);
}

static bool parse_size(const char *text, uint64_t *size, GError **error)
{
    return tb_size_parse(text, size, error) &&
           (*size > 0 || tb_error_set(error, TB_ERROR_USAGE, "'%s' leaves nothing at all", text));
}

static bool parse_count(const char *text, unsigned *count, GError **error)
{
    uint64_t number = 0;
    if (!tb_number_parse(text, "number", 1, 100000000, &number, error))
        return false;
    *count = (unsigned)number;
    return true;
}

bool tb_limits_parse(const char *text, TbLimits *limits, GError **error)
{
    const struct {
        const char *name;
        uint64_t *size;
        unsigned *count;
    } names[] = {
        {"free-space", &limits->free_space, NULL}, {"log", &limits->log, NULL},
        {"changes", &limits->changes, NULL},       {"files", NULL, &limits->files},
        {"patch", &limits->patch, NULL},           {"processes", NULL, &limits->processes},
        {"requests", NULL, &limits->requests},     {"net-bytes", &limits->net_bytes, NULL},
    };
    const char *value = strchr(text, '=');
    for (size_t i = 0; value && i < G_N_ELEMENTS(names); i++) {
        if (strlen(names[i].name) != (size_t)(value - text) ||
            strncmp(text, names[i].name, (size_t)(value - text)) != 0)
            continue;
        bool fine = names[i].size ? parse_size(value + 1, names[i].size, error)
                                  : parse_count(value + 1, names[i].count, error);
        if (!fine)
            g_prefix_error(error, "%s: ", names[i].name);
        return fine;
    }
    return tb_error_set(error, TB_ERROR_USAGE,
                        "bad limit '%s' (NAME=VALUE with free-space, log, changes, files, patch, "
                        "processes, requests or net-bytes)",
                        text);
}

bool tb_limits_check_space(const TbTask *task, const TbLimits *limits, GError **error)
{
    struct statvfs fs;
    if (fstatvfs(task->dirfd, &fs) < 0)
        return true; /* then the writes tell */
    uint64_t left = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (left >= limits->free_space)
        return true;
    g_autofree char *is = tb_size_format(left);
    g_autofree char *floor = tb_size_format(limits->free_space);
    return tb_error_set(
        error, TB_ERROR_NO_SPACE,
        "only %s are free on the host where '%s' is, and %s are to stay free (limit "
        "'free-space')",
        is, task->dir, floor);
}

/* As root, since the task's user may not; a task that makes itself root only fools itself. */
bool tb_limits_set_processes(TbSession *session, const TbLimits *limits, int64_t deadline,
                             GError **error)
{
    if (limits->processes == 0)
        return true;
    static const char script[] = "cd /sys/fs/cgroup && echo +pids >cgroup.subtree_control && "
                                 "echo \"$1\" >taskbox/pids.max";
    g_autofree char *number = g_strdup_printf("%u", limits->processes);
    const char *argv[] = {"sh", "-c", script, "sh", number, NULL};
    TbExec exec = {.argv = argv, .as_root = true, .cwd = "/", .stdin_fd = -1};
    TbExecResult result = {0};
    if (!tb_session_exec(session, &exec, NULL, deadline, &result, error))
        return false;
    return result.code == 0 ||
           tb_error_set(error, TB_ERROR_UNSUPPORTED,
                        "cannot limit the processes of the task: the box's kernel has no 'pids' "
                        "control group (leave the limit 'processes' out)");
}

char *tb_limits_text(const TbLimits *limits, unsigned cpus, uint64_t memory, uint64_t disk,
                     uint64_t timeout)
{
    g_autofree char *memory_text = tb_size_format(memory);
    g_autofree char *disk_text = tb_size_format(disk);
    g_autofree char *time = timeout ? tb_duration_format(timeout * 1000) : g_strdup("no timeout");
    g_autofree char *processes =
        limits->processes ? g_strdup_printf("%u processes, ", limits->processes) : g_strdup("");
    g_autofree char *requests =
        limits->requests ? g_strdup_printf(", %u requests", limits->requests) : g_strdup("");
    g_autofree char *bytes = tb_size_format(limits->net_bytes);
    g_autofree char *net =
        limits->net_bytes ? g_strdup_printf(", %s of the network", bytes) : g_strdup("");
    g_autofree char *log = tb_size_format(limits->log);
    g_autofree char *changes = tb_size_format(limits->changes);
    g_autofree char *patch = tb_size_format(limits->patch);
    g_autofree char *space = tb_size_format(limits->free_space);
    return g_strdup_printf(
        "%u cpus, %s of memory, %s of disk, %s%s, log %s, changes %s in %u files, "
        "patch %s%s%s, %s free on the host",
        cpus, memory_text, disk_text, processes, time, log, changes, limits->files, patch, requests,
        net, space);
}
