/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The handler counts and makes an eventfd readable; the count is the truth, the descriptor only
 * wakes poll. No SA_RESTART: a blocking read of a terminal must come back.
 */
#include "util/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "util/error.h"

static atomic_int pending;
static atomic_int last_signal;
static atomic_int wake_fd = -1;

static void make_readable(void)
{
    uint64_t one = 1;
    ssize_t written = write(atomic_load(&wake_fd), &one, sizeof one);
    (void)written; /* full: readable already */
}

static void on_signal(int number)
{
    int saved = errno;
    atomic_store(&last_signal, number);
    atomic_fetch_add(&pending, 1);
    make_readable();
    errno = saved;
}

static void catch_signal(int number)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

void tb_interrupt_install(void)
{
    if (atomic_load(&wake_fd) < 0)
        atomic_store(&wake_fd, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    catch_signal(SIGINT);
    catch_signal(SIGTERM);
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) /* nohup */
        catch_signal(SIGHUP);
    signal(SIGPIPE, SIG_IGN);
}

void tb_interrupt_forked(void)
{
    int old = atomic_exchange(&wake_fd, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (old >= 0)
        close(old);
    atomic_store(&pending, 0);
}

int tb_interrupt_pending(void)
{
    return atomic_load(&pending);
}

int tb_interrupt_signal(void)
{
    return atomic_load(&last_signal);
}

void tb_interrupt_acknowledge(void)
{
    if (atomic_load(&wake_fd) < 0)
        return;
    atomic_store(&pending, 0);
    uint64_t count;
    ssize_t got = read(atomic_load(&wake_fd), &count, sizeof count);
    (void)got;
    if (atomic_load(&pending) > 0) /* arrived in between; the read took its wake-up */
        make_readable();
}

int tb_interrupt_fd(void)
{
    return atomic_load(&wake_fd);
}

bool tb_interrupt_check(GError **error)
{
    if (tb_interrupt_pending() == 0)
        return true;
    const char *name = "SIGHUP";
    if (tb_interrupt_signal() == SIGINT)
        name = "SIGINT";
    else if (tb_interrupt_signal() == SIGTERM)
        name = "SIGTERM";
    return tb_error_set(error, TB_ERROR_INTERRUPTED, "interrupted by %s", name);
}
