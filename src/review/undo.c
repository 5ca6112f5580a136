/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The record of an apply as a file: fields that end with a NUL byte, as in the journal. */
#include "review/undo.h"

#include <stdlib.h>
#include <string.h>

#include "patch/path.h"
#include "util/error.h"
#include "util/fields.h"

#define MAGIC     "taskbox undo 2"
#define MAGIC_OLD "taskbox undo 1" /* of files only */

TbUndo *tb_undo_new(const char *from, const char *to)
{
    TbUndo *undo = g_new0(TbUndo, 1);
    undo->from = g_strdup(from);
    undo->to = g_strdup(to);
    undo->modes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return undo;
}

TbUndo *tb_undo_copy(const TbUndo *undo, const char *to)
{
    TbUndo *copy = tb_undo_new(undo->from, to);
    copy->reached = undo->reached;
    tb_undo_set_ref(copy, undo->ref, undo->ref_from, undo->ref_to);
    GHashTableIter iter;
    gpointer path, mode;
    g_hash_table_iter_init(&iter, undo->modes);
    while (g_hash_table_iter_next(&iter, &path, &mode))
        g_hash_table_insert(copy->modes, g_strdup(path), mode);
    return copy;
}

void tb_undo_set_ref(TbUndo *undo, const char *ref, const char *from, const char *to)
{
    g_free(undo->ref);
    g_free(undo->ref_from);
    g_free(undo->ref_to);
    undo->ref = g_strdup(ref);
    undo->ref_from = g_strdup(from);
    undo->ref_to = g_strdup(to);
}

void tb_undo_free(TbUndo *undo)
{
    if (!undo)
        return;
    g_free(undo->from);
    g_free(undo->to);
    g_free(undo->ref);
    g_free(undo->ref_from);
    g_free(undo->ref_to);
    g_hash_table_unref(undo->modes);
    g_free(undo);
}

static char *key_of(const char *path, bool directory)
{
    return g_strconcat(path, directory ? "/" : "", NULL);
}

void tb_undo_add_mode(TbUndo *undo, const char *path, bool directory, uint32_t mode)
{
    g_autofree char *key = key_of(path, directory);
    if (!g_hash_table_contains(undo->modes, key))
        g_hash_table_insert(undo->modes, g_steal_pointer(&key), GUINT_TO_POINTER(mode & 07777));
}

uint32_t tb_undo_mode(const TbUndo *undo, const char *path, bool directory, uint32_t otherwise)
{
    g_autofree char *key = key_of(path, directory);
    gpointer mode = NULL;
    return g_hash_table_lookup_extended(undo->modes, key, NULL, &mode) ? GPOINTER_TO_UINT(mode)
                                                                       : otherwise;
}

GBytes *tb_undo_format(const TbUndo *undo)
{
    GByteArray *out = g_byte_array_new();
    GHashTableIter iter;
    gpointer path, mode;
    tb_field_put(out, MAGIC);
    tb_field_put(out, undo->from);
    tb_field_put(out, undo->to);
    tb_field_put_format(out, "%d", undo->reached);
    tb_field_put(out, undo->ref);
    tb_field_put(out, undo->ref_from);
    tb_field_put(out, undo->ref_to);
    g_hash_table_iter_init(&iter, undo->modes);
    while (g_hash_table_iter_next(&iter, &path, &mode)) {
        tb_field_put_format(out, "%o", GPOINTER_TO_UINT(mode));
        tb_field_put(out, path);
    }
    tb_field_put(out, "end");
    return g_byte_array_free_to_bytes(out);
}

static bool take_mode(TbUndo *undo, const char *digits, const char *path)
{
    size_t length = path ? strlen(path) : 0;
    bool directory = length > 0 && path[length - 1] == '/';
    g_autofree char *name = g_strndup(path ? path : "", directory ? length - 1 : length);
    char *rest = NULL;
    unsigned long mode = strtoul(digits, &rest, 8);
    if (tb_path_check((const uint8_t *)name, strlen(name)) != TB_PATH_OK || *rest || mode > 07777)
        return false;
    tb_undo_add_mode(undo, name, directory, (uint32_t)mode);
    return true;
}

static bool take_reached(TbUndo *undo, const char **at, const char *end)
{
    const char *reached = tb_field_take(at, end), *ref = tb_field_take(at, end),
               *from = tb_field_take(at, end);
    const char *to = tb_field_take(at, end);
    if (!to || !strchr("0123", *reached) || !*reached || reached[1])
        return false;
    undo->reached = (TbApplyTo)(*reached - '0');
    bool has_ref = undo->reached >= TB_APPLY_TO_COMMIT;
    if (has_ref != (*ref != '\0') || has_ref != tb_is_oid(to) || (*from && !tb_is_oid(from)))
        return false;
    if (has_ref)
        tb_undo_set_ref(undo, ref, *from ? from : NULL, to);
    return true;
}

TbUndo *tb_undo_parse(GBytes *bytes, GError **error)
{
    gsize size = 0;
    const char *at = g_bytes_get_data(bytes, &size), *end = size ? at + size : at;
    const char *magic = tb_field_take(&at, end), *from = tb_field_take(&at, end),
               *to = tb_field_take(&at, end);
    g_autoptr(TbUndo) undo = NULL;
    if (to && tb_is_oid(from) && tb_is_oid(to) &&
        (strcmp(magic, MAGIC) == 0 || strcmp(magic, MAGIC_OLD) == 0))
        undo = tb_undo_new(from, to);
    if (undo && strcmp(magic, MAGIC) == 0 && !take_reached(undo, &at, end))
        g_clear_pointer(&undo, tb_undo_free);
    for (const char *field; undo && (field = tb_field_take(&at, end));) {
        if (strcmp(field, "end") == 0)
            return g_steal_pointer(&undo);
        if (!take_mode(undo, field, tb_field_take(&at, end)))
            break;
    }
    tb_error_set(error, TB_ERROR_INTERNAL, "cannot read the record of the apply");
    return NULL;
}
