/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The path of a task, from request to patch. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include "config/settings.h"
#include "image/template.h"
#include "task/store.h"

typedef struct {
    const char *dir;       /* where the project is looked for; NULL: the current directory */
    const char *image;     /* NULL: from the settings, else "debian" */
    unsigned cpus;         /* 0: from the settings, else the image's recipe */
    uint64_t memory, disk; /* bytes; 0: as cpus */
    uint64_t timeout;      /* seconds for the task's command; 0: from the settings, else none */
    TbLimits limits;       /* those that are 0: from the settings */
    TbKeep keep;
    const char *const *argv; /* the command; NULL with a prompt */
    const char *prompt;      /* for an agent */
    const char *agent;       /* NULL: the settings' default */
    bool pass_stdin;         /* our stdin is the command's */
    bool shell;              /* without argv: the user's login shell */
    bool tty;                /* the command gets a terminal: ours where stdin and stdout are one */
    bool no_patch;           /* what it changes is not wanted: the task ends discarded */
    const char *const *exclude; /* on top of the settings'; may be NULL, likewise below */
    const char *const *include;
    bool has_history;               /* false: as the settings say, else as it must be */
    unsigned history;               /* commits that go into the box */
    TbMountType mount;              /* TB_MOUNT_UNSAID: from the settings, else the image's */
    TbNet net;                      /* TB_NET_UNSET: from the settings, else by what is run */
    const char *const *allow_hosts; /* besides; may be NULL */
    const char *const *secrets;     /* "NAME@HOST[,HOST]" (run/secrets.h); may be NULL */
    bool require_kvm;               /* refuse where the box would be emulated */
    bool cold;                      /* boot the box, even where it could be forked */
    const TbTask *from; /* begins with that task's base, to which its patch will be; NULL: the
                           project as it is. That task is ready or done, and of the same project */
    bool on_top;        /* begins with its result instead */
    const char *verify; /* a shell command that says whether the patch is any good; NULL: from the
                           settings, else none; "": none */
    const char *const *flags; /* as given, for the record: to do it again; may be NULL */
} TbRunOptions;

typedef struct {
    /* The command's output as it comes; fd is 1 or 2. false ends the task with the error. */
    bool (*output)(int fd, const uint8_t *data, size_t length, void *user_data, GError **error);
    /* The box is up and the command about to start. May be NULL; false as above. */
    bool (*started)(const TbTask *task, void *user_data, GError **error);
    void *user_data;
} TbRunOutput;

/* The template that a run with these options would fork its box from (image, cpus, memory and disk
 * are looked at), made when there is none; *made says whether it was. Free with tb_template_free.
 */
TbTemplate *tb_task_template(const TbSettings *settings, const TbRunOptions *options, bool *made,
                             GError **error);

/* The login shell of the box's user, as a command. */
extern const char *const tb_login_shell[];

/* Runs one task. *out is the task as soon as it has an id, on failure too (NULL before); free with
 * tb_task_free. True: the export is done and the patch is there, whatever the command's exit code
 * (task->exit_code); with `no_patch` there is none. False: taskbox failed; the record says so, and
 * the error. What is refused before anything was started (no such image, agent or project) leaves
 * no task: *out is NULL then.
 */
bool tb_task_run(TbStore *store, TbSettings *settings, const TbRunOptions *options,
                 const TbRunOutput *output, TbTask **out, GError **error);
