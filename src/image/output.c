/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/output.h"

#include "util/escape.h"
#include "util/log.h"

#define TAIL_LINES 15
#define LINE_LIMIT 4096

struct TbOutput {
    GString *line;
    bool returned; /* a carriage return came last: what follows on the line replaces it */
    bool show;
    GQueue *tail;
};

TbOutput *tb_output_new(bool show)
{
    TbOutput *output = g_new0(TbOutput, 1);
    output->show = show;
    output->line = g_string_new(NULL);
    output->tail = g_queue_new();
    return output;
}

void tb_output_free(TbOutput *output)
{
    if (!output)
        return;
    g_string_free(output->line, TRUE);
    g_queue_free_full(output->tail, g_free);
    g_free(output);
}

static void end_line(TbOutput *output)
{
    g_autofree char *line = tb_escape_terminal(output->line->str, output->line->len, false);
    g_string_truncate(output->line, 0);
    if (output->show)
        tb_info("  %s", line);
    else
        tb_verbose("  %s", line);
    g_queue_push_tail(output->tail, g_steal_pointer(&line));
    if (g_queue_get_length(output->tail) > TAIL_LINES)
        g_free(g_queue_pop_head(output->tail));
}

bool tb_output_take(int fd, const uint8_t *data, size_t length, void *user_data, GError **error)
{
    TbOutput *output = user_data;
    for (size_t i = 0; i < length; i++) {
        if (data[i] == '\n' || output->line->len >= LINE_LIMIT)
            end_line(output);
        else if (output->returned && data[i] != '\r')
            g_string_truncate(output->line, 0);
        output->returned = data[i] == '\r';
        if (data[i] != '\n' && data[i] != '\r')
            g_string_append_c(output->line, (char)data[i]);
    }
    return true;
}

char *tb_output_tail(TbOutput *output)
{
    if (output->line->len > 0)
        end_line(output);
    GString *text = g_string_new(NULL);
    for (GList *item = output->tail->head; item; item = item->next)
        g_string_append_printf(text, "\n  %s", (char *)item->data);
    if (text->len == 0)
        g_string_append(text, "\n  (it printed nothing)");
    return g_string_free(text, FALSE);
}
