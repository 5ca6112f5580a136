/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An agent's JSON lines as a text for people. What comes is hostile, and what goes out still is:
 * it is escaped where it is shown, as any output of a box. */
#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>
#include "task/store.h"

typedef struct TbAgentStream TbAgentStream;

/* `rules` (TbStreamRule *) stays the caller's, and there. */
TbAgentStream *tb_agent_stream_new(const GPtrArray *rules);
/* The next bytes; the text that they give is appended to `out`. A line that is no JSON object
 * comes as it is. */
void tb_agent_stream_feed(TbAgentStream *stream, const void *data, size_t length, GString *out);
/* What is left of a last line. */
void tb_agent_stream_end(TbAgentStream *stream, GString *out);
const TbUsage *tb_agent_stream_usage(const TbAgentStream *stream);
void tb_agent_stream_free(TbAgentStream *stream);
