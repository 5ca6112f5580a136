/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * 9P2000.L by hand: messages to QEMU's 9p device, of which nothing need be right. One fid is the
 * project's root, the others are for whoever is at it.
 */
#pragma once

#include "device.h"

#define P9_NO_ANSWER 9999

/* Kinds of messages. */
enum {
    RLERROR = 7,
    TSTATFS = 8,
    TLOPEN = 12,
    TLCREATE = 14,
    TSYMLINK = 16,
    TMKNOD = 18,
    TRENAME = 20,
    TREADLINK = 22,
    TGETATTR = 24,
    TSETATTR = 26,
    TXATTRWALK = 30,
    TXATTRCREATE = 32,
    TREADDIR = 40,
    TLOCK = 52,
    TLINK = 70,
    TMKDIR = 72,
    TRENAMEAT = 74,
    TUNLINKAT = 76,
    TVERSION = 100,
    TATTACH = 104,
    TFLUSH = 108,
    TWALK = 110,
    TCREATE = 114,
    TREAD = 116,
    TWRITE = 118,
    TCLUNK = 120,
    TREMOVE = 122,
    TWSTAT = 126,
};

/* Fids. */
enum { ROOT = 1, AT, OPENED, OTHER, FIRST_FREE };
#define NO_FID UINT32_MAX

/* The message as it goes out, and the last answer: a page each. */
extern uint8_t *p9_request, *p9_answer;
#define P9_HEAD 7
/* A number of the answer's; where the path of a qid is in an answer to TATTACH. */
uint64_t p9_get(size_t at, unsigned bytes);
#define P9_QID_PATH (P9_HEAD + 5)

/* Takes the device and attaches the project. */
void p9_take(void);
/* The device as new, the project attached at ROOT: by its owner, who may write most. */
void p9_speak(void);
/* What a message of this kind carries: b, w, d, q are 1, 2, 4, 8 bytes; s is a name, S one with its
 * length, which may lie. The error of the answer, above 0; P9_NO_ANSWER when the device had to be
 * started again. */
int p9_ask(uint8_t type, const char *kinds, ...);
/* `size` bytes of p9_request, which are said to be `said`. */
int p9_send(uint8_t type, size_t size, uint32_t said, int milliseconds);

void p9_drop(uint32_t fid);
/* `to` is then where this name leads; *qid (may be NULL) which file that is. An error or 0. */
int p9_walk(uint32_t from, uint32_t to, const char *name, uint64_t *qid);
/* By slashes, from the root; on an error `to` is free. */
int p9_walk_path(uint32_t to, const char *path);
/* Whether it could be opened; what was read is in the answer. */
bool p9_read(uint32_t fid, uint32_t flags);
bool p9_answer_has(const char *text);
