/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Small things the guest program needs everywhere. libc only: the program is static. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Why an operation failed, in words for the host. */
typedef struct {
    char text[1024];
} TbFault;

/* Sets the text. Returns false, so that it can be returned. */
bool tb_fault(TbFault *fault, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same with ": " and the text of errno. */
bool tb_fault_errno(TbFault *fault, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Closes *fd when it is open and sets it to -1; keeps errno. */
void tb_close(int *fd);
#define tb_auto_fd __attribute__((cleanup(tb_close))) int

/* Milliseconds of the monotonic clock. */
int64_t tb_now(void);
void tb_sleep_ms(int ms);

/* Reads at most size - 1 bytes of a file and ends them with NUL. The length, -1 with errno. */
ssize_t tb_read_text(const char *path, char *buffer, size_t size);
/* Reads a whole file that will be written back: 0 and "" when it is not there; false when it does
 * not fit, since writing it back would cut it. */
bool tb_read_whole(const char *path, char *buffer, size_t size, size_t *length, TbFault *fault);
/* All bytes, or false with errno. */
bool tb_write_full(int fd, const void *data, size_t length);
/* Writes a file that exists in the kernel (sysfs, procfs, cgroupfs) or in /run, in place. */
bool tb_write_text(const char *path, const char *text);
/* Replaces a file: temporary name, then rename. A link at `path` is replaced, not followed. */
bool tb_replace_file(const char *path, const void *data, size_t length, mode_t mode,
                     TbFault *fault);
/* mkdir -p; false with errno. */
bool tb_make_dirs(const char *path, mode_t mode);
/* Not "." or "..". */
bool tb_is_entry(const char *name);
/* rm -rf of `name` in `parent`; follows no link. What cannot be removed stays. */
void tb_remove_all(int parent, const char *name);
/* Runs a program with no input and no output and waits; its exit status, -1 when it could not be
 * run. */
int tb_run_program(const char *const *argv);
