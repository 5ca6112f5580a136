/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/report.h"

#include <string.h>

#include "util/escape.h"
#include "util/units.h"

#define HOST_SHOWN   260
#define REASON_SHOWN 200
#define WHAT_SHOWN   16

enum { TIME, WHAT, HOST, PORT, VERDICT, REASON, SENT, RECEIVED, FIELDS };

static const char *const verdicts[] = {"allowed", "refused", "failed", NULL};

const char *tb_verdict_name(TbVerdict verdict)
{
    return verdicts[verdict];
}

void tb_net_event_clear(TbNetEvent *event)
{
    g_free(event->what);
    g_free(event->host);
    g_free(event->reason);
    *event = (TbNetEvent){0};
}

/* Printable and not longer than `most` bytes, whatever it was. */
static char *show(const char *text, size_t most)
{
    size_t length = text ? strlen(text) : 0;
    char *shown = tb_escape_terminal(text ? text : "", MIN(length, most), false);
    if (strlen(shown) > most)
        shown[most] = '\0';
    char *valid = g_utf8_make_valid(shown, -1);
    g_free(shown);
    return valid;
}

char *tb_net_event_format(const TbNetEvent *event)
{
    g_autofree char *what = show(event->what, WHAT_SHOWN);
    g_autofree char *host = show(event->host, HOST_SHOWN);
    g_autofree char *reason = show(event->reason, REASON_SHOWN);
    return g_strdup_printf("%" G_GINT64_FORMAT "\t%s\t%s\t%u\t%s\t%s\t%" G_GUINT64_FORMAT
                           "\t%" G_GUINT64_FORMAT,
                           event->time, what, host, event->port, verdicts[event->verdict], reason,
                           event->sent, event->received);
}

bool tb_net_event_parse(const char *line, TbNetEvent *event)
{
    *event = (TbNetEvent){0};
    if (strlen(line) >= TB_NET_LINE_MAX)
        return false;
    g_auto(GStrv) fields = g_strsplit(line, "\t", -1);
    uint64_t time = 0, port = 0;
    unsigned verdict = 0;
    if (g_strv_length(fields) != FIELDS ||
        !tb_number_parse(fields[TIME], "time", 0, INT64_MAX, &time, NULL) ||
        !tb_number_parse(fields[PORT], "port", 0, 65535, &port, NULL) ||
        !tb_number_parse(fields[SENT], "bytes", 0, INT64_MAX, &event->sent, NULL) ||
        !tb_number_parse(fields[RECEIVED], "bytes", 0, INT64_MAX, &event->received, NULL))
        return false;
    while (verdicts[verdict] && strcmp(verdicts[verdict], fields[VERDICT]) != 0)
        verdict++;
    if (!verdicts[verdict])
        return false;
    event->time = (int64_t)time;
    event->port = (uint16_t)port;
    event->verdict = (TbVerdict)verdict;
    event->what = show(fields[WHAT], WHAT_SHOWN);
    event->host = show(fields[HOST], HOST_SHOWN);
    event->reason = show(fields[REASON], REASON_SHOWN);
    return true;
}
