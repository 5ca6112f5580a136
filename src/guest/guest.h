/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest program's service: one conversation with the host over one port. Single-threaded, one
 * poll loop. What is below is shared between its parts; only tb_guest_serve is for others.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "channel/frame.h"
#include "channel/messages.h"
#include "guest/util.h"

/* Where things are. In the box everything is at its ordinary place; tests point elsewhere. */
typedef struct {
    const char *root;      /* before /etc, /run, /var, /home, /root: "" */
    const char *state;     /* /var/lib/taskbox */
    const char *workspace; /* /workspace */
    const char *cgroup;    /* cgroup v2 directory of the task */
    const char *disk;      /* mount point of the disk to grow and to trim; NULL: leave it */
    bool own_machine;      /* caches and kernel settings are the box's, too */
    void (*power_off)(void);
    int (*open_egress)(void); /* the port for the network; -1 or NULL: there is none */
    /* The host has closed `fd` (-1 when already taken back): gives the descriptor to go on with, -1
     * when there is none yet (asked again soon), -2 to end the service. */
    int (*reopen)(int fd, void *data);
    void *data;
} TbGuestConfig;

/* Serves `port` until reopen says -2. Returns the exit status. */
int tb_guest_serve(const TbGuestConfig *config, int port);

/* --- the parts ------------------------------------------------------------------------------- */

enum {
    TB_QUEUE_SIZE = 4 * TB_FRAME_PADDING,
    TB_ROOM_BULK = 2 * TB_FRAME_PADDING, /* room that data wait for, so that answers always fit */
    TB_ROOM_INPUT = TB_FRAME_PADDING,    /* room without which no further request is read */
    TB_PATH_SIZE = 4096,
};

/* Frames on their way to the host. */
typedef struct {
    size_t start, length;
    uint8_t data[TB_QUEUE_SIZE];
} TbQueue;

typedef struct TbGuest TbGuest;

/* Room for payload and header in the queue. */
size_t tb_guest_room(const TbGuest *guest);
/* Appends one frame. The caller has looked for room where the payload is data. */
void tb_guest_send(TbGuest *guest, TbMessageType type, uint16_t stream, const void *payload,
                   size_t length);
/* OK to the request `type`. */
void tb_guest_send_ok(TbGuest *guest, TbMessageType type);
/* ERROR with the text; `stream` says whose EXEC failed, else it is 0. */
void tb_guest_send_fault(TbGuest *guest, uint16_t stream, const TbFault *fault);

/* The user the task runs as, known after SETUP. */
typedef struct {
    uint32_t uid, gid; /* uid 0: no setup yet */
    char home[256], shell[256];
} TbUser;

/* setup.c, setup-user.c, setup-network.c, disk.c */
/* `settled` is who SETTLE has prepared this box for in this very boot (uid 0: nobody); then what it
 * did is not looked at again. */
bool tb_setup_run(const TbGuestConfig *config, const TbSetupMessage *setup, const TbUser *settled,
                  TbUser *user, TbFault *fault);
bool tb_setup_user(const TbGuestConfig *config, uint32_t uid, uint32_t gid, TbUser *user,
                   TbFault *fault);
bool tb_setup_loopback(TbFault *fault);
bool tb_setup_network(const TbGuestConfig *config, TbFault *fault);
/* proxy.c */
enum { TB_PROXY_PORT = 3128 };
/* Starts the process that carries the box's connections, and tells apt of it. */
bool tb_proxy_start(const TbGuestConfig *config, TbFault *fault);
/* A listening socket on the loopback; 0: any port. -1 with errno. */
int tb_proxy_listen(uint16_t number);
/* Carries connections until the port ends. */
void tb_proxy_serve(int listener, int port);
/* Grows the file system at config->disk to its device; with `partition` also the kernel's idea of a
 * last partition. Whatever fails is left as it is. */
void tb_disk_grow(const TbGuestConfig *config, bool partition);
/* The groups (with `gid` first) of user "agent" in etc/group. Returns how many. */
size_t tb_user_groups(const TbGuestConfig *config, uint32_t gid, gid_t *groups, size_t limit);

/* delta.c: the changes since the project image was made, as an overlay layer */
typedef struct {
    bool active, failed; /* failed: the rest of the stream is dropped */
    int dir, file;       /* -1 */
    uint64_t left;       /* bytes of the current file */
    TbEntry entry;       /* its attributes; pointers not valid */
} TbDelta;
bool tb_delta_begin(TbDelta *delta, const TbGuestConfig *config, TbFault *fault);
bool tb_delta_entry(TbDelta *delta, const TbEntry *entry, const TbUser *user, TbFault *fault);
bool tb_delta_data(TbDelta *delta, const void *data, size_t length, TbFault *fault);
bool tb_delta_end(TbDelta *delta, TbFault *fault);
void tb_delta_clear(TbDelta *delta);

/* mount.c */
/* Which of erofs, squashfs, ext4, 9p, virtiofs this kernel mounts (its modules are loaded first).
 */
void tb_mount_filesystems(char *out, size_t size);
bool tb_mount_project(const TbGuestConfig *config, const TbMountMessage *mount, const TbUser *user,
                      TbFault *fault);

/* task.c, task-child.c: a process (with what it starts) that EXEC names. Number 0 is the task's
 * own; the others run beside it. */
