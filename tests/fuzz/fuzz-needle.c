/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What keeps a secret's value from the box: however an answer is cut, what goes on is the same, as
 * long as before, and holds the value in none of its encodings; where nothing is to be found
 * nothing is changed. How much goes on at once tells nothing of the value. The first byte says how
 * it is cut, the second what is put in.
 */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/needle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In all its encodings what is put in is one letter over and over, which neither begins nor ends
 * the value in any of its own: so it cannot make whole what a server has only told a part of. */
static const char value[] = "k-Zq7+/w0rth&less\"wq", instead[] = "UUUUUUUUUUUUUUUUUUUU";

/* Of another secret, as long. */
static const char another[] = "pQ8x_Lm-4tR0y.Ce~2Ka";

static void require(bool holds)
{
    if (!holds)
        abort();
}

static GByteArray *pushed(const TbNeedles *needles, const uint8_t *data, size_t size, size_t piece,
                          bool replace, bool *seen, uint64_t *lengths)
{
    TbStream stream;
    GByteArray *out = g_byte_array_new();
    tb_stream_init(&stream, needles);
    *seen = false;
    *lengths = 0;
    for (size_t at = 0; at <= size && !(*seen && !replace); at += piece) {
        size_t length = MIN(piece, size - at);
        *seen |=
            tb_stream_push(&stream, data + at, length, at + piece > size, replace, out) != NULL;
        *lengths = *lengths * 31 + out->len;
    }
    tb_stream_clear(&stream);
    return out;
}

/* The input with the value here and there in it, in an encoding of its choice. */
static GByteArray *material(const uint8_t *data, size_t size, unsigned choice)
{
    GByteArray *bytes = g_byte_array_new();
    g_autofree char *base64 = g_base64_encode((const uint8_t *)value, strlen(value));
    g_autofree char *url = g_uri_escape_string(value, NULL, FALSE);
    const char *forms[] = {"", value, base64, url};
    const char *form = forms[choice % G_N_ELEMENTS(forms)];
    size_t middle = size / 2;
    if (middle > 0)
        g_byte_array_append(bytes, data, (guint)middle);
    g_byte_array_append(bytes, (const uint8_t *)form, (guint)strlen(form));
    g_byte_array_append(bytes, data + middle, (guint)(size - middle));
    g_byte_array_append(bytes, (const uint8_t *)form, (guint)strlen(form));
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 4096)
        return 0;
    g_autoptr(TbNeedles) needles = tb_needles_new();
    g_autoptr(TbNeedles) others = tb_needles_new();
    tb_needles_add(needles, value, instead, value);
    tb_needles_add(others, another, instead, another);
    g_autoptr(GByteArray) bytes = material(data + 2, size - 2, data[1]);
    if (bytes->len == 0)
        return 0;
    bool there = tb_needles_find(needles, bytes->data, bytes->len) != NULL;
    bool seen, seen_in_pieces;
    uint64_t lengths, other_lengths;
    g_autoptr(GByteArray) whole =
        pushed(needles, bytes->data, bytes->len, bytes->len + 1, true, &seen, &lengths);
    g_autoptr(GByteArray) cut =
        pushed(needles, bytes->data, bytes->len, 1 + data[0] % 64, true, &seen_in_pieces, &lengths);
    require(seen == there && seen_in_pieces == there);
    g_autoptr(GByteArray) other = pushed(others, bytes->data, bytes->len, 1 + data[0] % 64, true,
                                         &seen_in_pieces, &other_lengths);
    require(lengths == other_lengths && other->len == bytes->len);
    require(whole->len == bytes->len && cut->len == bytes->len);
    require(memcmp(whole->data, cut->data, cut->len) == 0);
    require(there || memcmp(whole->data, bytes->data, bytes->len) == 0);
    require(!memmem(whole->data, whole->len, value, strlen(value)));
    g_autoptr(GByteArray) stopped =
        pushed(needles, bytes->data, bytes->len, 1 + data[0] % 64, false, &seen, &lengths);
    require(seen == there && stopped->len <= bytes->len);
    g_byte_array_append(stopped, (const uint8_t *)"", 1); /* there is something to look at */
    require(memcmp(stopped->data, bytes->data, stopped->len - 1) == 0);
    require(!memmem(stopped->data, stopped->len, value, strlen(value)));
    return 0;
}
