/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's list and its files' bytes, taken in. Every entry is hostile: its path is judged
 * first (patch/path.h), a path that may not be is kept as a note only, and so is all below it,
 * because every reason to refuse a path holds for what lies below, too. The entry still counts, so
 * that list indices stay the guest's. Limits are held when sizes are announced and again when
 * bytes come.
 */
#include "patch/changes-private.h"

#include <string.h>

#include "patch/path.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/hole.h"

/* All paths and link targets together: 1e5 names of 4 KB are an attack, not a project. */
#define NAMES_LIMIT   ((uint64_t)128 << 20)
#define REFUSED_NOTES 200

const TbPatchLimits tb_patch_limits_default = {
    .max_bytes = (uint64_t)4 << 30,
    .max_entries = 1000000,
    .max_patch = (uint64_t)512 << 20,
};

TbChanges *tb_changes_new(TbGit *git, const char *base_index, TbBaseList *list,
                          const char *base_tree, const char *excludes_file,
                          const char *info_exclude, const TbPatchLimits *limits, GError **error)
{
    g_autoptr(TbChanges) changes = g_new0(TbChanges, 1);
    changes->git = git;
    changes->limits = limits ? *limits : tb_patch_limits_default;
    changes->base_index = g_strdup(base_index);
    changes->base_tree = g_strdup(base_tree);
    changes->excludes_file = g_strdup(excludes_file);
    changes->info_exclude = g_strdup(info_exclude);
    changes->items = g_array_new(FALSE, TRUE, sizeof(Item));
    changes->wanted = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    changes->strings = g_string_chunk_new(64 * 1024);
    changes->notes = g_ptr_array_new_with_free_func(g_free);
    changes->ignored = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    changes->left_out = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    changes->masked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    changes->lost_deletes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    changes->base = tb_base_new(git, base_index, list, error);
    return changes->base ? g_steal_pointer(&changes) : NULL;
}

void tb_changes_free(TbChanges *changes)
{
    if (!changes)
        return;
    g_clear_pointer(&changes->writer, tb_blob_writer_free);
    g_clear_pointer(&changes->base, tb_base_free);
    g_clear_pointer(&changes->items, g_array_unref);
    g_clear_pointer(&changes->wanted, g_array_unref);
    g_clear_pointer(&changes->strings, g_string_chunk_free);
    g_clear_pointer(&changes->files, g_ptr_array_unref);
    g_clear_pointer(&changes->notes, g_ptr_array_unref);
    g_clear_pointer(&changes->ignored, g_hash_table_unref);
    g_clear_pointer(&changes->left_out, g_hash_table_unref);
    g_clear_pointer(&changes->masked, g_hash_table_unref);
    g_clear_pointer(&changes->lost_deletes, g_hash_table_unref);
    g_free(changes->order);
    g_free(changes->base_index);
    g_free(changes->base_tree);
    g_free(changes->excludes_file);
    g_free(changes->info_exclude);
    g_free(changes);
}

void tb_changes_leave_out(TbChanges *changes, const char *dir)
{
    g_hash_table_insert(changes->left_out, g_strdup(dir), NULL);
}

void tb_changes_mask(TbChanges *changes, const char *path)
{
    size_t first = 0, count = tb_base_below(changes->base, path, &first);
    TbBaseEntry *entry = tb_base_find(changes->base, path, strlen(path));
    g_hash_table_insert(changes->masked, g_strdup(path), NULL);
    if (entry)
        entry->masked = true;
    for (size_t i = first; i < first + count; i++)
        changes->base->entries[i].masked = true;
}

const GPtrArray *tb_changes_notes(const TbChanges *changes)
{
    return changes->notes;
}

void changes_note(TbChanges *changes, const char *path, size_t length, const char *text)
{
    /* A refused path can be megabytes of anything. */
    bool cut = length > TB_PATH_MAX_LENGTH;
    g_autofree char *name = tb_escape_terminal(path, cut ? 256 : length, false);
    g_ptr_array_add(changes->notes, g_strdup_printf("'%s%s': %s", name, cut ? "..." : "", text));
}

void changes_refuse(TbChanges *changes, const char *path, size_t length, const char *reason)
{
    if (changes->notes->len >= REFUSED_NOTES) {
        changes->refused_over++;
        return;
    }
    g_autofree char *text = g_strdup_printf("not carried: %s", reason);
    changes_note(changes, path, length, text);
}

/* "x/.git" as a directory says that x is a repository of its own; true when that was noted. */
static bool note_nested_repository(TbChanges *changes, const TbEntry *entry)
{
    static const char suffix[] = "/.git";
    size_t tail = sizeof suffix - 1;
    bool directory = entry->kind == TB_ENTRY_DIR || entry->kind == TB_ENTRY_REPLACE;
    if (!directory || entry->path_length <= tail ||
        memcmp(entry->path + entry->path_length - tail, suffix, tail) != 0 ||
        tb_path_check(entry->path, entry->path_length - tail) != TB_PATH_OK)
        return false;
    if (changes->notes->len >= REFUSED_NOTES)
        changes->refused_over++;
    else
        changes_note(changes, (const char *)entry->path, entry->path_length - tail,
                     "a nested repository: its files are carried, its history is not");
    return true;
}

static bool is_own_git_dir(const TbEntry *entry)
{
    return entry->kind == TB_ENTRY_DIR && entry->path_length == 4 &&
           memcmp(entry->path, ".git", 4) == 0;
}

