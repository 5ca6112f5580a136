/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How wide and how colourful a terminal may be written to. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "review/findings.h"

typedef struct {
    bool colour;
    unsigned width, height; /* characters */
} TbStyle;

/* Of a descriptor: colour on a terminal unless NO_COLOR is set or TERM is "dumb"; the width is
 * COLUMNS, the terminal's, or 80. */
TbStyle tb_style_of(int fd);

typedef enum {
    TB_COLOUR_NONE,
    TB_COLOUR_ADDED,
    TB_COLOUR_REMOVED,
    TB_COLOUR_PLACE, /* file names, hunk headers */
    TB_COLOUR_HIGH,
    TB_COLOUR_MEDIUM,
    TB_COLOUR_FAINT,
} TbColour;

/* The sequence that begins a colour, and that ends any; "" without colour. Static strings. */
const char *tb_colour(const TbStyle *style, TbColour colour);
const char *tb_colour_end(const TbStyle *style);

/* All findings for a reader: a line for each with severity, rule and place, and why below. "no
 * findings" when there are none. */
void tb_style_findings(GString *text, const TbStyle *style, const TbFindings *findings);
