/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What stays is what a reader sees as itself. All else is written out: a sequence that drives the
 * terminal, a character that reorders its neighbours, one that shows nothing at all.
 */
#include "util/escape.h"
#include "util/hole.h"

#include <stdint.h>
#include <string.h>

/* Characters that show nothing although their category is letter, mark or symbol. */
static const struct {
    gunichar first, last;
} invisible[] = {
    {0x034f, 0x034f}, /* combining grapheme joiner */
    {0x115f, 0x1160}, /* Hangul fillers */
    {0x17b4, 0x17b5}, /* Khmer inherent vowels */
    {0x180b, 0x180f}, /* Mongolian selectors */
    {0x2800, 0x2800}, /* Braille blank */
    {0x3164, 0x3164},   {0xfe00, 0xfe0f},   {0xffa0, 0xffa0},
    {0x1d159, 0x1d159}, {0xe0000, 0xe0fff}, /* tags, more selectors */
};

static bool is_invisible(gunichar character)
{
    for (size_t i = 0; i < G_N_ELEMENTS(invisible); i++)
        if (character >= invisible[i].first && character <= invisible[i].last)
            return true;
    return false;
}

static bool is_shown_as_itself(gunichar character)
{
    switch (g_unichar_type(character)) {
    case G_UNICODE_CONTROL:
    case G_UNICODE_FORMAT:
    case G_UNICODE_UNASSIGNED:
    case G_UNICODE_SURROGATE:
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
        return false;
    default:
        return !is_invisible(character);
    }
}

static bool is_plain_ascii(uint8_t byte, bool multiline)
{
    return (byte >= 0x20 && byte < 0x7f) || (multiline && (byte == '\n' || byte == '\t'));
}

/* Writes one character that is not plain ASCII; returns how many bytes it took. */
static size_t append_one(GString *out, const char *text, size_t length)
{
    uint8_t byte = (uint8_t)*text;
    gunichar character =
        byte < 0x80 ? (gunichar)-1 : g_utf8_get_char_validated(text, (gssize)length);
    if (character == (gunichar)-1 || character == (gunichar)-2) {
        g_string_append_printf(out, "\\x%02X", byte);
        return 1;
    }
    size_t size = (size_t)(g_utf8_next_char(text) - text);
    if (is_shown_as_itself(character))
        g_string_append_len(out, text, (gssize)size);
    else
        g_string_append_printf(out, "\\u{%04X}", character);
    return size;
}

char *tb_escape_terminal(const void *data, size_t length, bool multiline)
{
    const char *text = data;
    if (tb_hole("escape"))
        return g_strndup(text, length);
    GString *out = g_string_sized_new(length + 1);
    for (size_t i = 0; i < length;) {
        size_t plain = i;
        while (plain < length && is_plain_ascii((uint8_t)text[plain], multiline))
            plain++;
        g_string_append_len(out, text + i, (gssize)(plain - i));
        i = plain;
        if (i < length)
            i += append_one(out, text + i, length - i);
    }
    return g_string_free(out, FALSE);
}

char *tb_escape_name(const char *text)
{
    return tb_escape_terminal(text, strlen(text), false);
}

bool tb_is_plain(const char *text, size_t limit)
{
    size_t length = 0;
    for (; text[length]; length++)
        if (length >= limit || !g_ascii_isprint(text[length]))
            return false;
    return true;
}