static bool names_fit(TbChanges *changes, const TbEntry *entry, GError **error)
{
    changes->path_bytes += entry->path_length + entry->target_length;
    if (changes->items->len >= changes->limits.max_entries && !tb_hole("export-limit"))
        return tb_error_set(error, TB_ERROR_LIMIT,
                            "cannot take the box's changes: more than %u changed paths",
                            changes->limits.max_entries);
    if (changes->path_bytes > NAMES_LIMIT)
        return tb_error_set(error, TB_ERROR_LIMIT,
                            "cannot take the box's changes: more than %u MiB of path names",
                            (unsigned)(NAMES_LIMIT >> 20));
    return true;
}

static bool fill_target(TbChanges *changes, const TbEntry *entry, Item *item)
{
    if (!tb_path_target_ok(entry->target, entry->target_length)) {
        changes_refuse(changes, item->path, entry->path_length,
                       "a symbolic link with an impossible target");
        return false;
    }
    if (tb_path_has_gitmodules(entry->path, entry->path_length)) {
        changes_refuse(changes, item->path, entry->path_length, "'.gitmodules' as a symbolic link");
        return false;
    }
    item->target = g_string_chunk_insert_len(changes->strings, (const char *)entry->target,
                                             (gssize)entry->target_length);
    item->size = entry->target_length;
    return true;
}

bool tb_changes_add(const TbEntry *entry, void *data, GError **error)
{
    TbChanges *changes = data;
    if (changes->settled)
        return tb_error_set(error, TB_ERROR_INTERNAL, "the list of changes is closed");
    if (entry->kind < TB_ENTRY_FILE || entry->kind > TB_ENTRY_OTHER)
        return tb_error_set(error, TB_ERROR_GUEST, "the box sent an entry of unknown kind %d",
                            (int)entry->kind);
    if (!names_fit(changes, entry, error))
        return false;
    Item item = {.kind = (uint8_t)entry->kind, .fate = FATE_REFUSED, .size = entry->size};
    const char *path = (const char *)entry->path;
    TbPathVerdict verdict = tb_path_check(entry->path, entry->path_length);
    if ((verdict == TB_PATH_DEEP && tb_hole("path-depth")) ||
        (verdict == TB_PATH_GIT && tb_hole("path-git")))
        verdict = TB_PATH_OK;
    if (verdict == TB_PATH_OK) {
        item.path = g_string_chunk_insert_len(changes->strings, path, (gssize)entry->path_length);
        item.executable = (entry->mode & 0100) != 0;
        if (entry->kind != TB_ENTRY_SYMLINK || fill_target(changes, entry, &item))
            item.fate = FATE_OPEN;
    } else if (!is_own_git_dir(entry) && !note_nested_repository(changes, entry)) {
        changes_refuse(changes, path, entry->path_length, tb_path_reason(verdict));
    }
    g_array_append_val(changes->items, item);
    return true;
}

bool tb_changes_wanted(TbChanges *changes, const uint32_t **indices, size_t *count, GError **error)
{
    if (!changes->settled && !changes_settle(changes, error))
        return false;
    *indices = (const uint32_t *)(const void *)changes->wanted->data;
    *count = changes->wanted->len;
    return true;
}

bool tb_changes_file_begin(uint32_t index, uint64_t size, void *data, GError **error)
{
    TbChanges *changes = data;
    if (changes->in_file || changes->next_wanted >= changes->wanted->len ||
        g_array_index(changes->wanted, uint32_t, changes->next_wanted) != index)
        return tb_error_set(error, TB_ERROR_GUEST, "the box sent file %u, which was not asked for",
                            index);
    Item *item = changes_item(changes, index);
    if (item->size != size) {
        g_autofree char *name = tb_escape_name(item->path);
        return tb_error_set(error, TB_ERROR_GUEST,
                            "the box sent '%s' with another size than it had named", name);
    }
    if (!changes->writer)
        changes->writer = tb_blob_writer_new(changes->git, error);
    if (!changes->writer || !tb_blob_writer_begin(changes->writer, size, error))
        return false;
    changes->in_file = true;
    changes->file_left = size;
    return true;
}

bool tb_changes_file_bytes(const uint8_t *bytes, size_t length, void *data, GError **error)
{
    TbChanges *changes = data;
    if (!changes->in_file || length > changes->file_left)
        return tb_error_set(error, TB_ERROR_GUEST, "the box sent more bytes than a file has");
    changes->file_left -= length;
    changes->bytes_seen += length;
    if (changes->bytes_seen > changes->limits.max_bytes)
        return tb_error_set(error, TB_ERROR_LIMIT,
                            "cannot take the box's changes: more bytes than the limit");
    return tb_blob_writer_data(changes->writer, bytes, length, error);
}

bool tb_changes_file_end(uint32_t index, void *data, GError **error)
{
    TbChanges *changes = data;
    if (!changes->in_file || changes->file_left > 0 ||
        g_array_index(changes->wanted, uint32_t, changes->next_wanted) != index)
        return tb_error_set(error, TB_ERROR_GUEST, "the box ended file %u too early", index);
    changes->in_file = false;
    changes->next_wanted++;
    return tb_blob_writer_end(changes->writer, &changes_item(changes, index)->mark, error);
}
