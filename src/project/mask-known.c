/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a kept image knows of masks. A path's verdict by rules is the same as long as the rules are,
 * and whether git tracks it as long as the index is; both are in the image's manifest. So nothing
 * is asked again about a project that has not changed.
 */
#include "project/private.h"

#include <string.h>

static bool has_rules(const TbScan *scan)
{
    return scan->ignore_file || scan->project->exclude;
}

/* What the entry, which may be NULL, knows of the item; false when something is left to ask. */
static bool take_entry(const TbScan *scan, const TbManifestEntry *entry, bool index_same,
                       TbItem *item)
{
    bool same_kind = entry && (entry->kind == TB_ENTRY_DIR) == (item->kind == TB_ENTRY_DIR);
    if (same_kind) {
        item->mask |= entry->mask & TB_MASK_RULES;
        item->known |= TB_MASK_RULES;
    }
    if (same_kind && index_same)
        item->mask |= entry->mask;
    /* Which other names a file has is nothing that an old list could know. */
    if (item->linked && (item->mask || item->listed))
        return false;
    return same_kind ? index_same || (!item->mask && !item->listed)
                     : !has_rules(scan) && !item->listed;
}

void tb_scan_mask_known(TbScan *scan, const TbManifest *manifest)
{
    if (scan->masks_done || strcmp(scan->rules, manifest->rules) != 0)
        return;
    bool index_same = *scan->index_state && strcmp(scan->index_state, manifest->index) == 0;
    bool complete = !(scan->project->include && scan->listed);
    const char *inside = NULL;
    guint at = 0;
    for (guint i = 1; i < scan->items->len; i++) {
        TbItem *item = tb_scan_item(scan, i);
        if (tb_path_in_git(item->path) || (inside && tb_path_is_beneath(item->path, inside)))
            continue;
        const TbManifestEntry *entry = NULL;
        int order = -1;
        for (; at < manifest->entries->len; at++) {
            entry = &g_array_index(manifest->entries, TbManifestEntry, at);
            order = tb_path_order(entry->path, item->path);
            if (order >= 0)
                break;
        }
        complete &= take_entry(scan, order == 0 ? entry : NULL, index_same, item);
        inside = item->mask && item->kind == TB_ENTRY_DIR ? item->path : NULL;
    }
    if (complete)
        tb_scan_carry_out(scan);
}

bool tb_manifest_fits(const TbManifest *manifest, const TbScan *scan)
{
    if (strcmp(manifest->rules, scan->rules) != 0 ||
        manifest->no_history != tb_scan_without_history(scan))
        return false;
    if (scan->masked->len == 0)
        return true;
    for (guint i = 0; i < manifest->entries->len; i++) {
        const TbManifestEntry *entry = &g_array_index(manifest->entries, TbManifestEntry, i);
        int64_t inode = (int64_t)entry->ino;
        bool elsewhere = tb_path_in_git(entry->path) && !scan->project->git_inside;
        if (entry->kind == TB_ENTRY_DIR || entry->mask || elsewhere)
            continue;
        if (tb_scan_is_masked(scan, entry->path) ||
            g_hash_table_contains(scan->masked_inodes, &inode))
            return false;
    }
    return true;
}
