/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The socket by which other taskboxes of the same user reach a task that runs: tasks/ID/control.
 * What is spoken there is the guest's protocol (docs/protocol.md, "The control socket"): a client
 * runs a process beside the task's, takes its terminal, or asks it to stop.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "task/store.h"
#include "vm/session.h"

typedef struct TbControl TbControl;

/* Listens. Who connects waits until the task is served. */
TbControl *tb_control_open(TbTask *task, GError **error);
/* Ends every conversation and removes the socket. */
void tb_control_free(TbControl *control);

/* The task's process is about to run: processes beside it get `env` and start in `cwd`; `terminal`
 * says that it has one. Nothing is copied. */
void tb_control_serve(TbControl *control, TbSession *session, const char *const *env,
                      const char *cwd, bool terminal);
/* It has ended with this code (who has its terminal is told); there is no session any more. */
void tb_control_end(TbControl *control, int code, int number);

/* As the handlers of TbExecHandlers. */
size_t tb_control_poll(const TbControl *control, struct pollfd *fds, size_t room);
void tb_control_polled(TbControl *control, const struct pollfd *fds, size_t count);
void tb_control_side(TbControl *control, unsigned process, const TbFrame *frame);
/* What the task's process wrote, for those who have its terminal. */
void tb_control_output(TbControl *control, const void *data, size_t length);
/* What they have typed. */
size_t tb_control_typed(TbControl *control, uint8_t *bytes, size_t room);
/* One of them does not keep up: no more of the task's output is to be taken for now. */
bool tb_control_hold(const TbControl *control);
/* About once a second: drops who has not kept up for long. */
void tb_control_tick(TbControl *control);

/* A client that has connected; the descriptor is the control's. For tests, besides. */
void tb_control_adopt(TbControl *control, int fd);

/* The other end: connects to a running task. TB_ERROR_CONFLICT when it does not run. The session
 * has said hello; tb_session_exec, with `attach` or without, and tb_session_stop may follow. */
TbSession *tb_control_connect(TbTask *task, GError **error);
/* Sends a signal to the taskbox that works on the task, whoever that is. */
bool tb_control_signal(TbTask *task, int number, GError **error);
