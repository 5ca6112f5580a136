/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Only version 2, and only where it was delegated: a tree that belongs to this user, or that
 * systemd has marked for root. Nothing is taken that was not given: systemd's own groups are left
 * alone, and where a parent does not hand on the controllers already they are asked for only in a
 * group that has no process (the kernel wants it so).
 */
#include "vm/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"

#define PREFIX      "taskbox-"
#define EXTRA       (UINT64_C(1) << 30) /* QEMU, its code cache, libvirt, the box's own files */
#define MAX_TASKS   "1200"              /* the jail's own limit, and who starts it */
#define WEIGHT      "50"                /* half of what other groups get when all want to run */
#define STALE       60 /* seconds; an empty group that is younger may be being filled */
#define END_TRIES   100
#define END_WAIT_US 10000

struct TbCgroup {
    char *dir;
    int procs;
};

void tb_cgroup_place_free(TbCgroupPlace *place)
{
    if (!place)
        return;
    g_free(place->dir);
    g_free(place);
}

/* ---- finding a place */

static char *read_in(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    char *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) ? g_strstrip(text) : g_strdup("");
}

/* O_CREAT is for a tree in a test: in a real one the kernel makes the files and nobody else can. */
static int open_in(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    return open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

static bool write_in(const char *dir, const char *name, const char *value)
{
    tb_autofd fd = open_in(dir, name);
    return fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
}

static bool has_word(const char *text, const char *word)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    return g_strv_contains((const char *const *)words, word);
}

/* systemd's, on what it has handed over whole. */
static bool is_marked(const char *dir)
{
    static const char *const marks[] = {"trusted.delegate", "user.delegate"};
    char value = '0';
    for (size_t i = 0; i < G_N_ELEMENTS(marks); i++)
        if (getxattr(dir, marks[i], &value, 1) == 1 && value == '1')
            return true;
    return false;
}

/* For an ordinary user the owner says so. Root owns all, and looks for the mark. */
static bool is_delegated(const char *dir)
{
    struct stat st;
    g_autofree char *procs = g_build_filename(dir, "cgroup.procs", NULL);
    return stat(dir, &st) == 0 && st.st_uid == geteuid() && (geteuid() != 0 || is_marked(dir)) &&
           access(procs, W_OK) == 0;
}

/* A group that has processes hands nothing on. What is in one that was handed over whole, a scope
 * or a service with us in it, is put aside in a group of its own. */
static void put_aside(const char *dir, const char *processes)
{
    g_autofree char *aside = g_build_filename(dir, PREFIX "aside", NULL);
    g_auto(GStrv) list = g_strsplit(processes, "\n", -1);
    if (*processes == '\0' || !is_marked(dir) || (mkdir(aside, 0755) < 0 && errno != EEXIST))
        return;
    for (char **process = list; *process; process++)
        (void)write_in(aside, "cgroup.procs", *process);
}

/* Whether groups below get the controllers; asks for them where nothing is in the way. */
static bool hands_on(TbCgroupPlace *place)
{
    g_autofree char *before = read_in(place->dir, "cgroup.subtree_control");
    if (!has_word(before, "memory") || !has_word(before, "pids")) {
        g_autofree char *processes = read_in(place->dir, "cgroup.procs");
        put_aside(place->dir, processes);
        g_autofree char *left = read_in(place->dir, "cgroup.procs");
        if (*left == '\0')
            (void)(write_in(place->dir, "cgroup.subtree_control", "+memory +pids") &&
                   write_in(place->dir, "cgroup.subtree_control", "+cpu"));
    }
    g_autofree char *control = read_in(place->dir, "cgroup.subtree_control");
    place->memory = has_word(control, "memory");
    place->pids = has_word(control, "pids");
    place->cpu = has_word(control, "cpu");
    return place->memory && place->pids;
}

/* Of version 2: the line "0::PATH". g_free; NULL: we are in none. */
static char *own_group(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++)
        if (g_str_has_prefix(*line, "0::/") && !strstr(*line, "/.."))
            return g_strdup(*line + strlen("0::"));
    return NULL;
}

static TbCgroupPlace *none(char **why, const char *reason)
{
    if (why)
        *why = g_strdup(reason);
    return NULL;
}

