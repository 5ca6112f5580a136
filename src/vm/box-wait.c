/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A box that runs: its guest's first word, and its end.
 *
 * What taskbox-vmm tells goes into the box's state; it is looked at whenever somebody waits, here
 * or in a call of the session, which watches the same descriptor. Nothing that is told can do more
 * than end the box.
 */
#include "vm/box-private.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/interrupt.h"
#include "util/log.h"

#define ATTEMPT_US (2 * G_USEC_PER_SEC) /* for one HELLO; a guest that boots does not hear it */
#define POLL_MS    500
#define REASON_MS  2000

#define SECOND_BOOT_SECONDS 300

static void fail(TbBox *box, TbErrorCode code, const char *what, const char *detail)
{
    if (box->state == BOX_FAILED)
        return;
    box->state = BOX_FAILED;
    g_clear_error(&box->failure);
    tb_error_set(&box->failure, code, "box '%s': %s%s%s", box->id, what, *detail ? ": " : "",
                 detail);
}

static void note_stop(TbBox *box, const char *rest)
{
    if (g_str_has_prefix(rest, "shutdown")) {
        box->state = BOX_OFF;
        return;
    }
    box->died = box->state == BOX_RUNNING;
    fail(box, TB_ERROR_VM, "the VM died", rest);
}

/* It has nothing to say but its last words: whatever else comes is as good as its end. */
static bool share_ended(TbBox *box)
{
    g_autofree char *word = NULL;
    if (box->share && !box->share_end)
        tb_jail_next(box->share, &word, &box->share_end);
    return box->share_end != NULL;
}

/* QEMU knows no more than that there was nobody; the file server itself may know why. */
static void fail_to_start(TbBox *box, const char *rest)
{
    if (share_ended(box))
        fail(box, TB_ERROR_VM, "the project's file server (virtiofsd) does not run",
             box->share_end);
    else
        fail(box, TB_ERROR_VM, "the VM did not start", rest);
}

static void note_event(TbBox *box, const char *word, const char *rest)
{
    tb_debug("box '%s': %s %s", box->id, word, rest);
    if (strcmp(word, "running") == 0)
        box->state = BOX_RUNNING;
    else if (strcmp(word, "frozen") == 0 && box->state == BOX_FREEZING)
        box->state = BOX_FROZEN;
    else if (strcmp(word, "stopped") == 0)
        note_stop(box, rest);
    else if (strcmp(word, "io-error") == 0 && strcmp(rest, "enospc") == 0)
        fail(box, TB_ERROR_NO_SPACE,
             "the host's disk is full and the VM had to stop (make room and run again)", "");
    else if (strcmp(word, "io-error") == 0)
        fail(box, TB_ERROR_VM, "a disk of the VM failed and it had to stop", rest);
    else if (strcmp(word, "error") == 0)
        fail_to_start(box, rest);
    else
        fail(box, TB_ERROR_VM, "the jail says what nobody asked for", word);
}

/* Takes in all events that are there. */
static void pump_jail(TbBox *box)
{
    while (box->state <= BOX_FREEZING) {
        g_autofree char *word = NULL, *rest = NULL;
        switch (tb_jail_next(box->jail, &word, &rest)) {
        case TB_JAIL_AGAIN:
            return;
        case TB_JAIL_EVENT:
            note_event(box, word, rest);
            break;
        case TB_JAIL_ENDED:
            fail(box, TB_ERROR_VM,
                 box->state == BOX_STARTING ? "the jail did not start (see 'taskbox doctor')"
                                            : "the jail ended by itself",
                 rest);
            break;
        }
    }
}

/* Without its file server the guest waits for ever for a file. When the VM ends the server does,
 * too, and the VM's own word of it counts, which may come a moment later. */
static void pump_share(TbBox *box)
{
    if (box->state > BOX_RUNNING || !share_ended(box))
        return;
    struct pollfd told = {.fd = tb_jail_fd(box->jail), .events = POLLIN};
    for (int i = 0; i < 2 && box->state <= BOX_RUNNING; i++) {
        poll(&told, 1, i == 0 ? REASON_MS : 0);
        pump_jail(box);
    }
    if (box->state > BOX_RUNNING)
        return;
    box->unserved = box->state == BOX_RUNNING;
    fail(box, TB_ERROR_VM, "the project's file server (virtiofsd) ended by itself", box->share_end);
}

static void pump(TbBox *box)
{
    pump_jail(box);
    pump_share(box);
}

