/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "task/store.h"

/* Writes the review of a task to the HTML file `path`; one that is there is replaced. */
bool tb_review_page(const TbTask *task, const char *path, GError **error);
