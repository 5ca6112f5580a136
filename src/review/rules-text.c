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
    return tb_is_control(character) && character != '\t' && character != '\f';
}

void rule_escape(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number)
{
    for (size_t at = 0; at < length;) {
        gunichar character = tb_utf8_next(text, length, &at);
        if (is_control(character)) {
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

void rule_invisible(TbRuleScan *scan, const uint8_t *text, size_t length, uint32_t number)
{
    gunichar before = 0;
    for (size_t at = 0; at < length;) {
        bool mark = at == 0 && number == 1; /* a byte order mark */
        gunichar character = tb_utf8_next(text, length, &at);
        if (tb_is_hidden(character, before) && !(mark && character == 0xfeff)) {
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
