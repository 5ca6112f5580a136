/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The user's terminal as the front of a process in a box that has a terminal of its own: raw, with
 * its window's size, filtered (util/term-filter.h), and with keys to leave (util/terminal.h). */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "util/terminal.h"
#include "vm/session.h"

typedef struct {
    TbTerminal *terminal; /* NULL: no front */
    TbTerminalKeys keys;
    bool left; /* by its keys */
    char **env;
} TbFront;

/* Whether stdin and stdout are a terminal. */
bool tb_front_possible(void);
/* What a process with a terminal is told of ours, added to `env` (may be NULL): TERM and COLORTERM.
 * The front's. */
const char *const *tb_front_env(TbFront *front, const char *const *env);
/* Takes the terminal; sets the size in `exec`. */
bool tb_front_begin(TbFront *front, TbExec *exec, GError **error);
/* As the handlers of TbExecHandlers; tb_front_polled tells the window's size. */
bool tb_front_output(TbFront *front, const void *data, size_t length, GError **error);
bool tb_front_input(TbFront *front, uint8_t *bytes, size_t *length, GError **error);
size_t tb_front_poll(const TbFront *front, struct pollfd *fds);
void tb_front_polled(const TbFront *front, const struct pollfd *fds, TbSession *session);
/* Gives the terminal back. */
void tb_front_clear(TbFront *front);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TbFront, tb_front_clear)

/* A session with a front, for those who come to a process from outside of its task. */
typedef struct {
    TbSession *session;
    TbFront front;
} TbVisit;
/* The handlers that carry one to the other. Their `data` is the visit, or what begins with it. */
void tb_visit_handle(TbVisit *visit, TbExecHandlers *handlers);
void tb_visit_clear(TbVisit *visit);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TbVisit, tb_visit_clear)