static bool check_failure(const TbBox *box, GError **error)
{
    if (box->state != BOX_FAILED)
        return true;
    g_propagate_error(error, g_error_copy(box->failure));
    return false;
}

/* Bytes of the guest's that nobody has read yet: what it said before it went is still heard. */
static bool has_words_left(const TbBox *box)
{
    int bytes = 0;
    return ioctl(box->session_fd, FIONREAD, &bytes) == 0 && bytes > 0;
}

static bool switched_off(const TbBox *box, GError **error)
{
    g_autofree char *line = tb_console_last_line(box->dir_fd);
    return tb_error_set(error, TB_ERROR_VM, "box '%s': the VM has switched itself off%s%s%s",
                        box->id, *line ? " (the console's last line: '" : "", line,
                        *line ? "')" : "");
}

bool tb_box_pump(TbBox *box, GError **error)
{
    pump(box);
    return check_failure(box, error);
}

/* Readable when there is word of the VM or of the file server. */
static int watched_fd(TbBox *box)
{
    struct epoll_event readable = {.events = EPOLLIN};
    int vm = tb_jail_fd(box->jail);
    if (!box->share)
        return vm;
    tb_clear_fd(&box->both);
    box->both = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ctl(box->both, EPOLL_CTL_ADD, vm, &readable) == 0 &&
        epoll_ctl(box->both, EPOLL_CTL_ADD, tb_jail_fd(box->share), &readable) == 0)
        return box->both;
    tb_warn("the project's file server is not watched: %s", g_strerror(errno));
    return vm;
}

static bool watch(void *data, GError **error)
{
    TbBox *box = data;
    pump(box);
    if (!check_failure(box, error))
        return false;
    if (box->state == BOX_OFF && !has_words_left(box))
        return tb_error_set(error, TB_ERROR_VM, "box '%s': the VM has switched itself off",
                            box->id);
    return true;
}

/* ---- waiting */

/* A VM that dies closes the channel first; a moment later we are told why. False with that reason
 * when there is one. */
static bool await_reason(TbBox *box, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + REASON_MS * 1000;
    for (pump(box); box->state <= BOX_RUNNING; pump(box)) {
        gint64 left = (deadline - g_get_monotonic_time()) / 1000;
        struct pollfd told = {.fd = tb_jail_fd(box->jail), .events = POLLIN};
        if (left <= 0 || poll(&told, 1, (int)left) == 0)
            return true;
    }
    return box->state == BOX_OFF ? switched_off(box, error) : check_failure(box, error);
}

void tb_box_explain(TbBox *box, GError **why)
{
    g_autoptr(GError) reason = NULL;
    if (!g_error_matches(*why, TB_ERROR, TB_ERROR_GUEST) || !box->jail ||
        await_reason(box, &reason) || !reason)
        return;
    g_error_free(*why);
    *why = g_steal_pointer(&reason);
}

bool tb_box_forsake_share(TbBox *box)
{
    if (box->state != BOX_FAILED || !box->unserved || !box->session)
        return false;
    box->unserved = false;
    box->state = BOX_RUNNING;
    g_clear_error(&box->failure);
    g_clear_pointer(&box->share, tb_jail_free);
    g_clear_pointer(&box->share_end, g_free);
    tb_session_set_watch(box->session, tb_jail_fd(box->jail), watch, box);
    return true;
}

static bool timed_out(int64_t deadline)
{
    return deadline != 0 && g_get_monotonic_time() >= deadline;
}

static int poll_time(int64_t deadline)
{
    if (deadline == 0)
        return POLL_MS;
    int64_t left = (deadline - g_get_monotonic_time() + 999) / 1000;
    return (int)CLAMP(left, 0, POLL_MS);
}

void tb_box_doze(TbBox *box, int64_t deadline)
{
    struct pollfd fds[2] = {{.fd = tb_jail_fd(box->jail), .events = POLLIN},
                            {.fd = tb_interrupt_fd(), .events = POLLIN}};
    poll(fds, 2, poll_time(deadline));
}

static bool no_answer(const TbBox *box, GError **error)
{
    g_autofree char *line = tb_console_last_line(box->dir_fd);
    return tb_error_set(error, TB_ERROR_TIMEOUT,
                        "box '%s': the guest program has not answered in time (%s%s%s)", box->id,
                        *line ? "the console's last line: '" : "nothing on the console", line,
                        *line ? "'" : "");
}