TbCgroupPlace *tb_cgroup_find_in(const char *mount, const char *own, char **why)
{
    g_autofree char *controllers = read_in(mount, "cgroup.controllers");
    g_autofree char *group = own_group(own);
    if (!has_word(controllers, "memory"))
        return none(why, "this machine has no cgroups of version 2 with a memory controller");
    if (!group)
        return none(why, "this process is in no group of version 2");
    bool delegated = false;
    for (g_autofree char *at = g_strdup(group);;) {
        g_autoptr(TbCgroupPlace) place = g_new0(TbCgroupPlace, 1);
        place->dir = g_build_filename(mount, at, NULL);
        if (is_delegated(place->dir)) {
            delegated = true;
            if (hands_on(place))
                return g_steal_pointer(&place);
        }
        if (strcmp(at, "/") == 0)
            break;
        char *up = g_path_get_dirname(at);
        g_free(at);
        at = up;
    }
    return none(why, delegated
                         ? "the groups that are delegated do not hand on memory and pids"
                         : "no group is delegated here (run it by 'systemd-run --user --scope "
                           "-p Delegate=yes', or as a service with Delegate=yes)");
}

TbCgroupPlace *tb_cgroup_find(char **why)
{
    static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    g_autofree char *own = NULL;
    if (!g_file_get_contents("/proc/self/cgroup", &own, NULL, NULL))
        return none(why, "the kernel has no cgroups");
    for (size_t i = 0; i < G_N_ELEMENTS(mounts); i++) {
        g_autofree char *sign = g_build_filename(mounts[i], "cgroup.controllers", NULL);
        if (access(sign, F_OK) == 0)
            return tb_cgroup_find_in(mounts[i], own, why);
    }
    return none(why, "this machine has no cgroups of version 2");
}

/* ---- a group */

/* Whoever was killed left an empty one; the kernel keeps those that have processes. */
static void remove_stale(const char *parent)
{
    g_autoptr(GDir) dir = g_dir_open(parent, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        struct stat st;
        g_autofree char *path = g_build_filename(parent, name, NULL);
        if (g_str_has_prefix(name, PREFIX) && lstat(path, &st) == 0 &&
            st.st_mtime < time(NULL) - STALE)
            (void)rmdir(path);
    }
}

/* What the kernel has no file for it does not bound. */
static bool limit(const TbCgroup *cgroup, const TbCgroupPlace *place, uint64_t memory,
                  GError **error)
{
    char most[32];
    snprintf(most, sizeof most, "%" G_GUINT64_FORMAT, memory + memory / 4 + EXTRA);
    if (!write_in(cgroup->dir, "memory.max", most) || !write_in(cgroup->dir, "pids.max", MAX_TASKS))
        return tb_error_set_errno(error, errno, "cannot limit the box's group '%s'", cgroup->dir);
    (void)write_in(cgroup->dir, "memory.oom.group", "1");
    if (place->cpu)
        (void)write_in(cgroup->dir, "cpu.weight", WEIGHT);
    return true;
}

TbCgroup *tb_cgroup_new(const TbCgroupPlace *place, const char *id, uint64_t memory, GError **error)
{
    remove_stale(place->dir);
    g_autoptr(TbCgroup) cgroup = g_new0(TbCgroup, 1);
    cgroup->procs = -1;
    g_autofree char *name = g_strdup_printf(PREFIX "%s-%d", id, (int)getpid());
    g_autofree char *dir = g_build_filename(place->dir, name, NULL);
    if (mkdir(dir, 0755) < 0) {
        tb_error_set_errno(error, errno, "cannot make the box's group '%s'", dir);
        return NULL;
    }
    cgroup->dir = g_steal_pointer(&dir);
    if (!limit(cgroup, place, memory, error))
        return NULL;
    cgroup->procs = open_in(cgroup->dir, "cgroup.procs");
    if (cgroup->procs < 0) {
        tb_error_set_errno(error, errno, "cannot use the box's group '%s'", cgroup->dir);
        return NULL;
    }
    return g_steal_pointer(&cgroup);
}

int tb_cgroup_fd(const TbCgroup *cgroup)
{
    return cgroup->procs;
}

unsigned tb_cgroup_killed(const TbCgroup *cgroup)
{
    g_autofree char *events = read_in(cgroup->dir, "memory.events");
    g_auto(GStrv) lines = g_strsplit(events, "\n", -1);
    for (char **line = lines; *line; line++)
        if (g_str_has_prefix(*line, "oom_kill "))
            return (unsigned)g_ascii_strtoull(*line + strlen("oom_kill "), NULL, 10);
    return 0;
}

void tb_cgroup_free(TbCgroup *cgroup)
{
    if (!cgroup)
        return;
    tb_clear_fd(&cgroup->procs);
    bool gone = !cgroup->dir || rmdir(cgroup->dir) == 0;
    /* The last ones are reaped by bwrap, a moment after they have ended. */
    for (int i = 0; !gone && i < END_TRIES && (errno == EBUSY || errno == EINTR); i++) {
        g_usleep(END_WAIT_US);
        gone = rmdir(cgroup->dir) == 0;
    }
    if (!gone && errno != ENOENT)
        tb_warn("cannot remove the box's group '%s': %s", cgroup->dir, g_strerror(errno));
    g_free(cgroup->dir);
    g_free(cgroup);
}
