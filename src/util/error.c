/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/error.h"

#include <errno.h>

G_DEFINE_QUARK(taskbox - error, tb_error)

static const char *const code_names[] = {
    [TB_ERROR_INTERNAL] = "internal",
    [TB_ERROR_USAGE] = "usage",
    [TB_ERROR_CONFIG] = "config",
    [TB_ERROR_NOT_FOUND] = "not-found",
    [TB_ERROR_EXISTS] = "exists",
    [TB_ERROR_BUSY] = "busy",
    [TB_ERROR_UNSUPPORTED] = "unsupported",
    [TB_ERROR_DEPENDENCY] = "dependency",
    [TB_ERROR_IMAGE] = "image",
    [TB_ERROR_VM] = "vm",
    [TB_ERROR_GUEST] = "guest",
    [TB_ERROR_TIMEOUT] = "timeout",
    [TB_ERROR_LIMIT] = "limit",
    [TB_ERROR_CONFLICT] = "conflict",
    [TB_ERROR_DENIED] = "denied",
    [TB_ERROR_NO_SPACE] = "no-space",
    [TB_ERROR_IO] = "io",
    [TB_ERROR_VERIFY] = "verify",
    [TB_ERROR_INTERRUPTED] = "interrupted",
};

const char *tb_error_code_name(TbErrorCode code)
{
    return (size_t)code < G_N_ELEMENTS(code_names) ? code_names[code] : "internal";
}

static TbErrorCode code_of_errno(int err)
{
    switch (err) {
    case ENOSPC:
    case EDQUOT:
        return TB_ERROR_NO_SPACE;
    case EACCES:
    case EPERM:
        return TB_ERROR_DENIED;
    case ENOENT:
        return TB_ERROR_NOT_FOUND;
    case EEXIST:
        return TB_ERROR_EXISTS;
    case EFBIG:
        return TB_ERROR_LIMIT;
    default:
        return TB_ERROR_IO;
    }
}

bool tb_error_set_errno(GError **error, int err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, TB_ERROR, (int)code_of_errno(err), "%s: %s", text, g_strerror(err));
    errno = err;
    return false;
}

bool tb_error_set(GError **error, TbErrorCode code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, TB_ERROR, (int)code, text);
    return false;
}

TbErrorCode tb_error_code(const GError *error)
{
    return error && error->domain == TB_ERROR ? (TbErrorCode)error->code : TB_ERROR_INTERNAL;
}
