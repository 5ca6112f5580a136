/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Children that somebody else forks (command-private.h, TbStarter). Such a child is known by a
 * socket instead of a number. What comes from it is hostile: one int is read, and what is no end is
 * taken for none.
 */
#include "util/command.h"
#include "util/command-private.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "util/error.h"
#include "util/packet.h"

/* The other side takes no set-up, descriptors or limits from us. */
TbChild *tb_child_spawn_far(TbCommand *command, const int standard[3], GError **error)
{
    if (command->setup || command->passed->len > 0 || command->n_limits > 0) {
        tb_error_set(error, TB_ERROR_INTERNAL, "'%s' asks for more than its jail can give it",
                     command->program);
        return NULL;
    }
    int fd = command->starter->start(command->starter_data, command, standard, error);
    if (fd < 0)
        return NULL;
    TbChild *child = g_new0(TbChild, 1);
    child->pidfd = fd;
    child->starter = command->starter;
    child->starter_data = command->starter_data;
    return child;
}

void tb_child_poll_far(TbChild *child)
{
    int status = 0;
    ssize_t got = tb_packet_recv(child->pidfd, &status, sizeof status, MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && errno == EAGAIN)
        return;
    child->ended = true;
    child->lost = got != sizeof status || !(WIFEXITED(status) || WIFSIGNALED(status));
    child->wait_status = child->lost ? EXIT_UNKNOWN << 8 : status;
}

void tb_child_kill_far(const TbChild *child)
{
    shutdown(child->pidfd, SHUT_WR);
}

bool tb_child_check_lost(const TbChild *child, const char *label, GError **error)
{
    if (!child->lost)
        return true;
    g_autofree char *words = child->starter->last_words(child->starter_data);
    return tb_error_set(error, TB_ERROR_IO, "'%s' is gone: the jail it ran in has ended%s%s", label,
                        words ? ": " : "", words ? words : "");
}
