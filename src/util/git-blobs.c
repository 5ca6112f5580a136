/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many blobs by one `git fast-import`.
 *
 * The stream holds blob commands only: `blob`, `mark :N`, `data LENGTH`, then exactly LENGTH bytes.
 * Because the bytes are counted no content can become a command, and no path is ever sent, so what
 * fast-import would believe of paths does not matter. Object ids come back through the marks file,
 * which lies in our own git directory.
 *
 * The child reads from a socket and not from a pipe: writing to one whose reader died then is an
 * error and not a signal, whatever the program around us does with SIGPIPE.
 */
#include "util/git.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/interrupt.h"

#define BUFFER_SIZE   (128 * 1024)
#define STALL_MS      120000
#define MAX_MARK_LINE 96

struct TbBlobWriter {
    char *git_path;
    unsigned oid_length;
    char *marks_name;
    TbChild *child;
    int fd;        /* our end of the child's stdin */
    int stderr_fd; /* memory file */
    uint32_t count;
    bool open;     /* between begin and end */
    uint64_t left; /* bytes the open blob still needs */
    size_t used;
    uint8_t *buffer;
};

static char *child_message(TbBlobWriter *writer)
{
    char text[512];
    ssize_t n = pread(writer->stderr_fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return g_strdup("no message");
    text[n] = '\0';
    g_strdelimit(text, "\n\r", ' ');
    return g_strdup(g_strstrip(text));
}

static bool writer_failed(TbBlobWriter *writer, GError **error)
{
    int status = 0;
    bool ended = tb_child_wait(writer->child, 2000, &status);
    if (!tb_child_check_lost(writer->child, "git fast-import", error))
        return false;
    if (ended && WIFSIGNALED(status))
        return tb_error_set(error, TB_ERROR_IO,
                            "cannot store files: git fast-import was killed by "
                            "signal %d",
                            WTERMSIG(status));
    g_autofree char *message = child_message(writer);
    return tb_error_set(error, TB_ERROR_IO, "cannot store files: git fast-import failed: %s",
                        message);
}

/* Waits until the child takes more; a child that takes nothing for two minutes hangs. */
static bool wait_writable(TbBlobWriter *writer, GError **error)
{
    struct pollfd fds[2] = {{.fd = writer->fd, .events = POLLOUT},
                            {.fd = tb_interrupt_fd(), .events = POLLIN}};
    int ready = poll(fds, 2, STALL_MS);
    if (ready < 0 && errno != EINTR)
        return tb_error_set_errno(error, errno, "cannot wait for git fast-import");
    if (!tb_interrupt_check(error))
        return false;
    if (ready == 0)
        return tb_error_set(error, TB_ERROR_TIMEOUT, "git fast-import does not take any more data");
    return true;
}

static bool send_all(TbBlobWriter *writer, const void *data, size_t length, GError **error)
{
    const uint8_t *p = data;
    while (length > 0) {
        ssize_t n = send(writer->fd, p, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            p += n;
            length -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            if (!wait_writable(writer, error))
                return false;
        } else if (n < 0 && errno != EINTR) {
            return writer_failed(writer, error);
        }
    }
    return true;
}

static bool flush_buffer(TbBlobWriter *writer, GError **error)
{
    size_t used = writer->used;
    writer->used = 0;
    return send_all(writer, writer->buffer, used, error);
}

static bool put(TbBlobWriter *writer, const void *data, size_t length, GError **error)
{
    if (length > BUFFER_SIZE - writer->used && !flush_buffer(writer, error))
        return false;
    if (length >= BUFFER_SIZE)
        return send_all(writer, data, length, error);
    memcpy(writer->buffer + writer->used, data, length);
    writer->used += length;
    return true;
}

static bool start_child(TbBlobWriter *writer, TbGit *git, int stdin_fd, GError **error)
{
    g_autoptr(TbCommand) command = tb_git_command(git, "fast-import", NULL, NULL);
    tb_command_add(command, "--quiet", "--done", "--depth=0", "--big-file-threshold=32m", NULL);
    tb_command_add_format(command, "--export-marks=%s/%s", writer->git_path, writer->marks_name);
    /* Keep the pack whole: unpacking a few hundred objects one file each costs more. */
    tb_command_setenv(command, "GIT_CONFIG_COUNT", "2");
    tb_command_setenv(command, "GIT_CONFIG_KEY_0", "fastimport.unpackLimit");
    tb_command_setenv(command, "GIT_CONFIG_VALUE_0", "0");
    tb_command_setenv(command, "GIT_CONFIG_KEY_1", "pack.compression");
    tb_command_setenv(command, "GIT_CONFIG_VALUE_1", "1");
    tb_autofd null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0)
        return tb_error_set_errno(error, errno, "cannot open '/dev/null'");
    tb_command_set_stdin_fd(command, stdin_fd);
    tb_command_set_stdout_fd(command, null);
    tb_command_set_stderr_fd(command, writer->stderr_fd);
    writer->child = tb_command_start(command, error);
    return writer->child != NULL;
}

