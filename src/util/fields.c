/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/fields.h"

#include <string.h>

void tb_field_put(GByteArray *out, const char *text)
{
    const char *field = text ? text : "";
    g_byte_array_append(out, (const guint8 *)field, (guint)strlen(field) + 1);
}

void tb_field_put_format(GByteArray *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    tb_field_put(out, text);
}

const char *tb_field_take(const char **at, const char *end)
{
    const char *field = *at;
    const char *nul = field < end ? memchr(field, '\0', (size_t)(end - field)) : NULL;
    if (!nul)
        return NULL;
    *at = nul + 1;
    return field;
}

bool tb_is_oid(const char *text)
{
    size_t length = strspn(text, "0123456789abcdef");
    return (length == 40 || length == 64) && text[length] == '\0';
}
