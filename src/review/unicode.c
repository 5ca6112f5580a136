/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "review/unicode.h"

#include <string.h>

#include "util/escape.h"

#define MAX_WORD_SHOWN 60

typedef struct {
    gunichar first, last;
} Range;

static const Range invisible[] = {
    {0x00ad, 0x00ad}, {0x034f, 0x034f},   {0x061c, 0x061c},   {0x115f, 0x1160},   {0x17b4, 0x17b5},
    {0x180b, 0x180f}, {0x200b, 0x200f},   {0x2028, 0x2029},   {0x2060, 0x2065},   {0x206a, 0x206f},
    {0x2800, 0x2800}, {0x3164, 0x3164},   {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},
    {0xfff0, 0xfffb}, {0x1d159, 0x1d159}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

/* Letters of Greek, and of Latin's own extensions, that pass for a plain Latin one. */
static const gunichar look_alike[] = {
    0x0391, 0x0392, 0x0395, 0x0396, 0x0397, 0x0399, 0x039a, 0x039c, 0x039d, 0x039f, 0x03a1,
    0x03a4, 0x03a5, 0x03a7, 0x03bf, 0x03bd, 0x03c1, 0x01c0, 0x01c3, 0x0251, 0x0261,
};

static bool in_ranges(const Range *ranges, size_t count, gunichar character)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (character > ranges[middle].last)
            low = middle + 1;
        else if (character < ranges[middle].first)
            high = middle;
        else
            return true;
    }
    return false;
}

gunichar tb_utf8_next(const uint8_t *text, size_t length, size_t *at)
{
    const char *p = (const char *)text + *at;
    if (text[*at] < 0x80)
        return text[(*at)++];
    gunichar character = g_utf8_get_char_validated(p, (gssize)MIN(length - *at, 6));
    if (character == (gunichar)-1 || character == (gunichar)-2) {
        (*at)++;
        return (gunichar)-1;
    }
    *at += (size_t)(g_utf8_next_char(p) - p);
    return character;
}

bool tb_is_bidi_control(gunichar character)
{
    return (character >= 0x202a && character <= 0x202e) ||
           (character >= 0x2066 && character <= 0x2069);
}

bool tb_is_control(gunichar character)
{
    return character < 0x20 || (character >= 0x7f && character <= 0x9f);
}

static bool is_emoji_part(gunichar character)
{
    return (character >= 0x2190 && character <= 0x2bff) || character == 0x3030 ||
           character == 0x303d || character == 0x3297 || character == 0x3299 ||
           (character >= 0x1f000 && character <= 0x1faff) || character == 0xa9 ||
           character == 0xae || character == 0x203c || character == 0x2049 || character == 0x2122 ||
           character == 0x2139 || character == '#' || character == '*' ||
           (character >= '0' && character <= '9');
}

/* Letters of scripts in which joiners make or break a ligature. */
static bool is_joining_letter(gunichar character)
{
    return (character >= 0x0600 && character <= 0x08ff && g_unichar_isalpha(character)) ||
           (character >= 0x0900 && character <= 0x0dff) ||
           (character >= 0x1000 && character <= 0x109f) ||
           (character >= 0x1780 && character <= 0x17ff);
}

/* Where such a character has an honest use: behind `before`. */
static bool is_honest(gunichar character, gunichar before)
{
    if (character == 0xfe0f || character == 0xfe0e)
        return is_emoji_part(before);
    if (character == 0x200d)
        return is_joining_letter(before) || (is_emoji_part(before) && before > 0x7f) ||
               before == 0xfe0f;
    if (character == 0x200c || character == 0x200e || character == 0x200f || character == 0x061c)
        return is_joining_letter(before) || g_unichar_get_script(before) == G_UNICODE_SCRIPT_HEBREW;
    return false;
}

bool tb_is_hidden(gunichar character, gunichar before)
{
    return in_ranges(invisible, G_N_ELEMENTS(invisible), character) &&
           !is_honest(character, before);
}

typedef struct {
    size_t start;
    bool latin;       /* a plain ASCII letter */
    gunichar strange; /* one that passes for a Latin letter */
    bool styled;      /* mathematical letters: programs read them as plain ones */
} Word;

static bool is_look_alike(gunichar character)
{
    switch (g_unichar_get_script(character)) {
    case G_UNICODE_SCRIPT_CYRILLIC:
    case G_UNICODE_SCRIPT_ARMENIAN:
    case G_UNICODE_SCRIPT_CHEROKEE:
    case G_UNICODE_SCRIPT_COPTIC:
    case G_UNICODE_SCRIPT_LISU:
        return g_unichar_isalpha(character);
    default:
        break;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(look_alike); i++)
        if (look_alike[i] == character)
            return true;
    return character >= 0xff21 && character <= 0xff5a; /* full width */
}

static void take(Word *word, gunichar character)
{
    if (character < 0x80) {
        word->latin |= g_ascii_isalpha((char)character);
    } else if (character >= 0x1d400 && character <= 0x1d7ff) {
        word->strange = character;
        word->styled = true;
    } else if (!word->strange && is_look_alike(character)) {
        word->strange = character;
    }
}

static char *describe(const uint8_t *text, size_t length, gunichar strange)
{
    /* cut between characters; behind a word that is not cut there may be no byte at all */
    size_t most = MIN(length, MAX_WORD_SHOWN);
    while (most && most < length && (text[most] & 0xc0) == 0x80)
        most--;
    g_autofree char *shown = tb_escape_terminal(text, most, false);
    return g_strdup_printf("'%s' has U+%04X among Latin letters", shown, strange);
}

char *tb_mixed_word(const uint8_t *text, size_t length)
{
    Word word = {0};
    bool in_word = false;
    for (size_t at = 0; at <= length;) {
        size_t here = at;
        gunichar character = 0;
        if (at < length)
            character = tb_utf8_next(text, length, &at);
        else
            at++;
        bool part = character != (gunichar)-1 &&
                    (character == '_' || (character && g_unichar_isalnum(character)) ||
                     g_unichar_ismark(character));
        if (part && !in_word)
            word = (Word){.start = here};
        if (part)
            take(&word, character);
        else if (in_word && word.strange && (word.latin || word.styled))
            return describe(text + word.start, here - word.start, word.strange);
        in_word = part;
    }
    return NULL;
}
