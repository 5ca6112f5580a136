/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The head of a mail-style patch. Private to src/patch. */
#pragma once

#include <glib.h>
#include "patch/patch.h"

/* All up to and with the "---" line; ASCII headers, UTF-8 body. g_free. */
char *mail_head(const TbPatchHeader *header);
