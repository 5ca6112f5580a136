/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Templates that nothing will be forked from any more, and what killed makers left. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "image/store-private.h"
#include "image/template-private.h"
#include "util/auto.h"
#include "util/fs.h"

/* Left by a killed taskbox: nobody holds the key's lock. */
static bool gc_remains(int store, const char *name, bool apply, GPtrArray *found, GError **error)
{
    struct stat st;
    if (g_str_has_prefix(name, TB_TEMPLATE_FAILED)) {
        bool counts =
            fstatat(store, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && tb_template_failure_counts(&st);
        return counts || !apply || tb_remove_tree(store, name, error);
    }
    if (g_str_has_prefix(name, TB_TEMPLATE_NEW)) {
        g_autofree char *lock_name = g_strconcat("template-", name + strlen(TB_TEMPLATE_NEW), NULL);
        tb_autofd locks = tb_store_dir("locks", NULL, error);
        tb_autofd lock = locks < 0 ? -1 : tb_lock(locks, lock_name, false, NULL);
        if (lock < 0)
            return locks >= 0;
        g_ptr_array_add(
            found, g_strdup_printf("half-made template: %.12s", name + strlen(TB_TEMPLATE_NEW)));
        return !apply || tb_remove_tree(store, name, error);
    }
    g_ptr_array_add(found, g_strdup_printf("half-removed template: %.18s", name));
    return !apply || tb_remove_tree(store, name, error);
}

static const char *why_useless(const TbTemplate *template, uint64_t max_age)
{
    TbAccel accel = strcmp(template->accel, "kvm") == 0 ? TB_ACCEL_KVM : TB_ACCEL_TCG;
    g_autofree char *machine = tb_box_machine(accel, NULL);
    if (!tb_store_has(template->image_digest))
        return "its image is gone";
    if (machine && strcmp(machine, template->machine) != 0)
        return "made with another QEMU, libvirt or taskbox";
    time_t unused = time(NULL) - template->used;
    if (unused >= 0 && (uint64_t)unused >= max_age)
        return "not used lately";
    return NULL;
}

bool tb_template_gc(uint64_t max_age, bool apply, GPtrArray *found, GError **error)
{
    g_autofree char *path = NULL;
    tb_autofd store = tb_store_dir("templates", &path, error);
    if (store < 0)
        return false;
    g_autoptr(GPtrArray) names = tb_template_names(store);
    for (guint i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        if (!tb_digest_valid(name)) {
            if (!gc_remains(store, name, apply, found, error))
                return false;
            continue;
        }
        g_autofree char *dir = g_build_filename(path, name, NULL);
        g_autoptr(TbTemplate) template = tb_template_manifest_read(dir, name, true, NULL);
        const char *why = template ? why_useless(template, max_age) : "it has changed";
        if (!why)
            continue;
        g_ptr_array_add(found, g_strdup_printf("template %.12s: %s", name, why));
        if (apply && !tb_template_remove(name, error))
            return false;
    }
    return true;
}