enum { TB_PROCESSES = 1 + TB_SIDES, TB_TASK_FDS = 3 * TB_PROCESSES };
typedef struct {
    unsigned number;
    TbProcessState state;
    pid_t pid;      /* 0 once reaped */
    int status;     /* of waitpid, once reaped */
    int in, out[2]; /* our ends; out[1] is -1 with a pty */
    bool pty, input_eof;
    bool forgotten; /* a side process the host knows nothing of: it is being killed */
    uint32_t room;  /* a side process: OUTPUT the host takes now */
    size_t input_start, input_length, owed; /* owed: credit not yet given back */
    int64_t drain_deadline;
    uint8_t input[TB_STDIN_WINDOW];
} TbTask;
void tb_task_init(TbTask *task);
bool tb_task_start(TbGuest *guest, TbTask *task, const TbExecMessage *exec, TbFault *fault);
void tb_task_input(TbGuest *guest, TbTask *task, const uint8_t *data, size_t length);
/* The host has taken so much of a side process's output. */
void tb_task_taken(TbTask *task, uint32_t bytes);
void tb_task_window(TbTask *task, uint16_t rows, uint16_t columns);
void tb_task_signal(TbTask *task, uint32_t number);
/* Fills in what the processes wait for; the same index order is used by tb_task_step. */
void tb_task_poll(const TbGuest *guest, struct pollfd fds[TB_TASK_FDS]);
/* Moves data, reaps, ends. Milliseconds until it wants to be called again, -1: no need. */
int tb_task_step(TbGuest *guest, const struct pollfd fds[TB_TASK_FDS]);
void tb_task_send_exit(TbGuest *guest, const TbTask *task);
/* A host that begins anew knows of no side process: they are killed, and nothing is told. */
void tb_task_forget_sides(TbGuest *guest);
/* Closes our ends of its streams. */
void tb_task_close(TbTask *task);
/* Kills everything of the task, background and side processes too, and waits for it. */
void tb_task_kill_all(TbGuest *guest);

/* How the child gets its place. `in`, `out`, `err` become 0, 1, 2; `report` is written errno and
 * step when it fails. Never returns. */
typedef struct {
    const TbGuestConfig *config;
    const TbExecMessage *exec;
    const TbUser *user;
    int in, out, err, report;
    bool in_cgroup; /* already */
} TbChild;
typedef enum { TB_STEP_IDENTITY, TB_STEP_CWD, TB_STEP_EXEC } TbChildStep;
typedef struct {
    int err;
    TbChildStep step;
} TbChildReport;
_Noreturn void tb_child_run(const TbChild *child);

/* walk.c: the list of what the upper holds; `merged` NULL: nothing else is looked at */
typedef struct {
    uint8_t *arena; /* encoded entries one after another */
    size_t used, size;
    size_t *starts; /* of each entry; count + 1 of them */
    uint32_t count, room, limit;
    bool cut; /* a path longer than can be told was met */
} TbList;
bool tb_list_make(TbList *list, const char *upper, const char *merged, uint32_t limit,
                  TbFault *fault);
const uint8_t *tb_list_entry(const TbList *list, uint32_t index, size_t *length);
void tb_list_clear(TbList *list);

/* export.c */
typedef enum { TB_EXPORT_IDLE, TB_EXPORT_WANTED, TB_EXPORT_LIST, TB_EXPORT_FILES } TbExportState;
typedef struct TbExport TbExport;
TbExport *tb_export_new(void);
void tb_export_free(TbExport *export);
void tb_export_stop(TbExport *export); /* what is going on; the list stays */
bool tb_export_busy(const TbExport *export);
/* Busy and able to go on as soon as there is room. */
bool tb_export_sending(const TbExport *export);
/* `alone`: the project does not answer any more, and what waits for it cannot be ended. */
bool tb_export_list(TbGuest *guest, uint32_t limit, bool alone, TbFault *fault);
bool tb_export_files(TbGuest *guest, const uint8_t *payload, size_t length, TbFault *fault);
/* Sends what there is room for. */
void tb_export_step(TbGuest *guest);

/* The part of tb_setup_run that is the same for all tasks of a user; done twice it does nothing. */
bool tb_setup_common(const TbGuestConfig *config, uint32_t uid, uint32_t gid, bool grow_partition,
                     TbUser *user, TbFault *fault);

/* Makes the identity files plain files again: an image is made of this disk. */
bool tb_setup_restore_identity(const TbGuestConfig *config, TbFault *fault);

/* copy.c: writes a file or a tree to `fd` as frames (docs/protocol.md). Returns the exit status:
 * 0, or 1 when something is not in it; what that is has been told. */
int tb_copy_run(int fd, const char *path);

/* settle.c: waits until the machine idles, then leaves as little in its memory as can be */
void tb_settle(const TbGuestConfig *config);

/* seal.c */
bool tb_seal(const TbGuestConfig *config, TbFault *fault);

struct TbGuest {
    const TbGuestConfig *config;
    int port, signals;
    bool synced; /* a HELLO was answered; frames are decoded, not searched */
    char kernel[65], filesystems[128];
    char project[256]; /* name of the mounted project, "" before MOUNT */
    uint8_t *exec;     /* parts of an EXEC so far */
    size_t exec_length;
    TbUser user;
    TbUser settled; /* whom the last SETTLE named */
    TbDelta delta;
    TbExport *export;
    TbTask tasks[TB_PROCESSES];
    bool spoiled; /* the cgroup has seen a kill: nobody is made in it any more */
    TbMarkFinder finder;
    TbFrameDecoder decoder;
    TbQueue out;
};

/* requests.c */
/* Does what one frame asks. False: the stream cannot be trusted any more. */
bool tb_request_run(TbGuest *guest, const TbFrame *frame);
/* Answers a HELLO: what went before is forgotten, the task stays. */
bool tb_request_hello(TbGuest *guest, const TbFrame *frame);
