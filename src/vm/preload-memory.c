/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loaded into a forked box's QEMU before 8.2, which opens the template's memory for writing even
 * where it only ever maps it privately. With a writable descriptor a QEMU that is taken over could
 * change the memory of all other boxes; and the file is not writable in the jail, so the open would
 * fail. Here that one file, and nothing else, is opened read-only instead.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "vm/layout.h"

int open(const char *path, int flags, ...);
int open64(const char *path, int flags, ...);
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);

static int open_as_told(const char *path, int flags, mode_t mode)
{
    if (strcmp(path, TB_JAIL_MEMORY) == 0)
        flags = (flags & ~O_ACCMODE) | O_RDONLY;
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* A mode stands there only with O_CREAT or O_TMPFILE. */
#define WITH_MODE(path, flags)                                                                     \
    mode_t mode = 0;                                                                               \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                       \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode = va_arg(arguments, mode_t);                                                          \
        va_end(arguments);                                                                         \
    }                                                                                              \
    return open_as_told(path, flags, mode)

int open(const char *path, int flags, ...)
{
    WITH_MODE(path, flags);
}

int open64(const char *path, int flags, ...)
{
    WITH_MODE(path, flags);
}

int __open_2(const char *path, int flags)
{
    return open_as_told(path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
    return open_as_told(path, flags, 0);
}
