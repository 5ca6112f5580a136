/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a client of a task's control socket may send: nothing of it may do more than end that
 * client. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/control.h"
#include "util/fs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static TbTask task = {.id = (char *)"fuzz", .dirfd = -1};
static char *place;

static void remove_place(void)
{
    tb_remove_tree(AT_FDCWD, place, NULL);
}

static void open_place(void)
{
    place = g_dir_make_tmp("taskbox-fuzz-XXXXXX", NULL);
    task.dirfd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (task.dirfd < 0)
        abort();
    atexit(remove_place);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
}

static void serve(TbControl *control)
{
    struct pollfd fds[TB_EXEC_POLL];
    for (int round = 0; round < 40; round++) {
        size_t count = tb_control_poll(control, fds, TB_EXEC_POLL);
        if (poll(fds, count, 0) <= 0)
            return;
        tb_control_polled(control, fds, count);
    }
}

/* The first byte says whether the task has a terminal and how the rest is cut. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const env[] = {"A=b", NULL};
    int client[2], guest[2];
    if (task.dirfd < 0)
        open_place();
    if (size < 2 || size > 100000)
        return 0;
    TbControl *control = tb_control_open(&task, NULL);
    if (!control ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, client) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, guest) != 0)
        abort();
    TbSession *session = tb_session_new(guest[0]);
    tb_control_serve(control, session, env, "/", data[0] & 1);
    tb_control_adopt(control, client[0]);
    size_t step = 1 + (data[0] >> 1) * 50u;
    for (size_t at = 1; at < size; at += step) {
        ssize_t n = send(client[1], data + at, MIN(step, size - at), MSG_NOSIGNAL);
        if (n < 0)
            break;
        serve(control);
        tb_control_output(control, "output", 6);
        const TbFrame frame = {.type = TB_MSG_OUTPUT,
                               .stream = 0x101,
                               .payload = data,
                               .length = (uint32_t)MIN(size, 9)};
        tb_control_side(control, 1, &frame);
        uint8_t typed[64];
        if (tb_control_typed(control, typed, sizeof typed) > sizeof typed)
            abort();
        tb_control_tick(control);
    }
    tb_control_end(control, 0, 0);
    tb_control_free(control);
    tb_session_free(session);
    close(client[1]);
    close(guest[1]);
    return 0;
}
