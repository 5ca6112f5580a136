/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * git shows messages and names as they are, and so do most programs that list a history: what
 * drives a terminal or deceives the eye must not get there. Nothing has to be exact about a
 * message, so it is written out; refused it would take the commit's honest work with it.
 *
 * No converter of the system is asked about the encodings that a box may name.
 */
#include "review/words.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "review/unicode.h"

static bool is_latin1(const char *encoding)
{
    static const char *const names[] = {"ISO-8859-1", "ISO8859-1", "latin1", "latin-1"};
    for (size_t i = 0; encoding && i < G_N_ELEMENTS(names); i++)
        if (g_ascii_strcasecmp(encoding, names[i]) == 0)
            return true;
    return false;
}

static char *from_latin1(const char *text)
{
    GString *out = g_string_new(NULL);
    for (; *text; text++)
        g_string_append_unichar(out, (guint8)*text);
    return g_string_free(out, FALSE);
}

char *tb_words_decode(const char *words, const char *encoding)
{
    return !is_latin1(encoding) || g_utf8_validate(words, -1, NULL) ? g_strdup(words)
                                                                    : from_latin1(words);
}

static bool is_harmless(gunichar character, gunichar before, bool multiline)
{
    if (tb_is_control(character))
        return multiline && (character == '\n' || character == '\t');
    return !tb_is_bidi_control(character) && !tb_is_hidden(character, before);
}

static char *clean(const char *text, bool multiline)
{
    size_t length = strlen(text);
    GString *out = g_string_sized_new(length);
    gunichar before = 0;
    for (size_t at = 0, here = 0; at < length; here = at) {
        gunichar character = tb_utf8_next((const uint8_t *)text, length, &at);
        bool valid = character != (gunichar)-1;
        if (character == '\r' && text[at] == '\n')
            continue;
        if (valid && is_harmless(character, before, multiline))
            g_string_append_len(out, text + here, (gssize)(at - here));
        else if (valid && character >= 0x80)
            g_string_append_printf(out, "\\u{%04X}", character);
        else
            g_string_append_printf(out, "\\x%02X", (guint8)text[here]);
        before = valid ? character : 0;
    }
    return g_string_free(out, FALSE);
}

char *tb_clean_message(const char *message, const char *encoding)
{
    g_autofree char *text = tb_words_decode(message, encoding);
    return clean(text, true);
}

char *tb_clean_author(const char *author, const char *encoding)
{
    g_autofree char *text = tb_words_decode(author, encoding);
    return clean(text, false);
}
