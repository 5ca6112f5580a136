/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who has a box, or waits for one, holds a ticket: an empty file in the state directory's
 * admission/, locked (flock) by its owner until the box is gone. All that is known of a ticket is
 * its name, NUMBER-w-CPUS-MEMORY while it waits and NUMBER-r-CPUS-MEMORY when its box may run, so
 * that nothing can be half-written. A ticket whose lock is free belongs to a dead process and is
 * removed by whoever comes next.
 *
 * Names change under one lock that is held for moments. Whoever looks admits, in the order of
 * numbers, every ticket that fits, and none behind one that does not: a box that needs much is not
 * overtaken for ever, and a process that was stopped (Ctrl-Z) while it waited keeps nobody else
 * from being looked after.
 *
 * Waiting: inotify tells of tickets that go, change, or are closed (also by the kernel, after a
 * SIGKILL). Scans open tickets for reading only, so they wake nobody.
 */
#include "run/admission.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/capacity.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/interrupt.h"
#include "util/log.h"
#include "util/paths.h"
#include "util/units.h"

#define LOCK_NAME   "admission.lock" /* beside the directory, whose files are watched */
#define EVENTS      (IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_TO)
#define LOOK_MS     5000 /* in case that an event is lost */
#define LOOK_BARE   200  /* without inotify (its instances are limited per user) */
#define LOOK_SOON   20   /* the kernel tells of a closed file just before it drops the lock */
#define NUMBER_MAX  (UINT64_MAX / 2)
#define TICKET_BARE 4 /* parts of a name */

typedef struct {
    uint64_t number;
    bool running;
    uint64_t cpus, memory;
} Ticket;

struct TbAdmission {
    int state, dir; /* directories */
    int fd;         /* the ticket; its lock */
    Ticket ticket;
};

typedef struct {
    unsigned boxes;
    uint64_t cpus, memory; /* of those boxes */
    unsigned before;       /* tickets that wait before ours */
    bool admitted;         /* ours */
} Queue;

static char *name_of(const Ticket *ticket, bool running)
{
    return g_strdup_printf("%020" G_GUINT64_FORMAT "-%c-%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT,
                           ticket->number, running ? 'r' : 'w', ticket->cpus, ticket->memory);
}

static bool parse_name(const char *name, Ticket *ticket)
{
    g_auto(GStrv) parts = g_strsplit(name, "-", TICKET_BARE + 1);
    if (g_strv_length(parts) != TICKET_BARE ||
        !tb_number_parse(parts[0], "number", 1, NUMBER_MAX, &ticket->number, NULL) ||
        !tb_number_parse(parts[2], "cpus", 1, UINT32_MAX, &ticket->cpus, NULL) ||
        !tb_number_parse(parts[3], "memory", 1, UINT64_MAX, &ticket->memory, NULL))
        return false;
    ticket->running = g_str_equal(parts[1], "r");
    return ticket->running || g_str_equal(parts[1], "w");
}

/* Whether the owner lives; the ticket of a dead one is removed. */
static bool check_owner(int dir, const char *name)
{
    tb_autofd fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno != ENOENT; /* given back just now; else its owner has the doubt's benefit */
    if (flock(fd, LOCK_SH | LOCK_NB) < 0)
        return true;
    unlinkat(dir, name, 0);
    return false;
}

static int compare_numbers(const void *a, const void *b)
{
    const Ticket *first = a, *second = b;
    return (first->number > second->number) - (first->number < second->number);
}

