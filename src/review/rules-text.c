/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rules on how an added line looks, and does not look. */
#include "review/rules.h"

#include "review/unicode.h"

#define LONG_LINE   1000
#define MANY_BLANKS 160

void rule_long_line(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number)
{
    if (length > LONG_LINE)
        rule_found(scan, scan->diff->file->path, number, "%zu bytes", length);
}

void rule_hidden_right(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number)
{
    size_t blanks = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == ' ' || text[i] == '\t') {
            blanks++;
        } else if (blanks >= MANY_BLANKS) {
            rule_found(scan, scan->diff->file->path, number, "at column %zu", i + 1);
            return;
        } else {
            blanks = 0;
        }
    }
}

/* Tab, and the form feed that some sources have between parts, are no harm. */
static bool is_control(gunichar character)
{
    return (character < 0x20 && character != '\t' && character != '\f') ||
           (character >= 0x7f && character <= 0x9f);
}

void rule_escape(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number)
{
    for (size_t at = 0; at < length;) {
        gunichar character = tb_utf8_next(text, length, &at);
        if (character != (gunichar)-1 && is_control(character)) {
            rule_found(scan, scan->diff->file->path, number, "U+%04X%s", character,
                       character == 0x1b   ? " (escape)"
                       : character == '\r' ? " (return)"
                                           : "");
            return;
        }
    }
}

void rule_bidi(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number)
{
    for (size_t at = 0; at < length;) {
        gunichar character = tb_utf8_next(text, length, &at);
        if (tb_is_bidi_control(character)) {
            rule_found(scan, scan->diff->file->path, number, "U+%04X", character);
            return;
        }
    }
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

void rule_invisible(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number)
{
    gunichar before = 0;
    for (size_t at = 0; at < length;) {
        bool mark = at == 0 && number == 1; /* a byte order mark */
        gunichar character = tb_utf8_next(text, length, &at);
        if (character != (gunichar)-1 && tb_is_invisible(character) &&
            !(mark && character == 0xfeff) && !is_honest(character, before)) {
            rule_found(scan, scan->diff->file->path, number, "U+%04X", character);
            return;
        }
        before = character == (gunichar)-1 ? 0 : character;
    }
}

void rule_homoglyph(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number)
{
    g_autofree char *mixed = tb_mixed_word(text, length);
    if (mixed)
        rule_found(scan, scan->diff->file->path, number, "%s", mixed);
}
