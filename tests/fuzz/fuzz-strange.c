/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What strangers' files are looked at with on the host: a project's git configuration, its paths
 * against the mask list, the header of a disk image. Any bytes give an answer, always the same. */
#include <stdlib.h>
#include <string.h>

#include "image/qcow2.h"
#include "image/hosts.h"
#include "project/private.h"
#include "util/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void look_for(const char *text, const char *section, const char *key)
{
    g_autofree char *value = tb_git_config_value(text, section, key);
    g_autofree char *again = tb_git_config_value(text, section, key);
    require(g_strcmp0(value, again) == 0);
    require(!value || strlen(value) <= strlen(text) + 4); /* "true" of a key without a value */
}

static void check_header(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *copy = g_memdup2(data, size); /* without a byte to spare */
    bool fine = tb_qcow2_check_header(copy, size, "fuzz", &error);
    require(fine == (error == NULL));
    /* No backing file and no data file elsewhere in what is let through. */
    for (size_t i = 8; fine && i < 16; i++)
        require(copy[i] == 0);
    require(!fine || copy[7] == 2 || (copy[79] & 4) == 0);
}

/* What an image says of its package managers. */
static void check_hosts(const char *text)
{
    g_autoptr(GPtrArray) hosts = tb_image_hosts_parse(text);
    for (guint i = 0; i < hosts->len; i++) {
        const TbImageHost *host = hosts->pdata[i];
        require(tb_host_group_valid(host->group) && *host->host && *host->from);
        for (const char *at = host->host; *at; at++)
            require(g_ascii_isprint(*at));
        for (const char *at = host->from; *at; at++)
            require(g_ascii_isprint(*at));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static TbMaskList *masks;
    if (!masks)
        masks = tb_mask_list_new();
    g_autofree char *text = g_strndup((const char *)data, size);
    look_for(text, "core", "excludesfile");
    look_for(text, "user", "name");
    look_for(text, "extensions", "objectformat");
    const char *why = tb_mask_list_match(masks, text);
    require(why == tb_mask_list_match(masks, text));
    check_header(data, size);
    check_hosts(text);
    return 0;
}