/* The tickets of the living in the order they were taken. */
static GArray *read_tickets(const TbAdmission *admission, GError **error)
{
    int fd = openat(admission->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    if (!stream) {
        tb_error_set_errno(error, errno, "cannot see who else has a box");
        tb_clear_fd(&fd);
        return NULL;
    }
    GArray *tickets = g_array_new(FALSE, FALSE, sizeof(Ticket));
    for (struct dirent *entry; (entry = readdir(stream));) {
        Ticket ticket;
        if (parse_name(entry->d_name, &ticket) && check_owner(admission->dir, entry->d_name))
            g_array_append_val(tickets, ticket);
    }
    closedir(stream);
    g_array_sort(tickets, compare_numbers);
    return tickets;
}

static bool fits(const Ticket *ticket, const Queue *queue, const TbCapacity *capacity)
{
    return queue->cpus <= capacity->cpus && ticket->cpus <= capacity->cpus - queue->cpus &&
           queue->memory <= capacity->memory && ticket->memory <= capacity->memory - queue->memory;
}

static void count(Queue *queue, const Ticket *ticket, const TbAdmission *admission)
{
    queue->boxes++;
    queue->cpus += ticket->cpus;
    queue->memory += ticket->memory;
    if (ticket->number == admission->ticket.number)
        queue->admitted = true;
}

/* False when its owner gave it back a moment ago. */
static bool admit(const TbAdmission *admission, const Ticket *ticket)
{
    g_autofree char *from = name_of(ticket, false);
    g_autofree char *to = name_of(ticket, true);
    return renameat(admission->dir, from, admission->dir, to) == 0;
}

/* Admits whom there is room for and says how the queue stands then. */
static bool look(const TbAdmission *admission, const TbCapacity *capacity, Queue *queue,
                 GError **error)
{
    *queue = (Queue){0};
    tb_autofd lock = tb_lock(admission->state, LOCK_NAME, true, error);
    g_autoptr(GArray) tickets = lock >= 0 ? read_tickets(admission, error) : NULL;
    if (!tickets)
        return false;
    bool full = false, ours = false;
    for (guint i = 0; i < tickets->len; i++) {
        const Ticket *ticket = &g_array_index(tickets, Ticket, i);
        ours = ours || ticket->number == admission->ticket.number;
        if (ticket->running)
            count(queue, ticket, admission);
    }
    for (guint i = 0; i < tickets->len; i++) {
        const Ticket *ticket = &g_array_index(tickets, Ticket, i);
        if (ticket->running)
            continue;
        full = full || !fits(ticket, queue, capacity);
        if (!full && admit(admission, ticket))
            count(queue, ticket, admission);
        else if (ticket->number < admission->ticket.number)
            queue->before++;
    }
    return ours || tb_error_set(error, TB_ERROR_IO,
                                "cannot wait for room: somebody removed this task's ticket from "
                                "the state directory's 'admission'");
}

static bool open_places(TbAdmission *admission, GError **error)
{
    g_autofree char *state = tb_path_state();
    g_autofree char *dir = g_build_filename(state, "admission", NULL);
    admission->state = tb_open_private_dir(state, error);
    if (admission->state < 0)
        return false;
    admission->dir = tb_open_private_dir(dir, error);
    return admission->dir >= 0;
}

/* Takes a ticket behind all others. */
static bool queue_up(TbAdmission *admission, GError **error)
{
    tb_autofd lock = tb_lock(admission->state, LOCK_NAME, true, error);
    g_autoptr(GArray) tickets = lock >= 0 ? read_tickets(admission, error) : NULL;
    if (!tickets)
        return false;
    Ticket *ticket = &admission->ticket;
    ticket->number = tickets->len ? g_array_index(tickets, Ticket, tickets->len - 1).number + 1 : 1;
    g_autofree char *name = name_of(ticket, false);
    admission->fd =
        openat(admission->dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return (admission->fd >= 0 && flock(admission->fd, LOCK_EX | LOCK_NB) == 0) ||
           tb_error_set_errno(error, errno, "cannot take a ticket in the state directory");
}

static void say(const Queue *queue, const TbCapacity *capacity)
{
    g_autofree char *used = tb_size_format(queue->memory);
    g_autofree char *all = tb_size_format(capacity->memory);
    g_autofree char *before = queue->before
                                  ? g_strdup_printf("; %u waiting before this one", queue->before)
                                  : g_strdup("");
    tb_info("waiting for room: %u box%s %" G_GUINT64_FORMAT " of %u cpus and %s of %s of memory%s",
            queue->boxes, queue->boxes == 1 ? " uses" : "es use", queue->cpus, capacity->cpus, used,
            all, before);
}

static int watch_tickets(void)
{
    g_autofree char *state = tb_path_state();
    g_autofree char *dir = g_build_filename(state, "admission", NULL);
    tb_autofd watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    return watch >= 0 && inotify_add_watch(watch, dir, EVENTS) >= 0 ? tb_steal_fd(&watch) : -1;
}

/* Sleeps until there may be news. *soon: there was some just now and it may take effect yet. */
static bool wait_for_news(int watch, bool *soon, GError **error)
{
    struct pollfd fds[] = {{.fd = watch, .events = POLLIN},
                           {.fd = tb_interrupt_fd(), .events = POLLIN}};
    poll(fds, 2, *soon ? LOOK_SOON : watch < 0 ? LOOK_BARE : LOOK_MS);
    if (!tb_interrupt_check(error))
        return false;
    *soon = false;
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    while (watch >= 0 && read(watch, events, sizeof events) > 0)
        *soon = true;
    return true;
}

static bool wait_for_turn(const TbAdmission *admission, const TbCapacity *capacity, GError **error)
{
    Queue queue;
    if (!look(admission, capacity, &queue, error))
        return false;
    if (queue.admitted)
        return true;
    say(&queue, capacity);
    tb_autofd watch = watch_tickets();
    bool soon = true; /* what happened before the watch was set */
    while (!queue.admitted)
        if (!wait_for_news(watch, &soon, error) || !look(admission, capacity, &queue, error))
            return false;
    return true;
}

static bool check_size(const TbCapacity *capacity, unsigned cpus, uint64_t memory, GError **error)
{
    if (cpus <= capacity->cpus && memory <= capacity->memory)
        return true;
    g_autofree char *wanted = tb_size_format(memory);
    g_autofree char *all = tb_size_format(capacity->memory);
    return tb_error_set(error, TB_ERROR_LIMIT,
                        "there is no room for a box with %u cpus and %s of memory: all boxes "
                        "together may take %u cpus and %s (give --%s a smaller value, or set "
                        "'capacity' in config.yaml)",
                        cpus, wanted, capacity->cpus, all,
                        cpus > capacity->cpus ? "cpus" : "memory");
}

TbAdmission *tb_admission_take(const TbCapacity *set, unsigned cpus, uint64_t memory,
                               GError **error)
{
    const TbCapacity capacity = tb_capacity_get(set);
    if (!check_size(&capacity, cpus, memory, error))
        return NULL;
    g_autoptr(TbAdmission) admission = g_new(TbAdmission, 1);
    *admission =
        (TbAdmission){.state = -1, .dir = -1, .fd = -1, .ticket = {.cpus = cpus, .memory = memory}};
    if (!open_places(admission, error) || !queue_up(admission, error) ||
        !wait_for_turn(admission, &capacity, error))
        return NULL;
    return g_steal_pointer(&admission);
}

void tb_admission_free(TbAdmission *admission)
{
    if (!admission)
        return;
    if (admission->fd >= 0) { /* first as waiting: that is what another may change meanwhile */
        for (int running = 0; running < 2; running++) {
            g_autofree char *name = name_of(&admission->ticket, running);
            unlinkat(admission->dir, name, 0);
        }
    }
    tb_clear_fd(&admission->fd);
    tb_clear_fd(&admission->dir);
    tb_clear_fd(&admission->state);
    g_free(admission);
}
