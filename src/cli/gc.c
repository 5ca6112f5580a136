/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox gc [--apply] */
#include "task/gc.h"

#include "cli/command.h"
#include "cli/output.h"
#include "util/error.h"
#include "util/log.h"
#include "util/units.h"

#define DEFAULT_AGE (UINT64_C(14) * 24 * 3600)

bool tb_cli_gc(TbCli *cli, int *status, GError **error)
{
    uint64_t age = DEFAULT_AGE;
    const char *text = tb_arguments_value(cli->arguments, "older-than");
    if (!tb_arguments_none(cli->arguments, error) ||
        (text && !tb_duration_parse(text, &age, error)))
        return false;
    bool apply = tb_arguments_flag(cli->arguments, "apply");
    g_autoptr(GPtrArray) items = tb_gc(cli->store, age, apply, error);
    if (!items)
        return false;
    uint64_t sum = 0;
    for (guint i = 0; i < items->len; i++) {
        const TbGcItem *item = items->pdata[i];
        g_autofree char *size = item->bytes ? tb_size_format(item->bytes) : g_strdup("");
        if (!tb_print_format(error, "%-10s  %s\n", size, item->what))
            return false;
        sum += item->bytes;
    }
    g_autofree char *all = tb_size_format(sum);
    if (items->len == 0)
        tb_info("nothing to remove");
    else
        tb_info("%s %u thing%s, %s%s", apply ? "removed" : "would remove", items->len,
                items->len == 1 ? "" : "s", all, apply ? "" : " (do it: taskbox gc --apply)");
    return true;
}
