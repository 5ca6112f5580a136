/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any stream, cut in two ways, gives the same frames; every payload goes to every decoder. */
#include <stdlib.h>
#include <string.h>

#include "channel/frame.h"
#include "channel/messages.h"
#include "channel/sha256.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_all(const uint8_t *payload, size_t length)
{
    /* A copy without a byte to spare, so that a read past the end is seen. */
    uint8_t *copy = malloc(length > 0 ? length : 1);
    if (!copy)
        abort();
    memcpy(copy, payload, length);
    TbHelloMessage hello;
    TbGuestHelloMessage guest_hello;
    TbSetupMessage setup;
    TbEntry entry;
    TbMountMessage mount;
    TbExecMessage exec;
    tb_decode_hello(copy, length, &hello);
    tb_decode_guest_hello(copy, length, &guest_hello);
    tb_decode_setup(copy, length, &setup);
    tb_decode_mount(copy, length, &mount);
    if (tb_decode_entry(copy, length, &entry)) {
        uint8_t again[TB_ENTRY_WIRE_LIMIT];
        TbWriter writer = tb_writer(again, sizeof again);
        tb_encode_entry(&writer, &entry);
        if (writer.failed || writer.length != length || memcmp(again, copy, length) != 0)
            abort();
    }
    if (tb_decode_exec(copy, length, &exec))
        tb_exec_message_clear(&exec);
    free(copy);
}

/* The hash of all frames, to compare two ways of cutting. */
static void run(const uint8_t *data, size_t size, size_t piece, bool decode, uint8_t out[32])
{
    TbFrameDecoder *decoder = calloc(1, sizeof *decoder);
    TbSha256 hash;
    tb_sha256_init(&hash);
    if (!decoder)
        abort();
    TbFrameResult result = TB_FRAME_MORE;
    for (size_t at = 0; at < size && result != TB_FRAME_BAD; at += piece) {
        const uint8_t *next = data + at;
        size_t left = piece < size - at ? piece : size - at;
        TbFrame frame;
        while (left > 0 &&
               (result = tb_frame_decoder_push(decoder, &next, &left, &frame)) == TB_FRAME_READY) {
            tb_sha256_add(&hash, &frame.type, 1);
            tb_sha256_add(&hash, frame.payload, frame.length);
            if (decode)
                decode_all(frame.payload, frame.length);
        }
        if (result == TB_FRAME_MORE && left != 0)
            abort();
    }
    tb_sha256_end(&hash, out);
    free(decoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t whole[32], cut[32];
    decode_all(data, size);
    run(data, size, size + 1, true, whole);
    run(data, size, size > 0 ? 1 + data[0] % 13 : 1, false, cut);
    if (memcmp(whole, cut, sizeof whole) != 0)
        abort();
    return 0;
}
