/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of what `show` prints, for other commands that show them in another order. */
#pragma once

#include "task/store.h"

/* "LABEL   VALUE", escaped, a line for each of the value's; nothing when there is no value. */
void tb_show_add(GString *text, const char *label, const char *value);
/* Id, state, project, what was asked for, image. */
void tb_show_made(GString *text, const TbTask *task);
/* Exit code, error, changes, trees. */
void tb_show_outcome(GString *text, const TbTask *task);
void tb_show_notes(GString *text, const TbTask *task);
/* Log, box, times. */
void tb_show_places(GString *text, const TbTask *task);
