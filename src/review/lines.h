/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A text as lines, and what differs between two. Plain C over bytes that nobody vouches for; the
 * time is bounded whatever they hold.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lines keep their newline; the last may have none. */
typedef struct {
    const uint8_t *text; /* not owned */
    size_t length;
    uint32_t *start; /* count + 1 offsets */
    uint32_t count;
} TbLines;

/* Takes apart at most UINT32_MAX - 1 bytes. Clear with tb_lines_clear. */
void tb_lines_split(TbLines *lines, const uint8_t *text, size_t length);
void tb_lines_clear(TbLines *lines);
/* Line `index` (from 0) with its newline. */
static inline const uint8_t *tb_line(const TbLines *lines, uint32_t index, size_t *length)
{
    *length = lines->start[index + 1] - lines->start[index];
    return lines->text + lines->start[index];
}
/* The same without newline, and without a carriage return before it. */
const uint8_t *tb_line_text(const TbLines *lines, uint32_t index, size_t *length);

/* Lines [a, a + a_count) become lines [b, b + b_count). */
typedef struct {
    uint32_t a, a_count, b, b_count;
} TbEdit;

/* What turns `a` into `b`: edits in order, at least one equal line between two of them. *count is
 * how many; g_free. */
TbEdit *tb_lines_compare(const TbLines *a, const TbLines *b, size_t *count);
