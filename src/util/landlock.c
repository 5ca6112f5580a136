/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The numbers are the kernel's own (linux/landlock.h), which old headers lack. */
#include "util/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NR_CREATE_RULESET 444
#define NR_ADD_RULE       445
#define NR_RESTRICT_SELF  446
#define ASK_VERSION       1U
#define RULE_PATH_BENEATH 1

#define FS_EXECUTE    (UINT64_C(1) << 0)
#define FS_WRITE_FILE (UINT64_C(1) << 1)
#define FS_READ_FILE  (UINT64_C(1) << 2)
#define FS_READ_DIR   (UINT64_C(1) << 3)
#define FS_FIRST      ((UINT64_C(1) << 13) - 1) /* of version 1 */
#define FS_REFER      (UINT64_C(1) << 13)
#define FS_TRUNCATE   (UINT64_C(1) << 14)
#define FS_OF_FILES   (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE)
#define FS_READ       (FS_EXECUTE | FS_READ_FILE | FS_READ_DIR)
#define NET_BIND_TCP  (UINT64_C(1) << 0)
#define SCOPE_ALL     UINT64_C(3) /* abstract sockets, signals */

typedef struct {
    uint64_t fs, net, scoped;
} Ruleset;

typedef struct {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed)) PathRule;

unsigned tb_landlock_version(void)
{
    long version = syscall(NR_CREATE_RULESET, NULL, 0, ASK_VERSION);
    return version > 0 ? (unsigned)version : 0;
}

/* An older kernel takes a shorter structure. */
static size_t size_for(unsigned version)
{
    unsigned words = version >= 6 ? 3 : version >= 4 ? 2 : 1;
    return words * sizeof(uint64_t);
}

static int allow(int set, const char *path, uint64_t rights)
{
    struct stat st;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : errno;
    int result = fstat(fd, &st) < 0 ? errno : 0;
    PathRule rule = {.allowed = S_ISDIR(st.st_mode) ? rights : rights & FS_OF_FILES, .parent = fd};
    if (result == 0 && syscall(NR_ADD_RULE, set, RULE_PATH_BENEATH, &rule, 0) < 0)
        result = errno;
    close(fd);
    return result;
}

int tb_landlock_enter(unsigned version, const char *const *writable)
{
    if (version == 0)
        return 0;
    const Ruleset rules = {.fs = FS_FIRST | (version >= 2 ? FS_REFER : 0) |
                                 (version >= 3 ? FS_TRUNCATE : 0),
                           .net = NET_BIND_TCP,
                           .scoped = SCOPE_ALL};
    int set = (int)syscall(NR_CREATE_RULESET, &rules, size_for(version), 0);
    if (set < 0)
        return errno;
    int result = allow(set, "/", FS_READ);
    for (; writable && *writable && result == 0; writable++)
        result = allow(set, *writable, rules.fs);
    if (result == 0 &&
        (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(NR_RESTRICT_SELF, set, 0) < 0))
        result = errno;
    close(set);
    return result;
}
