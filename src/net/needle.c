/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Base64 of a text depends on how many bytes stand before it: at each of three places other
 * letters come of it, and those at its ends depend on its neighbours. What is looked for are the
 * letters in between, which depend on the text alone; for `instead` the same letters are taken.
 *
 * Who can have texts of his choice sent must not learn how far one of them is right: so what is
 * held back of a piece never depends on what is looked for, but for its length.
 */
#include "net/needle.h"

#include <string.h>

#define ALIGNMENTS 3
#define RUN_MIN    12 /* shorter ones are met by chance */
#define GROWS      3  /* times, at most, in an encoding: "%2F" */

typedef struct {
    char *text, *instead;
    size_t length;
    const void *data;
} Needle;

struct TbNeedles {
    GPtrArray *list; /* of Needle */
    size_t longest;  /* no needle is longer */
};

static void wipe(char *text, size_t length)
{
    if (text)
        explicit_bzero(text, length);
    g_free(text);
}

static void needle_free(void *data)
{
    Needle *needle = data;
    wipe(needle->text, needle->length);
    g_free(needle->instead);
    g_free(needle);
}

TbNeedles *tb_needles_new(void)
{
    TbNeedles *needles = g_new0(TbNeedles, 1);
    needles->list = g_ptr_array_new_with_free_func(needle_free);
    return needles;
}

void tb_needles_free(TbNeedles *needles)
{
    if (!needles)
        return;
    g_ptr_array_unref(needles->list);
    g_free(needles);
}

/* ---- what a text looks like */

/* Takes `text`. An encoding of `instead` that has another length is cut or made longer. */
static void add(TbNeedles *needles, char *text, const char *instead, const void *data)
{
    size_t length = strlen(text), have = instead ? strlen(instead) : 0;
    for (guint i = 0; i < needles->list->len; i++) {
        const Needle *known = needles->list->pdata[i];
        if (known->length == length && memcmp(known->text, text, length) == 0) {
            wipe(text, length);
            return;
        }
    }
    Needle *needle = g_new(Needle, 1);
    *needle = (Needle){.text = text, .length = length, .data = data};
    if (have > 0) {
        needle->instead = g_malloc0(length + 1);
        for (size_t i = 0; i < length; i++)
            needle->instead[i] = instead[i % have];
    }
    g_ptr_array_add(needles->list, needle);
}

static char *base64_at(const char *text, size_t before)
{
    size_t length = strlen(text);
    g_autofree guchar *plain = g_malloc0(before + length);
    memcpy(plain + before, text, length);
    char *all = g_base64_encode(plain, before + length);
    explicit_bzero(plain, before + length);
    size_t from = (before * 8 + 5) / 6, to = (before + length) * 8 / 6;
    char *out = g_strndup(all + from, to - from);
    wipe(all, strlen(all));
    return out;
}

static char *as_url_safe(const char *base64)
{
    char *out = g_strdup(base64);
    for (char *at = out; *at; at++)
        *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
    return out;
}

static char *as_hex(const char *text, const char *digits)
{
    GString *out = g_string_sized_new(2 * strlen(text) + 1);
    for (; *text; text++) {
        g_string_append_c(out, digits[(guchar)*text >> 4]);
        g_string_append_c(out, digits[(guchar)*text & 15]);
    }
    return g_string_free(out, FALSE);
}

static char *as_url(const char *text, const char *digits)
{
    GString *out = g_string_sized_new(3 * strlen(text) + 1);
    for (; *text; text++) {
        if (g_ascii_isalnum(*text) || strchr("-._~", *text))
            g_string_append_c(out, *text);
        else
            g_string_append_printf(out, "%%%c%c", digits[(guchar)*text >> 4],
                                   digits[(guchar)*text & 15]);
    }
    return g_string_free(out, FALSE);
}

static char *as_json(const char *text, bool slash)
{
    GString *out = g_string_sized_new(2 * strlen(text) + 1);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\' || (slash && *text == '/'))
            g_string_append_c(out, '\\');
        g_string_append_c(out, *text);
    }
    return g_string_free(out, FALSE);
}

/* Encodings agree on these; on what else they leave as it is, no two do. */
static bool is_plain(char byte)
{
    return g_ascii_isalnum(byte) || (byte && strchr("-._~", byte));
}

static void add_runs(TbNeedles *needles, const char *text, const char *instead, const void *data)
{
    for (size_t at = 0; text[at]; at++) {
        size_t length = 0;
        while (is_plain(text[at + length]))
            length++;
        g_autofree char *other = instead ? g_strndup(instead + at, length) : NULL;
        if (length >= RUN_MIN)
            add(needles, g_strndup(text + at, length), other, data);
        at += length;
        if (!text[at])
            break;
    }
}

