/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a task's box comes to run: forked from its template, else booted. Private to src/run. */
#pragma once

#include "image/template.h"
#include "run/boot-turn.h"
#include "run/run.h"
#include "vm/box.h"

/* The name of the image that a task with these options uses. */
const char *tb_start_image(const TbRunOptions *options, const TbSettings *settings,
                           const TbAgent *agent);
/* What its box is to be: by the options, else the settings, else the image's recipe. Its mount may
 * still be TB_MOUNT_AUTO. */
bool tb_start_shape(const TbRunOptions *options, const TbSettings *settings, const TbImage *image,
                    TbAccel accel, TbShape *shape, GError **error);

typedef struct {
    TbShape shape;
    TbBoxSpec spec; /* id, dir and the project's disk or directory; the shape's part is filled in */
    bool cold;      /* no template */
    TbTemplate *template; /* the one it was forked from */
    bool made;            /* and this task made it */
    TbBootTurn *turn;     /* while it boots */
} TbStart;
void tb_start_clear(TbStart *start);

/* Finds the template, or makes it. When it cannot be had that is said, and the box will be booted.
 * False only on an interrupt. */
bool tb_start_prepare(TbStart *start, GError **error);
/* Starts the box and does not wait for it. A fork that cannot even start becomes a boot. */
TbBox *tb_start_box(TbStart *start, GError **error);
/* Waits for the guest's hello. When a fork does not come to it, *box is freed, the template
 * dropped, and a booted box takes its place. */
TbSession *tb_start_hello(TbStart *start, TbBox **box, TbGuestInfo *info, GError **error);
/* "fork" or "boot". Static string. */
const char *tb_start_how(const TbStart *start);
