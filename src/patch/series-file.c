/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A series as a file: fields that end with a NUL byte, which no part of a commit may hold. */
#include "patch/series.h"

#include <string.h>

#include "util/error.h"
#include "util/fields.h"

#define MAGIC "taskbox series 1"

static void step_free(void *data)
{
    TbSeriesStep *step = data;
    g_free(step->commit);
    g_free(step->tree);
    g_free(step->author);
    g_free(step->encoding);
    g_free(step->message);
    g_free(step);
}

GPtrArray *tb_series_new(void)
{
    return g_ptr_array_new_with_free_func(step_free);
}

unsigned tb_series_count(const GPtrArray *series)
{
    unsigned count = 0;
    for (guint i = 0; i < series->len; i++)
        count += ((const TbSeriesStep *)series->pdata[i])->commit != NULL;
    return count;
}

GBytes *tb_series_format(const GPtrArray *series)
{
    GByteArray *out = g_byte_array_new();
    tb_field_put(out, MAGIC);
    for (guint i = 0; i < series->len; i++) {
        const TbSeriesStep *step = series->pdata[i];
        tb_field_put(out, "step");
        tb_field_put(out, step->commit);
        tb_field_put(out, step->tree);
        tb_field_put(out, step->author);
        tb_field_put(out, step->encoding);
        tb_field_put(out, step->message);
    }
    tb_field_put(out, "end");
    return g_byte_array_free_to_bytes(out);
}

static char *or_null(const char *text)
{
    return *text ? g_strdup(text) : NULL;
}

static bool take_step(GPtrArray *series, const char **at, const char *end)
{
    const char *commit = tb_field_take(at, end), *tree = tb_field_take(at, end),
               *author = tb_field_take(at, end);
    const char *encoding = tb_field_take(at, end), *message = tb_field_take(at, end);
    if (!message || !tb_is_oid(tree) || (*commit && !tb_is_oid(commit)) || !*commit != !*author)
        return false;
    TbSeriesStep *step = g_new0(TbSeriesStep, 1);
    step->commit = or_null(commit);
    step->tree = g_strdup(tree);
    step->author = or_null(author);
    step->encoding = or_null(encoding);
    step->message = g_strdup(message);
    g_ptr_array_add(series, step);
    return true;
}

GPtrArray *tb_series_parse(GBytes *bytes, GError **error)
{
    gsize size = 0;
    const char *at = g_bytes_get_data(bytes, &size), *end = at ? at + size : NULL;
    const char *magic = at ? tb_field_take(&at, end) : NULL;
    g_autoptr(GPtrArray) series = tb_series_new();
    bool fine = magic && strcmp(magic, MAGIC) == 0;
    for (const char *field; fine && (field = tb_field_take(&at, end));) {
        if (strcmp(field, "end") == 0)
            return g_steal_pointer(&series);
        fine = strcmp(field, "step") == 0 && take_step(series, &at, end);
    }
    tb_error_set(error, TB_ERROR_INTERNAL, "cannot read the task's series of commits");
    return NULL;
}
