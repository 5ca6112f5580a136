/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looking for a few known texts, and what they look like in the usual encodings, in bytes that come
 * in pieces. Plain bytes in and out; linear in what is looked at for each text.
 * The texts are printable ASCII without blanks.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct TbNeedles TbNeedles;

TbNeedles *tb_needles_new(void);
void tb_needles_free(TbNeedles *needles);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TbNeedles, tb_needles_free)
/* Adds `text` as it is, in base64 (and base64url) at each of the three places it can begin at, in
 * hexadecimal, as URLs and JSON write it, and each run of 12 or more of it that every encoding of
 * single bytes leaves as it is (letters, digits, "-._~"). `instead` (of the same length) takes its
 * place, in the same encoding, when tb_stream_push replaces; `data` is what is told of it. */
void tb_needles_add(TbNeedles *needles, const char *text, const char *instead, const void *data);

/* The `data` of one that is in these bytes; NULL: none. */
const void *tb_needles_find(const TbNeedles *needles, const void *bytes, size_t length);
/* Replaces all in place, the longest of those at one place. The data of one; NULL: there was none.
 */
const void *tb_needles_replace(const TbNeedles *needles, void *bytes, size_t length);

/* One stream of bytes. What stands behind the last blank (any byte but 0x21 to 0x7e) of a piece is
 * held back until more comes, but for what is too far from the end to be the beginning of a text:
 * whether it looks like one is nothing that its receiver may learn. */
typedef struct {
    const TbNeedles *needles;
    GByteArray *held;
} TbStream;
void tb_stream_init(TbStream *stream, const TbNeedles *needles);
void tb_stream_clear(TbStream *stream);
/* Takes a piece (`last`: the end) and appends what may go on to `out`. With `replaces` texts are
 * replaced; without, nothing from the first one on goes out. The data of one that was seen; NULL:
 * none. */
const void *tb_stream_push(TbStream *stream, const void *bytes, size_t length, bool last,
                           bool replaces, GByteArray *out);
