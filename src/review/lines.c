/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "review/lines.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

void tb_lines_split(TbLines *lines, const uint8_t *text, size_t length)
{
    g_assert(length < UINT32_MAX);
    uint32_t count = 0;
    for (size_t at = 0; at < length; count++) {
        const uint8_t *newline = memchr(text + at, '\n', length - at);
        at = newline ? (size_t)(newline - text) + 1 : length;
    }
    *lines = (TbLines){.text = text, .length = length, .count = count};
    lines->start = g_new(uint32_t, (size_t)count + 1);
    uint32_t line = 0;
    for (size_t at = 0; at < length; line++) {
        lines->start[line] = (uint32_t)at;
        const uint8_t *newline = memchr(text + at, '\n', length - at);
        at = newline ? (size_t)(newline - text) + 1 : length;
    }
    lines->start[count] = (uint32_t)length;
}

void tb_lines_clear(TbLines *lines)
{
    g_free(lines->start);
    *lines = (TbLines){0};
}

const uint8_t *tb_line_text(const TbLines *lines, uint32_t index, size_t *length)
{
    const uint8_t *text = tb_line(lines, index, length);
    if (*length > 0 && text[*length - 1] == '\n')
        (*length)--;
    if (*length > 0 && text[*length - 1] == '\r')
        (*length)--;
    return text;
}
