/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/jail-user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"

#define PRIVATE_BASE  1878900000U
#define PRIVATE_RANGE 1048576U
#define PRIVATE_TRIES 64
#define STACK_SIZE    65536
#define MAP_SIZE      4096 /* the kernel takes no more */

bool tb_jail_user(const char *id, TbJailUser *user, GError **error)
{
    *user = (TbJailUser){.uid = geteuid(), .gid = getegid(), .drops = geteuid() == 0};
    if (!user->drops)
        return true;
    const struct passwd *system_user = getpwnam("taskbox");
    if (system_user && system_user->pw_uid != 0 && system_user->pw_gid != 0) {
        user->uid = system_user->pw_uid;
        user->gid = system_user->pw_gid;
        return true;
    }
    for (unsigned i = 0; i < PRIVATE_TRIES; i++) {
        unsigned number = PRIVATE_BASE + (g_str_hash(id) + i) % PRIVATE_RANGE;
        if (!getpwuid(number) && !getgrgid(number)) {
            user->uid = user->gid = number;
            return true;
        }
    }
    return tb_error_set(error, TB_ERROR_UNSUPPORTED,
                        "cannot find an unused uid for the jail near %u (create a system user "
                        "'taskbox')",
                        PRIVATE_BASE);
}

static _Noreturn int wait_for_kill(void *parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (getppid() == *(const pid_t *)parent) /* it may have died before the prctl */
        pause();
    _exit(0);
}

static bool write_map(pid_t pid, const char *file, const char *map)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    tb_autofd fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, map, strlen(map)) == (ssize_t)strlen(map);
}

/* The process that makes it does not outlive this function. */
static int make_namespace(const char *uid_map, const char *gid_map)
{
    g_autofree char *stack = g_malloc(STACK_SIZE);
    pid_t self = getpid();
    pid_t pid = clone(wait_for_kill, stack + STACK_SIZE, CLONE_NEWUSER | SIGCHLD, &self);
    if (pid < 0)
        return -1;
    int fd = -1;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
    if (write_map(pid, "uid_map", uid_map) && write_map(pid, "gid_map", gid_map))
        fd = open(path, O_RDONLY | O_CLOEXEC);
    int saved = errno;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    errno = saved;
    return fd;
}

int tb_user_namespace_of(uid_t uid, gid_t gid, const TbJailUser *user)
{
    char uid_map[64], gid_map[64];
    snprintf(uid_map, sizeof uid_map, "%u %u 1", (unsigned)uid, (unsigned)user->uid);
    snprintf(gid_map, sizeof gid_map, "%u %u 1", (unsigned)gid, (unsigned)user->gid);
    return make_namespace(uid_map, gid_map);
}

/* The ids that our own namespace has, each as itself. NULL with errno set. */
static char *same_ids(const char *path)
{
    g_autofree char *map = NULL;
    if (!g_file_get_contents(path, &map, NULL, NULL)) {
        errno = ENOENT;
        return NULL;
    }
    GString *out = g_string_new(NULL);
    g_auto(GStrv) lines = g_strsplit(map, "\n", -1);
    for (char **line = lines; *line; line++) {
        unsigned inside, outside, count;
        if (sscanf(*line, "%u %u %u", &inside, &outside, &count) == 3)
            g_string_append_printf(out, "%u %u %u\n", inside, inside, count);
    }
    if (out->len > 0 && out->len < MAP_SIZE)
        return g_string_free(out, FALSE);
    g_string_free(out, TRUE);
    errno = EINVAL;
    return NULL;
}

int tb_user_namespace_of_all(void)
{
    g_autofree char *uid_map = same_ids("/proc/self/uid_map");
    g_autofree char *gid_map = same_ids("/proc/self/gid_map");
    return uid_map && gid_map ? make_namespace(uid_map, gid_map) : -1;
}
