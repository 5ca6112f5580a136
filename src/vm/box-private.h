/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What box.c (making and removing), box-wait.c (its guest and its end) and freeze.c share. */
#pragma once

#include "vm/box.h"
#include "vm/jail.h"

typedef enum { BOX_STARTING, BOX_RUNNING, BOX_FREEZING, BOX_FROZEN, BOX_OFF, BOX_FAILED } BoxState;

struct TbBox {
    char *id, *dir;
    int parent_fd, dir_fd; /* the directory the box directory is in, and itself */
    char *name;            /* its name there */
    TbJailUser user;
    int listen_fd; /* for the channel; -1 once QEMU has connected */
    int egress_fd; /* listens for the egress port; -1 once it was handed out */
    TbJail *jail;
    TbJail *share;   /* of the project's file server; NULL: none */
    int both;        /* an epoll of both jails; -1 */
    char *share_end; /* its last words; NULL while it runs */
    bool forked;
    bool died;         /* it ran, and QEMU ended by itself */
    bool unserved;     /* it failed, but only the project's file server has ended */
    int template_disk; /* of a fork: what is behind its overlay; else -1 */
    BoxState state;
    bool keep;       /* the directory stays */
    GError *failure; /* with BOX_FAILED */
    TbSession *session;
    int session_fd;  /* the session's, to look at only */
    char *lent_disk; /* an image build's disk that belongs to the jail's user meanwhile */
    uid_t lent_uid;
    gid_t lent_gid;
};

/* The last line of the console that says something (of a kernel's panic its first), safe to show
 * (g_free); "" when there is none. */
char *tb_console_last_line(int dir_fd);

/* The virtual size of a qcow2 file of ours. */
bool tb_overlay_size(const char *image, uint64_t *size, GError **error);
/* Makes the overlay `name` in the directory; `backing` is where the jail sees what is behind it. */
bool tb_overlay_create(int dir_fd, const char *name, const char *backing, uint64_t size,
                       GError **error);

/* box-wait.c: takes in all events that are there. False with error set when the box has failed. */
bool tb_box_pump(TbBox *box, GError **error);
/* Sleeps until there may be an event, an interrupt or the deadline is near. */
void tb_box_doze(TbBox *box, int64_t deadline);

/* freeze.c: takes the file `name` out of the directory `from`, which a jail has written, into `to`.
 * Only a plain file of `owner` with no other name and something in it is taken. */
bool tb_freeze_take(int from, uid_t owner, const char *name, int to, const char *new_name,
                    GError **error);
/* Cuts pages of zeros out of a file; what is read from it stays the same. */
void tb_freeze_thin_out(int fd);
