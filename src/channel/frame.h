/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames on the channel between host and guest, for both ends. libc only, no allocation.
 *
 *     u8 type   u8 flags (0)   u16 stream   u32 payload length (<= 65536)   payload
 *
 * All little-endian. A zero byte where a frame would start is padding and skipped: whoever opens
 * the channel anew sends TB_FRAME_PADDING of them, which end whatever frame an earlier opener left
 * half-sent.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TB_FRAME_HEADER = 8,
    TB_FRAME_MAX = 65536, /* payload bytes */
    TB_FRAME_PADDING = TB_FRAME_HEADER + TB_FRAME_MAX,
};

typedef struct {
    uint8_t type;
    uint16_t stream;
    uint32_t length;
    const uint8_t *payload; /* in the decoder; good until the next push */
} TbFrame;

typedef enum {
    TB_FRAME_MORE,  /* all input taken, no whole frame yet */
    TB_FRAME_READY, /* *frame is one */
    TB_FRAME_BAD,   /* flags or length cannot be; the decoder stays so until it is reset */
} TbFrameResult;

/* Memory for one frame, whatever length a header claims. */
typedef struct {
    size_t have; /* bytes of header and payload so far */
    bool bad;
    uint8_t header[TB_FRAME_HEADER];
    uint8_t payload[TB_FRAME_MAX];
} TbFrameDecoder;

/* Forgets what was half received. */
void tb_frame_decoder_reset(TbFrameDecoder *decoder);
/* Takes bytes from *data (moving it and *length on) up to the end of one frame. */
TbFrameResult tb_frame_decoder_push(TbFrameDecoder *decoder, const uint8_t **data, size_t *length,
                                    TbFrame *frame);
/* Writes the header of a frame. `length` must be <= TB_FRAME_MAX. */
void tb_frame_header(uint8_t out[TB_FRAME_HEADER], uint8_t type, uint16_t stream, uint32_t length);

/* Looks for a 16-byte mark in a stream, across the borders of what is given to it. */
typedef struct {
    uint8_t mark[16];
    uint8_t last[16];
    size_t have;
} TbMarkFinder;

/* Starts a search. */
void tb_mark_finder_reset(TbMarkFinder *finder, const uint8_t mark[16]);
/* Takes bytes from *data up to the end of the mark. True when it was found. */
bool tb_mark_finder_push(TbMarkFinder *finder, const uint8_t **data, size_t *length);
