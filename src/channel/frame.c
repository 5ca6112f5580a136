/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The decoder holds at most one frame. It never looks at a byte it was not given and never
 * reserves what a header only claims: a length above the limit makes the stream bad at once.
 */
#include "channel/frame.h"

#include <string.h>

void tb_frame_decoder_reset(TbFrameDecoder *decoder)
{
    decoder->have = 0;
    decoder->bad = false;
}

static size_t take(uint8_t *to, size_t want, const uint8_t **data, size_t *length)
{
    size_t n = want < *length ? want : *length;
    if (n > 0)
        memcpy(to, *data, n);
    *data += n;
    *length -= n;
    return n;
}

static uint32_t claimed_length(const uint8_t *header)
{
    return (uint32_t)header[4] | (uint32_t)header[5] << 8 | (uint32_t)header[6] << 16 |
           (uint32_t)header[7] << 24;
}

/* True when the header is whole. */
static bool push_header(TbFrameDecoder *decoder, const uint8_t **data, size_t *length)
{
    while (decoder->have == 0 && *length > 0 && **data == 0) {
        (*data)++;
        (*length)--;
    }
    if (decoder->have < TB_FRAME_HEADER)
        decoder->have +=
            take(decoder->header + decoder->have, TB_FRAME_HEADER - decoder->have, data, length);
    return decoder->have >= TB_FRAME_HEADER;
}

TbFrameResult tb_frame_decoder_push(TbFrameDecoder *decoder, const uint8_t **data, size_t *length,
                                    TbFrame *frame)
{
    if (decoder->bad)
        return TB_FRAME_BAD;
    if (!push_header(decoder, data, length))
        return TB_FRAME_MORE;
    uint32_t size = claimed_length(decoder->header);
    if (decoder->header[1] != 0 || size > TB_FRAME_MAX) {
        decoder->bad = true;
        return TB_FRAME_BAD;
    }
    size_t got = decoder->have - TB_FRAME_HEADER;
    got += take(decoder->payload + got, size - got, data, length);
    decoder->have = TB_FRAME_HEADER + got;
    if (got < size)
        return TB_FRAME_MORE;
    decoder->have = 0;
    *frame = (TbFrame){
        .type = decoder->header[0],
        .stream = (uint16_t)(decoder->header[2] | decoder->header[3] << 8),
        .length = size,
        .payload = decoder->payload,
    };
    return TB_FRAME_READY;
}

void tb_frame_header(uint8_t out[TB_FRAME_HEADER], uint8_t type, uint16_t stream, uint32_t length)
{
    out[0] = type;
    out[1] = 0;
    out[2] = (uint8_t)stream;
    out[3] = (uint8_t)(stream >> 8);
    for (int i = 0; i < 4; i++)
        out[4 + i] = (uint8_t)(length >> (8 * i));
}

void tb_mark_finder_reset(TbMarkFinder *finder, const uint8_t mark[16])
{
    memcpy(finder->mark, mark, sizeof finder->mark);
    finder->have = 0;
}

bool tb_mark_finder_push(TbMarkFinder *finder, const uint8_t **data, size_t *length)
{
    while (*length > 0) {
        if (finder->have == sizeof finder->last) {
            memmove(finder->last, finder->last + 1, sizeof finder->last - 1);
            finder->have--;
        }
        finder->last[finder->have++] = *(*data)++;
        (*length)--;
        if (finder->have == sizeof finder->last &&
            memcmp(finder->last, finder->mark, sizeof finder->mark) == 0)
            return true;
    }
    return false;
}
