/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/review-keys.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "util/error.h"
#include "util/interrupt.h"

/* Signals stay: Ctrl-C ends the review like any other command. */
static void set_mode(TbKeys *keys)
{
    struct termios mode = keys->before;
    mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    mode.c_cc[VMIN] = 1;
    mode.c_cc[VTIME] = 0;
    keys->changed = tcsetattr(keys->fd, TCSADRAIN, &mode) == 0;
}

bool tb_keys_begin(TbKeys *keys, int fd, GError **error)
{
    *keys = (TbKeys){.fd = fd};
    if (tcgetattr(fd, &keys->before) != 0)
        return tb_error_set_errno(error, errno, "cannot read keys from the terminal");
    set_mode(keys);
    return true;
}

void tb_keys_end(TbKeys *keys)
{
    if (keys->changed)
        tcsetattr(keys->fd, TCSADRAIN, &keys->before);
    keys->changed = false;
}

static bool wait_for(const TbKeys *keys, int milliseconds, bool *ready, GError **error)
{
    struct pollfd fds[2] = {{.fd = keys->fd, .events = POLLIN},
                            {.fd = tb_interrupt_fd(), .events = POLLIN}};
    int count = poll(fds, 2, milliseconds);
    if (count < 0 && errno != EINTR)
        return tb_error_set_errno(error, errno, "cannot wait for a key");
    *ready = count > 0 && fds[0].revents;
    return tb_interrupt_check(error);
}

static bool read_byte(TbKeys *keys, char *byte, GError **error)
{
    for (bool ready = false; !ready;)
        if (!wait_for(keys, -1, &ready, error))
            return false;
    ssize_t got = read(keys->fd, byte, 1);
    if (got < 0 && errno != EIO)
        return tb_error_set_errno(error, errno, "cannot read a key");
    if (got <= 0)
        *byte = '\0';
    return true;
}

bool tb_keys_read(TbKeys *keys, char *key, GError **error)
{
    set_mode(keys); /* again: a shell may have changed it while we were stopped */
    if (!read_byte(keys, key, error))
        return false;
    for (bool more = *key == '\033'; more;) {
        if (!wait_for(keys, 20, &more, error) || (more && !read_byte(keys, key, error)))
            return false;
        if (!more)
            *key = '\033';
    }
    return true;
}
