/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `taskbox review` draws. All text of a box goes through here, escaped and cut to the width.
 */
#pragma once

#include "cli/style.h"
#include "review/select.h"

/* Unit `index` with its heading: place, decision so far, lines with context; folded behind
 * `most_lines` (0: never). `diff` is its file's. */
void tb_view_unit(GString *text, const TbStyle *style, const TbSelection *selection, guint index,
                  const TbFileDiff *diff, unsigned most_lines);
/* The whole file: its result with marks on what is new; a deleted one's base. */
void tb_view_file(GString *text, const TbStyle *style, const TbFileDiff *diff);
