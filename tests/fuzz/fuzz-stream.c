/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an agent prints as JSON lines: in whatever pieces it comes, the text is the same. */
#include <stdlib.h>
#include <string.h>

#include "config/settings.h"
#include "run/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char profile[] = "command: [x, '{prompt}']\n"
                              "output:\n"
                              "  - {when: {type: say}, say: '{a.b}{text}'}\n"
                              "  - {when: {type: part}, part: '{text}'}\n"
                              "  - {when: {type: each}, each: items, where: {k: '*'}, run: '{k}'}\n"
                              "  - {when: {type: each}, each: items, edit: '{text} {0}'}\n"
                              "  - {each: list, note: '{0.1}'}\n"
                              "  - {when: {list.0: '*'}, note: '{list.0}', tokens_in: '{in}', "
                              "tokens_out: '{out}', cost: '{cost}'}\n";

static GString *read_all(const TbAgent *agent, const uint8_t *data, size_t size, size_t step)
{
    TbAgentStream *stream = tb_agent_stream_new(agent->output);
    GString *out = g_string_new(NULL);
    for (size_t at = 0; at < size; at += step)
        tb_agent_stream_feed(stream, data + at, MIN(step, size - at), out);
    tb_agent_stream_end(stream, out);
    const TbUsage *usage = tb_agent_stream_usage(stream);
    if (!(usage->cost >= 0))
        abort();
    tb_agent_stream_free(stream);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static TbAgent *agent;
    if (!agent)
        agent = tb_agent_parse("x", "x", profile, strlen(profile), NULL);
    GString *one = read_all(agent, data, size, size + 1);
    GString *other = read_all(agent, data, size, 1 + size % 7);
    if (!g_string_equal(one, other))
        abort();
    g_string_free(one, TRUE);
    g_string_free(other, TRUE);
    return 0;
}
