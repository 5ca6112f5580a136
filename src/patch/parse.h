/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Head and end of a patch file, read strictly. Plain C, no allocation: a patch file may come from
 * anybody, and this sees its bytes first. Fuzzed. docs/patch.md is the text.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TB_PATCH_HEAD_LIMIT ((size_t)256 * 1024) /* the "---" line ends before this */
#define TB_PATCH_TAIL_LIMIT ((size_t)128)        /* the signature is shorter */

typedef enum {
    TB_PATCH_FINE,
    TB_PATCH_FOREIGN,   /* does not begin like a patch of taskbox */
    TB_PATCH_ENDLESS,   /* no "---" line within TB_PATCH_HEAD_LIMIT */
    TB_PATCH_HEADER,    /* a mail header that taskbox does not write */
    TB_PATCH_BODY,      /* a line of the message that taskbox does not write */
    TB_PATCH_UNKNOWN,   /* a trailer nobody here knows */
    TB_PATCH_DUPLICATE, /* a trailer twice, or out of order */
    TB_PATCH_VALUE,     /* a trailer whose value cannot be */
    TB_PATCH_MISSING,   /* a trailer is not there */
    TB_PATCH_CUT,       /* the end is not there */
} TbPatchVerdict;

typedef struct {
    const uint8_t *text; /* into what was parsed; NULL: not there */
    size_t length;
} TbPatchSpan;

typedef struct {
    TbPatchSpan task, image;  /* printable ASCII; the image may be missing */
    TbPatchSpan base, result; /* 40 or 64 hex digits each, both as long */
    TbPatchSpan sha256;       /* 64 hex digits */
    size_t length;            /* of the head: the diff part begins here */
} TbPatchHead;

/* Reads the head at the beginning of `data`, which holds the whole file or its first
 * TB_PATCH_HEAD_LIMIT bytes. */
TbPatchVerdict tb_patch_parse_head(const uint8_t *data, size_t size, TbPatchHead *head);

/* How long the signature is with which `data` ends, the last bytes of a file (its last
 * TB_PATCH_TAIL_LIMIT bytes will do). TB_PATCH_CUT when it does not end with one. */
TbPatchVerdict tb_patch_parse_tail(const uint8_t *data, size_t size, size_t *length);

/* What is wrong, for a message. Static string. */
const char *tb_patch_reason(TbPatchVerdict verdict);
