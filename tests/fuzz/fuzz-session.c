/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes of a guest as the answer to any request: an error or success, never a fault, and never
 * more handed on than was sent. The first byte chooses the request, and whether side processes run
 * or are still to end. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/error.h"
#include "vm/session-private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    size_t bytes;
    size_t of_side[1 + TB_SIDES];
    bool ended[1 + TB_SIDES];
} Taken;

/* Of processes that were started, before their end, within their window. */
static bool on_side(unsigned process, const TbFrame *frame, void *user_data, GError **error)
{
    Taken *taken = user_data;
    if (process < 1 || process > 2 || taken->ended[process])
        abort();
    taken->bytes += frame->length;
    if (frame->type == TB_MSG_OUTPUT)
        taken->of_side[process] += frame->length;
    taken->ended[process] = frame->type == TB_MSG_EXIT || frame->type == TB_MSG_ERROR;
    return taken->of_side[process] <= TB_SIDE_WINDOW || (abort(), false);
}

static bool on_output(int fd, const uint8_t *data, size_t length, void *user_data, GError **error)
{
    ((Taken *)user_data)->bytes += length;
    return fd == 1 || fd == 2 || (abort(), false);
}

static bool on_entry(const TbEntry *entry, void *data, GError **error)
{
    ((Taken *)data)->bytes += entry->path_length + entry->target_length;
    return true;
}

static bool on_begin(uint32_t index, uint64_t size, void *data, GError **error)
{
    return size <= 4096 || (abort(), false);
}

static bool on_bytes(const uint8_t *bytes, size_t length, void *data, GError **error)
{
    ((Taken *)data)->bytes += length;
    return true;
}

static bool on_end(uint32_t index, void *data, GError **error)
{
    return true;
}

static bool ask(TbSession *session, unsigned which, Taken *taken, GError **error)
{
    static const uint32_t indices[] = {0, 3, 9};
    static const char *const argv[] = {"x", NULL};
    const TbExec exec = {.argv = argv, .cwd = "/", .pty = which & 8, .stdin_fd = -1};
    const TbExecHandlers handlers = {.output = on_output, .side = on_side, .data = taken};
    const TbFileSink sink = {on_begin, on_bytes, on_end, taken};
    const TbMount mount = {.name = "x", .filesystem = "none"};
    TbExecResult result;
    TbGuestInfo info;
    int64_t deadline = g_get_monotonic_time() + 2 * G_USEC_PER_SEC;
    switch (which % 5) {
    case 0:
        return tb_session_mount(session, &mount, deadline, error);
    case 1:
        return tb_session_exec(session, &exec, &handlers, deadline, &result, error);
    case 2:
        return tb_session_export_list(session, 50, on_entry, taken, deadline, error);
    case 3:
        return tb_session_export_files(session, indices, 3, 4096, &sink, deadline, error);
    default:
        return tb_session_hello(session, deadline, &info, error);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fds[2];
    Taken taken = {0};
    g_autoptr(GError) error = NULL;
    if (size == 0 || size > 60000 || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        return 0;
    if (write(fds[1], data + 1, size - 1) != (ssize_t)size - 1 || shutdown(fds[1], SHUT_WR) != 0)
        abort();
    TbSession *session = tb_session_new(fds[0]);
    session->greeted = true;
    session->stale = data[0] & 16;
    for (unsigned i = 0; i < 2 && data[0] & 32; i++)
        tb_session_side_start(session, "x", 1);
    session->lost_sides = data[0] & 64 ? 1u << 3 | 1u << TB_SIDES : 0;
    bool ok = ask(session, data[0], &taken, &error);
    if (ok == (error != NULL) || taken.bytes > size)
        abort();
    tb_session_free(session);
    close(fds[1]);
    return 0;
}
