/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config/mount.h"

#include "config/yaml.h"
#include "util/error.h"

/* From TB_MOUNT_IMAGE on. */
static const char *const words[] = {"image", "9p", "virtiofs", "auto", NULL};

const char *tb_mount_type_name(TbMountType type)
{
    return type == TB_MOUNT_UNSAID ? NULL : words[type - TB_MOUNT_IMAGE];
}

bool tb_mount_type_parse(const char *text, TbMountType *type, GError **error)
{
    for (unsigned i = 0; words[i]; i++) {
        if (!g_str_equal(text, words[i]))
            continue;
        *type = (TbMountType)(TB_MOUNT_IMAGE + i);
        return true;
    }
    return tb_error_set(error, TB_ERROR_USAGE,
                        "bad value '%s' (must be one of: image, 9p, virtiofs, auto)", text);
}

bool tb_yaml_mount(TbYaml *yaml, const yaml_node_t *node, void *field, GError **error)
{
    unsigned index = 0;
    if (!tb_yaml_word(yaml, node, words, &index, error))
        return false;
    *(TbMountType *)field = (TbMountType)(TB_MOUNT_IMAGE + index);
    return true;
}
