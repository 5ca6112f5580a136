/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The heads of mail-style patches. Private to src/patch. */
#pragma once

#include <glib.h>
#include "patch/patch.h"
#include "patch/series.h"

#define MAIL_HASH_DIGITS 64

/* All up to and with the "---" line; ASCII headers, UTF-8 body. g_free. The hash of the diff is not
 * known yet: *hash_at is where its MAIL_HASH_DIGITS digits, zeros until then, begin. */
char *mail_head(const TbPatchHeader *header, size_t *hash_at);

/* The same of mail `number` of `count`: author and message of `step` as git am reads them back, but
 * that lines which it would take for something else are indented by a blank. */
char *mail_series_head(const TbSeriesMail *step, unsigned number, unsigned count);
