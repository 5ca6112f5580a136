/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files of a page, side by side. Private to src/review. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include "util/git.h"

bool page_add_diff(GString *page, TbGit *git, const char *base_tree, const char *result_tree,
                   GError **error);
