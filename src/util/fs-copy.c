/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whole files: a copy that stays sparse, a digest. */
#include "util/auto.h"
#include "util/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/error.h"
#include "util/interrupt.h"

#define CHUNK ((size_t)1 << 20)

static bool copy_by_hand(int from, int to, off_t start, off_t end, uint8_t *buffer,
                         const char *what, GError **error)
{
    for (off_t at = start; at < end;) {
        size_t want = (size_t)MIN((off_t)CHUNK, end - at);
        ssize_t got = pread(from, buffer, want, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return tb_error_set_errno(error, errno, "cannot read '%s'", what);
        if (got == 0)
            return tb_error_set(error, TB_ERROR_IO, "cannot copy '%s': it got shorter meanwhile",
                                what);
        for (ssize_t done = 0; done < got;) {
            ssize_t written = pwrite(to, buffer + done, (size_t)(got - done), at + done);
            if (written < 0 && errno != EINTR)
                return tb_error_set_errno(error, errno, "cannot copy '%s'", what);
            done += MAX(written, 0);
        }
        at += got;
    }
    return true;
}

/* The kernel may copy without us, or share the blocks; what it does not do is done by hand. */
static bool copy_range(int from, int to, off_t start, off_t end, uint8_t *buffer, const char *what,
                       GError **error)
{
    off_t in = start, out = start;
    while (in < end) {
        ssize_t copied = copy_file_range(from, &in, to, &out, (size_t)(end - in), 0);
        if (copied < 0 && errno == EINTR)
            continue;
        if (copied < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
            return tb_error_set_errno(error, errno, "cannot copy '%s'", what);
        if (copied <= 0)
            return copy_by_hand(from, to, in, end, buffer, what, error);
    }
    return true;
}

bool tb_copy_file(int from_fd, int to_fd, const char *what, GError **error)
{
    struct stat st;
    if (fstat(from_fd, &st) < 0)
        return tb_error_set_errno(error, errno, "cannot read '%s'", what);
    if (!S_ISREG(st.st_mode))
        return tb_error_set(error, TB_ERROR_IO, "cannot copy '%s': not a regular file", what);
    if (ftruncate(to_fd, 0) < 0)
        return tb_error_set_errno(error, errno, "cannot copy '%s'", what);
    if (ioctl(to_fd, FICLONE, from_fd) == 0)
        return true;
    g_autofree uint8_t *buffer = g_malloc(CHUNK);
    for (off_t at = 0; at < st.st_size;) {
        off_t data = lseek(from_fd, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) /* only a hole is left */
            break;
        if (data < 0)
            data = at;
        off_t hole = lseek(from_fd, data, SEEK_HOLE);
        if (hole < 0 || hole > st.st_size)
            hole = st.st_size;
        if (!copy_range(from_fd, to_fd, data, hole, buffer, what, error))
            return false;
        at = hole;
    }
    if (ftruncate(to_fd, st.st_size) < 0)
        return tb_error_set_errno(error, errno, "cannot copy '%s'", what);
    return true;
}

char *tb_sha256_fd(int fd, const char *what, GError **error)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree uint8_t *buffer = g_malloc(CHUNK);
    for (off_t at = 0;;) {
        ssize_t got = pread(fd, buffer, CHUNK, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            tb_error_set_errno(error, errno, "cannot read '%s'", what);
            return NULL;
        }
        if (got == 0)
            return g_strdup(g_checksum_get_string(sum));
        if (!tb_interrupt_check(error))
            return NULL;
        g_checksum_update(sum, buffer, got);
        at += got;
    }
}

bool tb_copy_new(int from_dir, const char *from, int to_dir, const char *to, GError **error)
{
    tb_autofd in = openat(from_dir, from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    tb_autofd out = openat(to_dir, to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (in < 0 || out < 0)
        return tb_error_set_errno(error, errno, "cannot copy '%s'", from);
    return tb_copy_file(in, out, to, error);
}
