/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's end of the conversation with the guest program, over one connected descriptor.
 * What arrives is hostile: lengths are checked before anything is allocated, order is enforced, a
 * breach is TB_ERROR_GUEST and ends the session. docs/protocol.md describes the frames.
 *
 * Every call takes a deadline as g_get_monotonic_time () value (0: none); past it is
 * TB_ERROR_TIMEOUT. Every call also ends with TB_ERROR_INTERRUPTED on tb_interrupt_pending (),
 * unless said otherwise. `watch_fd` (tb_session_set_watch) is polled, too: when it becomes readable
 * the watch function is called and may end the call with its error (the VM's own events come so).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <poll.h>
#include "channel/entry.h"
#include "channel/frame.h"
#include "channel/messages.h"

typedef struct TbSession TbSession;

/* The deadline that is so many seconds from now. */
static inline int64_t tb_session_deadline(int seconds)
{
    return g_get_monotonic_time() + (int64_t)seconds * G_USEC_PER_SEC;
}

/* Takes the descriptor. Free closes it. */
TbSession *tb_session_new(int fd);
void tb_session_free(TbSession *session);
/* Who is at the other end, for errors; "guest" if nothing is said. */
void tb_session_set_peer(TbSession *session, const char *name);
/* The guest is known to wait for a whole frame (it was frozen so): the first HELLO goes without the
 * padding that ends a half one. */
void tb_session_begin_clean(TbSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbSession, tb_session_free)

typedef bool (*TbWatchFn)(void *data, GError **error); /* false: end with error */
/* Set anew, a session that the watch function had ended can be used again. */
void tb_session_set_watch(TbSession *session, int fd, TbWatchFn fn, void *data);

/* What the guest said of itself in its HELLO; strings are checked to be printable ASCII. */
typedef struct {
    unsigned version;      /* protocol version */
    char kernel[65];       /* uname -r */
    char filesystems[128]; /* of erofs, squashfs, ext4, 9p, virtiofs: its kernel's, comma list */
} TbGuestInfo;

/* Sends HELLO with a fresh nonce, skips stale bytes up to the guest's answer to it. */
bool tb_session_hello(TbSession *session, int64_t deadline, TbGuestInfo *info, GError **error);

/* Time, entropy and identity; sent once before anything else. The session adds the host's time and
 * 64 bytes of entropy itself. */
typedef struct {
    const char *hostname;
    uint32_t uid, gid; /* the task user's; never 0 */
    bool network;      /* bring up the provisioning network (QEMU user network, 10.0.2.15/24) */
    bool proxy;        /* carry connections to 127.0.0.1:3128 over the egress port */
} TbSetup;
bool tb_session_setup(TbSession *session, const TbSetup *setup, int64_t deadline, GError **error);

/* The delta. `next` gives the next entry (its pointers must live until the next call), *done = true
 * at the end. For a regular file of size N `read` is then called until N bytes came; when the
 * source runs short it must return an error. */
typedef struct {
    bool (*next)(void *data, TbEntry *entry, bool *done, GError **error);
    bool (*read)(void *data, uint8_t *buffer, size_t size, size_t *length, GError **error);
    void *data;
} TbEntrySource;
bool tb_session_send_delta(TbSession *session, const TbEntrySource *source, int64_t deadline,
                           GError **error);

/* Mounts the project at /workspace/NAME: lower = delta over the image, upper on the box's disk. */
typedef struct {
    const char *name; /* last component in the box */
    const char
        *filesystem; /* "erofs", "squashfs", "ext4", "9p", "virtiofs", or "none": delta only */
} TbMount;
bool tb_session_mount(TbSession *session, const TbMount *mount, int64_t deadline, GError **error);

typedef struct {
    const char *const *argv;
    const char *const *env; /* "K=V", added to the guest's own clean environment; may be NULL */
    const char *cwd;
    bool as_root; /* else the task user of the setup */
    bool pty;     /* stdout and stderr are one terminal */
    unsigned rows, columns;
    int stdin_fd; /* -1: empty. Read as the guest takes it. */
    bool fed;     /* has input without a stdin_fd, too: the handlers' `more_input` */
    bool attach;  /* a control socket: take the terminal of the task's process instead */
} TbExec;

enum { TB_EXEC_POLL = 20 }; /* descriptors that handlers may add */

typedef struct {
    /* fd is 1 or 2. false ends the call with the error; the process is then killed. */
    bool (*output)(int fd, const uint8_t *data, size_t length, void *data_, GError **error);
    /* Called when an interrupt is pending, instead of ending the call: returns the signal to send
     * to the process's group in the guest (0: none) or -1 to end with TB_ERROR_INTERRUPTED. NULL:
     * always end. */
    int (*interrupt)(void *data_);
    /* Called about once a second. false ends the call with the error; the process is then killed.
     * May be NULL. */
    bool (*tick)(void *data_, GError **error);
    /* What was read of stdin_fd before it goes to the process; may be changed, and be one byte
     * longer afterwards. false ends the call with the error; the process is then killed. */
    bool (*input)(uint8_t *bytes, size_t *length, void *data_, GError **error);
    /* Gives further input, at most `room` bytes; how many. Asked after each wait. */
    size_t (*more_input)(uint8_t *bytes, size_t room, void *data_);
    /* What else is to be waited for: fills in at most TB_EXEC_POLL, returns how many. */
    size_t (*poll)(struct pollfd *fds, void *data_);
    /* After each wait, with what became of these. */
    bool (*polled)(const struct pollfd *fds, size_t count, void *data_, GError **error);
    /* True: what the guest says is left alone until the next wait. */
    bool (*hold)(void *data_);
    /* A frame of a side process (tb_session_side_start): STARTED, OUTPUT within the window, CREDIT,
     * and at last EXIT or ERROR. Its form is checked. */
    bool (*side)(unsigned process, const TbFrame *frame, void *data_, GError **error);
    void *data;
} TbExecHandlers;

typedef struct {
    int code;   /* exit status 0..255; 127 when the program is not there, 126 not executable */
    int signal; /* non-zero when a signal ended it (code is 128 + signal then) */
} TbExecResult;

/* Runs one process and waits. On TB_ERROR_TIMEOUT and TB_ERROR_INTERRUPTED the process has been
 * sent SIGKILL and the session can still export. */
bool tb_session_exec(TbSession *session, const TbExec *exec, const TbExecHandlers *handlers,
                     int64_t deadline, TbExecResult *result, GError **error);

/* For handlers of a running tb_session_exec; nothing is sent before the next wait. */
/* The terminal of the process has another size now. */
void tb_session_window(TbSession *session, unsigned rows, unsigned columns);
/* A number for one more process beside the task's (1 to TB_SIDES); 0: there are too many. `payload`
 * is that of an EXEC. When tb_session_exec ends they are killed, and no more is heard of them. */
unsigned tb_session_side_start(TbSession *session, const void *payload, size_t length);
/* STDIN, WINDOW, SIGNAL or TAKEN for a side process that has not ended. */
void tb_session_side_send(TbSession *session, unsigned process, TbMessageType type,
                          const void *payload, size_t length);

/*
 * The export, in two steps so that the host alone decides what is wanted.
 * tb_session_export_list: kills what still runs of the task, freezes the upper and calls `entry`
 * for each entry (no data), parents before children. tb_session_export_files: asks for files by
 * their number in the list (ascending) and gives their bytes; the guest's SHA-256 of each is
 * compared with what arrived. Neither is ended by an interrupt that was acknowledged before.
 */
typedef bool (*TbEntryFn)(const TbEntry *entry, void *data, GError **error);
bool tb_session_export_list(TbSession *session, uint32_t max_entries, TbEntryFn entry, void *data,
                            int64_t deadline, GError **error);
/* The same of a project whose file server has died (tb_box_forsake_share): what the box has written
 * is there, but what a directory that it moved held of the project is missing. */
bool tb_session_export_upper(TbSession *session, uint32_t max_entries, TbEntryFn entry, void *data,
                             int64_t deadline, GError **error);

typedef struct {
    bool (*begin)(uint32_t index, uint64_t size, void *data, GError **error);
    bool (*bytes)(const uint8_t *bytes, size_t length, void *data, GError **error);
    bool (*end)(uint32_t index, void *data, GError **error);
    void *data;
} TbFileSink;
bool tb_session_export_files(TbSession *session, const uint32_t *indices, size_t count,
                             uint64_t max_bytes, const TbFileSink *sink, int64_t deadline,
                             GError **error);

/* A control socket: asks the task to stop, `now` or by its own doing. */
bool tb_session_stop(TbSession *session, bool now, int64_t deadline, GError **error);

/* Asks the guest to remove what makes it unique (machine-id, host keys, seeds, apt lists), sync,
 * trim and power off: the end of an image build. Returns when the guest said it will. */
bool tb_session_seal(TbSession *session, int64_t deadline, GError **error);

/* Asks the guest to come to rest before it is frozen: it does what the setup of any task of this
 * user would do again, waits until its processors idle, drops its caches and clears free memory. */
bool tb_session_settle(TbSession *session, uint32_t uid, uint32_t gid, int64_t deadline,
                       GError **error);
