/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a hostile guest sends over the egress port. Whatever it is: no crash, and the same bytes cut
 * in two ways are taken or refused alike. */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/mux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STREAMS_GIVEN = 4 };

typedef struct {
    int ours[STREAMS_GIVEN];
    unsigned count;
} Given;

/* The first streams get a socket that nobody reads, the others none. */
static int on_open(void *data)
{
    Given *given = data;
    int ends[2];
    if (given->count == STREAMS_GIVEN || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return -1;
    given->ours[given->count++] = ends[0];
    return ends[1];
}

static bool run(const uint8_t *data, size_t size, size_t piece)
{
    Given given = {.count = 0};
    int port = open("/dev/null", O_RDWR);
    TbMux *mux = tb_mux_new(port, on_open, &given);
    bool ok = true;
    if (!mux)
        abort();
    for (size_t at = 0; ok && at < size; at += piece)
        ok = tb_mux_take(mux, data + at, piece < size - at ? piece : size - at);
    struct pollfd fds[TB_MUX_FDS];
    tb_mux_poll(mux, fds);
    tb_mux_free(mux);
    for (unsigned i = 0; i < given.count; i++)
        close(given.ours[i]);
    close(port);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    signal(SIGPIPE, SIG_IGN);
    if (run(data, size, size + 1) != run(data, size, size > 0 ? 1 + data[size - 1] % 13 : 1))
        abort();
    return 0;
}
