/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../suite.h"
#include "channel/frame.h"

static TbFrameDecoder *decoder;

static void set_up(void)
{
    decoder = malloc(sizeof *decoder);
    tb_frame_decoder_reset(decoder);
}

static void tear_down(void)
{
    free(decoder);
}

static size_t make(uint8_t *out, uint8_t type, uint16_t stream, const char *text)
{
    size_t length = strlen(text);
    tb_frame_header(out, type, stream, (uint32_t)length);
    memcpy(out + TB_FRAME_HEADER, text, length);
    return TB_FRAME_HEADER + length;
}

/* The same stream cut into pieces of every size gives the same frames. */
START_TEST(any_cut)
{
    uint8_t stream[256] = {0};
    size_t total = 3; /* padding */
    total += make(stream + total, 5, 0x1234, "hello");
    total += make(stream + total, 6, 0, "");
    total += 7;
    total += make(stream + total, 255, 0xffff, "world");
    for (size_t piece = 1; piece <= total; piece++) {
        const char *seen[3] = {"hello", "", "world"};
        const uint8_t types[3] = {5, 6, 255};
        size_t frames = 0;
        for (size_t at = 0; at < total; at += piece) {
            const uint8_t *data = stream + at;
            size_t left = piece < total - at ? piece : total - at;
            TbFrame frame;
            while (left > 0 &&
                   tb_frame_decoder_push(decoder, &data, &left, &frame) == TB_FRAME_READY) {
                ck_assert_uint_lt(frames, 3);
                ck_assert_uint_eq(frame.type, types[frames]);
                ck_assert_uint_eq(frame.length, strlen(seen[frames]));
                ck_assert(memcmp(frame.payload, seen[frames], frame.length) == 0);
                frames++;
            }
            ck_assert_uint_eq(left, 0);
        }
        ck_assert_uint_eq(frames, 3);
    }
}
END_TEST

START_TEST(largest)
{
    uint8_t *stream = malloc(TB_FRAME_PADDING + 1);
    memset(stream, 0xaa, TB_FRAME_PADDING + 1);
    tb_frame_header(stream, 9, 1, TB_FRAME_MAX);
    const uint8_t *data = stream;
    size_t left = TB_FRAME_PADDING + 1;
    TbFrame frame;
    ck_assert_int_eq(tb_frame_decoder_push(decoder, &data, &left, &frame), TB_FRAME_READY);
    ck_assert_uint_eq(frame.length, TB_FRAME_MAX);
    ck_assert_uint_eq(left, 1);
    free(stream);
}
END_TEST

static TbFrameResult push(const uint8_t *bytes, size_t length)
{
    TbFrame frame;
    return tb_frame_decoder_push(decoder, &bytes, &length, &frame);
}

START_TEST(impossible_headers)
{
    const uint8_t flags[] = {1, 1, 0, 0, 0, 0, 0, 0}, length[] = {1, 0, 0, 0, 1, 0, 1, 0},
                  huge[] = {1, 0, 0, 0, 255, 255, 255, 255}, good[] = {1, 0, 0, 0, 0, 0, 0, 0};
    ck_assert_int_eq(push(flags, sizeof flags), TB_FRAME_BAD);
    ck_assert_int_eq(push(good, sizeof good), TB_FRAME_BAD); /* stays so */
    tb_frame_decoder_reset(decoder);
    ck_assert_int_eq(push(length, sizeof length), TB_FRAME_BAD);
    tb_frame_decoder_reset(decoder);
    ck_assert_int_eq(push(huge, sizeof huge), TB_FRAME_BAD);
    tb_frame_decoder_reset(decoder);
    ck_assert_int_eq(push(good, sizeof good), TB_FRAME_READY);
}
END_TEST

/* Whatever was half sent, padding ends it, and the next frame is found. */
START_TEST(padding_ends_half_frames)
{
    static uint8_t half[TB_FRAME_PADDING], padding[TB_FRAME_PADDING];
    memset(half, 0x11, sizeof half);
    tb_frame_header(half, 3, 0, TB_FRAME_MAX);
    for (size_t sent = 1; sent < sizeof half; sent += sent < 20 ? 1 : 4999) {
        tb_frame_decoder_reset(decoder);
        const uint8_t next[] = {7, 0, 0, 0, 0, 0, 0, 0};
        ck_assert_int_eq(push(half, sent), TB_FRAME_MORE);
        const uint8_t *data = padding;
        size_t left = sizeof padding;
        TbFrame frame;
        while (tb_frame_decoder_push(decoder, &data, &left, &frame) == TB_FRAME_READY)
            continue;
        ck_assert_uint_eq(left, 0);
        data = next;
        left = sizeof next;
        ck_assert_int_eq(tb_frame_decoder_push(decoder, &data, &left, &frame), TB_FRAME_READY);
        ck_assert_uint_eq(frame.type, 7);
    }
}
END_TEST

START_TEST(mark)
{
    const uint8_t wanted[16] = "aaaaaaaaaaaaaaab";
    uint8_t stream[64];
    memset(stream, 'a', sizeof stream);
    stream[40] = 'b';
    stream[41] = 'z';
    for (size_t piece = 1; piece < 64; piece++) {
        TbMarkFinder finder;
        tb_mark_finder_reset(&finder, wanted);
        bool found = false;
        for (size_t at = 0; at < sizeof stream && !found; at += piece) {
            const uint8_t *data = stream + at;
            size_t left = piece < sizeof stream - at ? piece : sizeof stream - at;
            found = tb_mark_finder_push(&finder, &data, &left);
            if (found)
                ck_assert_uint_eq(*data, left > 0 ? 'z' : *data);
        }
        ck_assert(found);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("channel-frame");
    TCase *tcase = tcase_create("frame");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, any_cut);
    tcase_add_test(tcase, largest);
    tcase_add_test(tcase, impossible_headers);
    tcase_add_test(tcase, padding_ends_half_frames);
    tcase_add_test(tcase, mark);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
