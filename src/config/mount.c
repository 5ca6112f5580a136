/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config/mount.h"

#include "util/error.h"

const char *const tb_mount_type_words[] = {"image", "9p", "virtiofs", "auto", NULL};

const char *tb_mount_type_name(TbMountType type)
{
    return type == TB_MOUNT_UNSAID ? NULL : tb_mount_type_words[type - TB_MOUNT_IMAGE];
}

bool tb_mount_type_parse(const char *text, TbMountType *type, GError **error)
{
    for (unsigned i = 0; tb_mount_type_words[i]; i++) {
        if (!g_str_equal(text, tb_mount_type_words[i]))
            continue;
        *type = (TbMountType)(TB_MOUNT_IMAGE + i);
        return true;
    }
    return tb_error_set(error, TB_ERROR_USAGE,
                        "bad value '%s' (must be one of: image, 9p, virtiofs, auto)", text);
}