/* The peer is QEMU, so its uid is the jail's. */
static bool is_of_jail(const TbBox *box, int fd)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           peer.uid == box->user.uid;
}

/* True with *fd still -1: nobody has connected yet. */
static bool accept_channel(TbBox *box, int *fd, GError **error)
{
    tb_autofd peer = accept4(box->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (peer < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
        return tb_error_set_errno(error, errno, "box '%s': cannot accept the channel", box->id);
    if (peer >= 0 && is_of_jail(box, peer))
        *fd = tb_steal_fd(&peer);
    return true;
}

static bool await_channel(TbBox *box, int64_t deadline, GError **error)
{
    tb_autofd fd = -1;
    while (fd < 0) {
        pump(box);
        if (!check_failure(box, error) || !tb_interrupt_check(error))
            return false;
        if (box->state == BOX_OFF)
            return switched_off(box, error);
        if (!accept_channel(box, &fd, error))
            return false;
        if (fd >= 0)
            break;
        if (timed_out(deadline))
            return no_answer(box, error);
        struct pollfd fds[3] = {{.fd = box->listen_fd, .events = POLLIN},
                                {.fd = tb_jail_fd(box->jail), .events = POLLIN},
                                {.fd = tb_interrupt_fd(), .events = POLLIN}};
        poll(fds, 3, poll_time(deadline));
    }
    tb_clear_fd(&box->listen_fd); /* QEMU connects once; nobody else ever */
    box->session_fd = fd;
    box->session = tb_session_new(tb_steal_fd(&fd));
    if (box->forked)
        tb_session_begin_clean(box->session);
    tb_session_set_watch(box->session, watched_fd(box), watch, box);
    return true;
}

int tb_box_egress(TbBox *box, GError **error)
{
    tb_autofd peer =
        box->egress_fd < 0 ? -1 : accept4(box->egress_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (peer < 0 || !is_of_jail(box, peer)) {
        tb_error_set(error, TB_ERROR_VM, "box '%s': the VM has no port for the network", box->id);
        return -1;
    }
    tb_clear_fd(&box->egress_fd); /* QEMU connects once; nobody else ever */
    return tb_steal_fd(&peer);
}

TbSession *tb_box_wait_hello(TbBox *box, int64_t deadline, TbGuestInfo *info, GError **error)
{
    if (!box->session && !await_channel(box, deadline, error))
        return NULL;
    for (;;) {
        int64_t attempt = g_get_monotonic_time() + ATTEMPT_US;
        if (deadline != 0)
            attempt = MIN(attempt, deadline);
        g_autoptr(GError) problem = NULL;
        if (tb_session_hello(box->session, attempt, info, &problem))
            return box->session;
        if (!g_error_matches(problem, TB_ERROR, TB_ERROR_TIMEOUT)) {
            bool lost = g_error_matches(problem, TB_ERROR, TB_ERROR_GUEST);
            if (!lost || await_reason(box, error))
                g_propagate_error(error, g_steal_pointer(&problem));
            return NULL;
        }
        if (timed_out(deadline)) {
            no_answer(box, error);
            return NULL;
        }
    }
}

TbSession *tb_box_wait_boot(TbBox **box, const TbBoxSpec *spec, int seconds, TbGuestInfo *info,
                            GError **error)
{
    g_autoptr(GError) why = NULL;
    TbSession *session = tb_box_wait_hello(*box, tb_session_deadline(seconds), info, &why);
    if (session)
        return session;
    if (!g_error_matches(why, TB_ERROR, TB_ERROR_TIMEOUT) && !(*box)->died) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    /* An emulated boot was seen to stand still, and QEMU 10.0 to fail an assertion of its own; the
     * next boot of the same image went through. */
    tb_warn("%s; booting it once more", why->message);
    tb_box_free(*box);
    *box = tb_box_start(spec, error);
    return *box ? tb_box_wait_hello(*box, tb_session_deadline(SECOND_BOOT_SECONDS), info, error)
                : NULL;
}

bool tb_box_wait_off(TbBox *box, int64_t deadline, GError **error)
{
    for (;;) {
        pump(box);
        if (box->state == BOX_OFF)
            return true;
        if (!check_failure(box, error) || !tb_interrupt_check(error))
            return false;
        if (timed_out(deadline))
            return tb_error_set(error, TB_ERROR_TIMEOUT,
                                "box '%s': the VM has not switched itself off in time", box->id);
        tb_box_doze(box, deadline);
    }
}
