/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the session's parts: frames in and out of a hostile stream, under a deadline. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "channel/frame.h"
#include "channel/messages.h"
#include "vm/session.h"

struct TbSession {
    int fd;
    char *peer;
    int watch_fd;
    TbWatchFn watch;
    void *watch_data;
    bool clean; /* the first HELLO needs no padding */
    bool greeted;
    bool broken;         /* the guest broke the protocol or is gone: every further call fails */
    bool called_off;     /* but only by the watch function */
    bool stale;          /* OUTPUT, CREDIT and EXIT of a process nobody waits for may still come */
    unsigned sides;      /* a bit for each side process that has not ended */
    unsigned lost_sides; /* those of them nobody waits for */
    uint32_t room[1 + TB_SIDES]; /* OUTPUT that each may still send */
    GByteArray *out;
    size_t out_start;
    size_t in_start, in_end;
    uint8_t in[64 * 1024];
    TbFrameDecoder decoder;
};

/* What a call waits under. */
typedef struct {
    int64_t deadline;
    int64_t wake;          /* returns by then, with nothing done; 0: not */
    int input_fd;          /* polled for reading, too; -1: none */
    bool input_ready;      /* out: it can be read or has ended */
    bool ignore_interrupt; /* the caller looks itself */
    bool hold;             /* nothing is read */
    struct pollfd *others; /* and these; may be NULL */
    size_t n_others;
} TbSessionWait;

/* Marks the session broken and sets TB_ERROR_GUEST "guest: broke the protocol: ...". False. */
bool tb_session_breach(TbSession *session, GError **error, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* False with an error when the session cannot be used: not greeted yet, or broken. */
bool tb_session_usable(TbSession *session, GError **error);

/* Moves bytes once: waits until something can be read, written or is due, then does it. */
bool tb_session_move(TbSession *session, TbSessionWait *wait, GError **error);
/* The next frame of the guest, if a whole one is here already. ERROR frames become the error. */
bool tb_session_poll_frame(TbSession *session, TbFrame *frame, bool *have, GError **error);
/* Whether the frame is of a process that nobody waits for. */
bool tb_session_skip(TbSession *session, const TbFrame *frame);
/* Waits for the next frame; what is left of a stale process is skipped. */
bool tb_session_next_frame(TbSession *session, TbFrame *frame, int64_t deadline, GError **error);
/* Waits for a frame of this type; another one is a breach. */
bool tb_session_expect(TbSession *session, TbMessageType type, TbFrame *frame, int64_t deadline,
                       GError **error);
/* Waits for OK to the request. */
bool tb_session_expect_ok(TbSession *session, TbMessageType request, int64_t deadline,
                          GError **error);

/* Appends a frame; nothing is sent before the next move. */
void tb_session_queue(TbSession *session, TbMessageType type, uint16_t stream, const void *payload,
                      size_t length);
/* Bytes that wait to be sent. */
size_t tb_session_queued(const TbSession *session);
/* Appends a frame and waits while more than a little is waiting to be sent. Notices an ERROR of the
 * guest in between. */
bool tb_session_send(TbSession *session, TbMessageType type, const void *payload, size_t length,
                     int64_t deadline, GError **error);
/* Sends what waits, without regard to interrupts, for at most `ms`; failures are left for later. */
void tb_session_flush(TbSession *session, int ms);