TbBlobWriter *tb_blob_writer_new(TbGit *git, GError **error)
{
    g_autoptr(TbBlobWriter) writer = g_new0(TbBlobWriter, 1);
    writer->fd = writer->stderr_fd = -1;
    writer->git_path = g_strdup(tb_git_path(git));
    writer->oid_length = tb_git_oid_length(git);
    writer->marks_name = g_strdup_printf("marks-%08x%08x", g_random_int(), g_random_int());
    writer->buffer = g_malloc(BUFFER_SIZE);
    writer->stderr_fd = memfd_create("git-stderr", MFD_CLOEXEC);
    int ends[2];
    if (writer->stderr_fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        tb_error_set_errno(error, errno, "cannot start git fast-import");
        return NULL;
    }
    writer->fd = ends[0];
    tb_autofd child_end = ends[1];
    if (!start_child(writer, git, child_end, error))
        return NULL;
    return g_steal_pointer(&writer);
}

bool tb_blob_writer_begin(TbBlobWriter *writer, uint64_t size, GError **error)
{
    if (writer->open || writer->count >= UINT32_MAX - 1)
        return tb_error_set(error, TB_ERROR_INTERNAL, "a blob was begun inside of another");
    char head[80];
    int length = g_snprintf(head, sizeof head, "blob\nmark :%" PRIu32 "\ndata %" PRIu64 "\n",
                            writer->count + 1, size);
    writer->open = true;
    writer->left = size;
    return put(writer, head, (size_t)length, error);
}

bool tb_blob_writer_data(TbBlobWriter *writer, const void *data, size_t length, GError **error)
{
    if (!writer->open || length > writer->left)
        return tb_error_set(error, TB_ERROR_INTERNAL, "a blob got more bytes than announced");
    writer->left -= length;
    return put(writer, data, length, error);
}

bool tb_blob_writer_end(TbBlobWriter *writer, uint32_t *out_mark, GError **error)
{
    if (!writer->open || writer->left != 0)
        return tb_error_set(error, TB_ERROR_INTERNAL, "a blob got fewer bytes than announced");
    writer->open = false;
    *out_mark = writer->count++;
    return put(writer, "\n", 1, error);
}

/* ":12 <hex>\n" lines in any order, each number of 1..count once. */
static GPtrArray *parse_marks(TbBlobWriter *writer, const char *text)
{
    g_autoptr(GPtrArray) oids = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_set_size(oids, (int)writer->count);
    uint32_t found = 0;
    while (*text == ':') {
        char *end = NULL;
        guint64 number = g_ascii_strtoull(text + 1, &end, 10);
        size_t digits = *end == ' ' ? strspn(end + 1, "0123456789abcdef") : 0;
        if (number < 1 || number > writer->count || digits != writer->oid_length ||
            end[1 + digits] != '\n' || oids->pdata[number - 1])
            return NULL;
        oids->pdata[number - 1] = g_strndup(end + 1, digits);
        found++;
        text = end + digits + 2;
    }
    return *text == '\0' && found == writer->count ? g_steal_pointer(&oids) : NULL;
}

static GPtrArray *read_marks(TbBlobWriter *writer, GError **error)
{
    if (writer->count == 0)
        return g_ptr_array_new_with_free_func(g_free);
    tb_autofd dir = open(writer->git_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        tb_error_set_errno(error, errno, "cannot open '%s'", writer->git_path);
        return NULL;
    }
    g_autoptr(GBytes) text =
        tb_read_file_at(dir, writer->marks_name, (size_t)writer->count * MAX_MARK_LINE, error);
    if (!text)
        return NULL;
    GPtrArray *oids = parse_marks(writer, g_bytes_get_data(text, NULL));
    if (!oids)
        tb_error_set(error, TB_ERROR_INTERNAL, "cannot read the marks of git fast-import");
    return oids;
}

bool tb_blob_writer_finish(TbBlobWriter *writer, GPtrArray **oids, GError **error)
{
    if (writer->open)
        return tb_error_set(error, TB_ERROR_INTERNAL, "a blob was not ended");
    if (!put(writer, "done\n", 5, error) || !flush_buffer(writer, error))
        return false;
    tb_clear_fd(&writer->fd);
    int status = 0;
    for (int waited = 0; !tb_child_wait(writer->child, 100, &status); waited += 100) {
        if (!tb_interrupt_check(error))
            return false;
        if (waited >= STALL_MS)
            return tb_error_set(error, TB_ERROR_TIMEOUT, "git fast-import does not end");
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return writer_failed(writer, error);
    *oids = read_marks(writer, error);
    return *oids != NULL;
}

void tb_blob_writer_free(TbBlobWriter *writer)
{
    if (!writer)
        return;
    tb_clear_fd(&writer->fd);
    tb_child_free(writer->child);
    tb_clear_fd(&writer->stderr_fd);
    if (writer->marks_name) {
        g_autofree char *marks = g_build_filename(writer->git_path, writer->marks_name, NULL);
        (void)unlink(marks);
    }
    g_free(writer->marks_name);
    g_free(writer->git_path);
    g_free(writer->buffer);
    g_free(writer);
}
