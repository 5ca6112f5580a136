/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files by descriptor: nothing here follows a link that somebody else could have planted. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS and O_CLOEXEC.
 * Returns the descriptor, or -1 with errno. Falls back to a component walk where openat2 is not
 * available (ENOSYS). `path` is relative to `dirfd`, "." is allowed. */
int tb_open_beneath(int dirfd, const char *path, int flags, mode_t mode);

/* Writes `length` bytes to `name` in `dirfd` so that after a crash either the old or the new
 * content is there: temporary file, fsync, rename, fsync of the directory. */
bool tb_write_atomic(int dirfd, const char *name, const void *data, size_t length, mode_t mode,
                     GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Reads a regular file of at most `limit` bytes without following links; a NUL byte follows the
 * data and is not counted. TB_ERROR_LIMIT when larger, TB_ERROR_NOT_FOUND when not there. `path` is
 * beneath `dirfd`; with AT_FDCWD it may be absolute: then only its last component is no link. */
GBytes *tb_read_file_at(int dirfd, const char *path, size_t limit, GError **error);

/* All of it or an error; retries short writes and EINTR. `what` is for the message. */
bool tb_write_all(int fd, const void *data, size_t length, const char *what, GError **error);

/* Removes the tree `name` in `dirfd`, not following links, not crossing file systems; makes
 * directories writable first where needed. Any depth. A name that is not there is fine. */
bool tb_remove_tree(int dirfd, const char *name, GError **error);

/* mkdir -p by path, each new directory with `mode`. */
bool tb_make_dirs(const char *path, mode_t mode, GError **error);

/* Creates (if need be) and opens a private directory of ours: mode 0700, owned by the effective
 * user, not a link; else TB_ERROR_DENIED. Returns the descriptor or -1. */
int tb_open_private_dir(const char *path, GError **error);

/* Bytes free for the user on the file system of `path`; 0 when unknown. */
uint64_t tb_free_space(const char *path);

/* Copies all of a regular file, sparse and by reflink where the file system can. */
bool tb_copy_file(int from_fd, int to_fd, const char *what, GError **error);

/* The same into a new file (mode 0600), both by name in a directory (AT_FDCWD: by path) and neither
 * a link. */
bool tb_copy_new(int from_dir, const char *from, int to_dir, const char *to, GError **error);

/* SHA-256 of what `fd` holds from its start, as 64 hex digits (g_free), NULL with error set; an
 * interrupt is one. */
char *tb_sha256_fd(int fd, const char *what, GError **error);

/* A lock by flock(2) on file `name` in `dirfd` (created when missing). With `wait` false and the
 * lock taken: -1 and TB_ERROR_BUSY. Closing the descriptor gives the lock back. */
int tb_lock(int dirfd, const char *name, bool wait, GError **error);