void tb_needles_add(TbNeedles *needles, const char *text, const char *instead, const void *data)
{
    static const char low[] = "0123456789abcdef", high[] = "0123456789ABCDEF";
    add(needles, g_strdup(text), instead, data);
    for (size_t before = 0; before < ALIGNMENTS; before++) {
        g_autofree char *other = instead ? base64_at(instead, before) : NULL;
        g_autofree char *other_safe = other ? as_url_safe(other) : NULL;
        char *coded = base64_at(text, before), *safe = as_url_safe(coded);
        add(needles, coded, other, data);
        add(needles, safe, other_safe, data);
    }
    g_autofree char *hex = instead ? as_hex(instead, low) : NULL;
    g_autofree char *hex_high = instead ? as_hex(instead, high) : NULL;
    add(needles, as_hex(text, low), hex, data);
    add(needles, as_hex(text, high), hex_high, data);
    add(needles, as_url(text, high), instead, data);
    add(needles, as_url(text, low), instead, data);
    add(needles, as_json(text, false), instead, data);
    add(needles, as_json(text, true), instead, data);
    add_runs(needles, text, instead, data);
    needles->longest = MAX(needles->longest, GROWS * strlen(text));
}

/* ---- looking */

/* The first of any, and the longest there; *at its place. */
static const Needle *find(const TbNeedles *needles, const void *bytes, size_t length, size_t *at)
{
    const Needle *first = NULL;
    for (guint i = 0; i < needles->list->len; i++) {
        const Needle *needle = needles->list->pdata[i];
        const char *found = length ? memmem(bytes, length, needle->text, needle->length) : NULL;
        size_t place = found ? (size_t)(found - (const char *)bytes) : 0;
        if (!found || (first && place > *at) ||
            (first && place == *at && needle->length <= first->length))
            continue;
        first = needle;
        *at = place;
    }
    return first;
}

const void *tb_needles_find(const TbNeedles *needles, const void *bytes, size_t length)
{
    size_t at = 0;
    const Needle *needle = find(needles, bytes, length, &at);
    return needle ? needle->data : NULL;
}

/* Those that begin before `end`. */
static const void *replace(const TbNeedles *needles, char *bytes, size_t length, size_t end)
{
    const void *seen = NULL;
    const Needle *needle;
    size_t from = 0, at = 0;
    while (from < end && (needle = find(needles, bytes + from, length - from, &at))) {
        if (from + at >= end)
            break;
        memcpy(bytes + from + at, needle->instead, needle->length);
        seen = needle->data;
        from += at + needle->length;
    }
    return seen;
}

const void *tb_needles_replace(const TbNeedles *needles, void *bytes, size_t length)
{
    return replace(needles, bytes, length, length);
}

/* How many bytes at the end may be the beginning of one: there is no blank in any. */
static size_t open_end(const TbNeedles *needles, const guint8 *bytes, size_t length)
{
    size_t count = 0, most = needles->longest ? MIN(needles->longest - 1, length) : 0;
    while (count < most && g_ascii_isgraph(bytes[length - count - 1]))
        count++;
    return count;
}

void tb_stream_init(TbStream *stream, const TbNeedles *needles)
{
    *stream = (TbStream){.needles = needles, .held = g_byte_array_new()};
}

void tb_stream_clear(TbStream *stream)
{
    if (!stream->held)
        return;
    if (stream->held->len > 0)
        explicit_bzero(stream->held->data, stream->held->len);
    g_byte_array_unref(stream->held);
    *stream = (TbStream){0};
}

const void *tb_stream_push(TbStream *stream, const void *bytes, size_t length, bool last,
                           bool replaces, GByteArray *out)
{
    GByteArray *held = stream->held;
    const void *seen = NULL;
    size_t at = 0;
    if (length)
        g_byte_array_append(held, bytes, (guint)length);
    size_t go = held->len - (last ? 0 : open_end(stream->needles, held->data, held->len));
    if (replaces) {
        seen = replace(stream->needles, (char *)held->data, held->len, go);
    } else {
        const Needle *needle = find(stream->needles, held->data, held->len, &at);
        if (needle) {
            g_byte_array_append(out, held->data, (guint)at);
            g_byte_array_set_size(held, 0);
            return needle->data;
        }
    }
    if (go > 0) {
        g_byte_array_append(out, held->data, (guint)go);
        g_byte_array_remove_range(held, 0, (guint)go);
    }
    return seen;
}
