/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The numbers are the kernel's own (linux/landlock.h), which old headers lack. */
#include "util/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"

#define NR_CREATE_RULESET 444
#define NR_ADD_RULE       445
#define NR_RESTRICT_SELF  446
#define ASK_VERSION       1U
#define RULE_PATH_BENEATH 1

#define FS_EXECUTE   (UINT64_C(1) << 0)
#define FS_READ_FILE (UINT64_C(1) << 2)
#define FS_READ_DIR  (UINT64_C(1) << 3)
#define FS_FIRST     ((UINT64_C(1) << 13) - 1) /* of version 1 */
#define FS_REFER     (UINT64_C(1) << 13)
#define FS_TRUNCATE  (UINT64_C(1) << 14)
#define NET_BIND_TCP (UINT64_C(1) << 0)
#define SCOPE_ALL    UINT64_C(3) /* abstract sockets, signals */

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

bool tb_landlock_only_read(unsigned version, GError **error)
{
    if (version == 0)
        return true;
    Ruleset rules = {.fs = FS_FIRST | (version >= 2 ? FS_REFER : 0) |
                           (version >= 3 ? FS_TRUNCATE : 0),
                     .net = NET_BIND_TCP,
                     .scoped = SCOPE_ALL};
    tb_autofd set = (int)syscall(NR_CREATE_RULESET, &rules, size_for(version), 0);
    tb_autofd root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    PathRule rule = {.allowed = FS_EXECUTE | FS_READ_FILE | FS_READ_DIR, .parent = root};
    if (set < 0 || root < 0 || syscall(NR_ADD_RULE, set, RULE_PATH_BENEATH, &rule, 0) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(NR_RESTRICT_SELF, set, 0) < 0)
        return tb_error_set_errno(error, errno, "cannot set landlock's rules");
    return true;
}
