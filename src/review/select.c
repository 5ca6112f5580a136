/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "review/select.h"

#include <string.h>

#include "util/error.h"
#include "util/escape.h"

static bool is_plain(uint32_t mode)
{
    return mode == TB_MODE_FILE || mode == TB_MODE_EXECUTABLE;
}

static void add_unit(TbSelection *selection, guint file, TbUnitKind kind, size_t first,
                     size_t count)
{
    TbUnit unit = {.file = file, .kind = kind, .first_edit = first, .edit_count = count};
    g_array_append_val(selection->units, unit);
}

/* Edits so near that their context touches are one hunk. */
static void add_hunks(TbSelection *selection, guint file, const TbFileDiff *diff)
{
    size_t first = 0;
    for (size_t i = 1; i <= diff->edit_count; i++) {
        const TbEdit *before = &diff->edits[i - 1], *edit = &diff->edits[i];
        if (i < diff->edit_count && edit->a - (before->a + before->a_count) <= 2 * TB_UNIT_CONTEXT)
            continue;
        add_unit(selection, file, TB_UNIT_HUNK, first, i - first);
        first = i;
    }
}

typedef struct {
    TbSelection *selection;
    guint file;
} Filler;

static bool on_file(const TbFileDiff *diff, void *user_data, GError **error)
{
    Filler *filler = user_data;
    guint index = filler->file++;
    const TbPatchFile *file = diff->file;
    bool in_parts = is_plain(file->old_mode) && is_plain(file->new_mode);
    if (in_parts && file->old_mode != file->new_mode)
        add_unit(filler->selection, index, TB_UNIT_MODE, 0, 0);
    if (in_parts && strcmp(file->old_oid, file->new_oid) == 0)
        return true;
    if (in_parts && !diff->binary && !diff->unread)
        add_hunks(filler->selection, index, diff);
    else
        add_unit(filler->selection, index, TB_UNIT_WHOLE, 0, 0);
    return true;
}

TbSelection *tb_selection_new(TbGit *git, const char *base_tree, const char *result_tree,
                              GError **error)
{
    g_autoptr(TbSelection) selection = g_new0(TbSelection, 1);
    selection->git = git;
    selection->base_tree = g_strdup(base_tree);
    selection->result_tree = g_strdup(result_tree);
    selection->units = g_array_new(FALSE, FALSE, sizeof(TbUnit));
    selection->files = tb_patch_files(git, base_tree, result_tree, error);
    Filler filler = {.selection = selection};
    if (!selection->files || !tb_file_diffs_each(git, selection->files, on_file, &filler, error))
        return NULL;
    return g_steal_pointer(&selection);
}

void tb_selection_free(TbSelection *selection)
{
    if (!selection)
        return;
    g_free(selection->base_tree);
    g_free(selection->result_tree);
    g_clear_pointer(&selection->files, g_ptr_array_unref);
    g_clear_pointer(&selection->units, g_array_unref);
    g_free(selection);
}

/* What one file becomes. */
typedef struct {
    const TbPatchFile *file;
    guint first, count; /* units */
    guint accepted;
    bool mode_accepted, whole_mode; /* there is a unit for the mode */
    int64_t mark;                   /* of a new blob, -1: none */
    uint32_t mode;                  /* 0: removed */
    const char *oid;
} Choice;

static GArray *choices_of(const TbSelection *selection)
{
    GArray *choices = g_array_new(FALSE, TRUE, sizeof(Choice));
    for (guint i = 0; i < selection->units->len; i++) {
        const TbUnit *unit = tb_unit(selection, i);
        Choice *last = choices->len ? &g_array_index(choices, Choice, choices->len - 1) : NULL;
        const TbPatchFile *file = selection->files->pdata[unit->file];
        if (!last || last->file != file) {
            Choice fresh = {.file = file, .first = i, .mark = -1};
            g_array_append_val(choices, fresh);
            last = &g_array_index(choices, Choice, choices->len - 1);
        }
        bool accepted = unit->decision == TB_DECISION_ACCEPTED;
        last->count++;
        last->accepted += accepted;
        last->whole_mode |= unit->kind == TB_UNIT_MODE;
        last->mode_accepted |= unit->kind == TB_UNIT_MODE && accepted;
    }
    return choices;
}

static void append_lines(GByteArray *bytes, const TbLines *lines, uint32_t from, uint32_t to)
{
    g_byte_array_append(bytes, lines->text + lines->start[from],
                        lines->start[to] - lines->start[from]);
}

/* The base's lines with the accepted hunks' edits made. */
static GByteArray *merge(const TbSelection *selection, const Choice *choice, const TbFileDiff *diff)
{
    GByteArray *bytes = g_byte_array_new();
    uint32_t at = 0;
    for (guint i = 0; i < choice->count; i++) {
        const TbUnit *unit = tb_unit(selection, choice->first + i);
        bool taken = unit->kind == TB_UNIT_HUNK && unit->decision == TB_DECISION_ACCEPTED;
        for (size_t k = 0; taken && k < unit->edit_count; k++) {
            const TbEdit *edit = &diff->edits[unit->first_edit + k];
            append_lines(bytes, &diff->old_lines, at, edit->a);
            append_lines(bytes, &diff->new_lines, edit->b, edit->b + edit->b_count);
            at = edit->a + edit->a_count;
        }
    }
    append_lines(bytes, &diff->old_lines, at, diff->old_lines.count);
    return bytes;
}

static bool write_merged(const TbSelection *selection, Choice *choice, TbBlobWriter *writer,
                         GError **error)
{
    g_autoptr(TbFileDiff) diff = tb_file_diff_new(selection->git, choice->file, error);
    if (!diff)
        return false;
    g_autoptr(GByteArray) bytes = merge(selection, choice, diff);
    uint32_t mark = 0;
    if (!tb_blob_writer_begin(writer, bytes->len, error) ||
        !tb_blob_writer_data(writer, bytes->data, bytes->len, error) ||
        !tb_blob_writer_end(writer, &mark, error))
        return false;
    choice->mark = mark;
    return true;
}

/* Mode and content of each file of which something was accepted. */
static bool decide(const TbSelection *selection, GArray *choices, GPtrArray **oids, GError **error)
{
    g_autoptr(TbBlobWriter) writer = tb_blob_writer_new(selection->git, error);
    if (!writer)
        return false;
    for (guint i = 0; i < choices->len; i++) {
        Choice *choice = &g_array_index(choices, Choice, i);
        const TbPatchFile *file = choice->file;
        bool all = choice->accepted == choice->count;
        guint hunks = choice->accepted - choice->mode_accepted;
        choice->mode =
            all || choice->mode_accepted || !choice->whole_mode ? file->new_mode : file->old_mode;
        bool all_content = hunks == choice->count - choice->whole_mode;
        choice->oid = hunks > 0 && all_content ? file->new_oid : file->old_oid;
        if (hunks > 0 && !all_content && !write_merged(selection, choice, writer, error))
            return false;
    }
    if (!tb_blob_writer_finish(writer, oids, error))
        return false;
    for (guint i = 0; i < choices->len; i++) {
        Choice *choice = &g_array_index(choices, Choice, i);
        if (choice->mark >= 0)
            choice->oid = (*oids)->pdata[choice->mark];
    }
    return true;
}

static char *write_tree(const TbSelection *selection, const GArray *choices, GError **error)
{
    g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(TbTreeEntry));
    for (guint i = 0; i < choices->len; i++) {
        const Choice *choice = &g_array_index(choices, Choice, i);
        TbTreeEntry entry = {choice->file->path, choice->oid, choice->mode};
        if (choice->accepted > 0)
            g_array_append_val(entries, entry);
    }
    return tb_git_change_tree(selection->git, selection->base_tree,
                              (const TbTreeEntry *)(void *)entries->data, entries->len, error);
}

static const TbPatchFile *find_file(const GPtrArray *files, const char *path)
{
    for (guint i = 0; i < files->len; i++)
        if (strcmp(((TbPatchFile *)files->pdata[i])->path, path) == 0)
            return files->pdata[i];
    return NULL;
}

/* git replaces without a word what stands in the way: the tree must differ from the base in exactly
 * what was chosen. */
static bool check(const TbSelection *selection, const GArray *choices, const char *tree,
                  GError **error)
{
    g_autoptr(GPtrArray) files = tb_patch_raw(selection->git, selection->base_tree, tree, error);
    if (!files)
        return false;
    guint expected = 0;
    for (guint i = 0; i < choices->len; i++) {
        const Choice *choice = &g_array_index(choices, Choice, i);
        if (choice->accepted == 0)
            continue;
        expected++;
        const TbPatchFile *made = find_file(files, choice->file->path);
        if (made && made->new_mode == choice->mode &&
            (choice->mode == 0 || strcmp(made->new_oid, choice->oid) == 0))
            continue;
        g_autofree char *name = tb_escape_name(choice->file->path);
        return tb_error_set(error, TB_ERROR_CONFLICT,
                            "'%s' cannot be taken by itself: accept what makes way for it, too",
                            name);
    }
    return files->len == expected ||
           tb_error_set(error, TB_ERROR_CONFLICT,
                        "what was accepted takes the place of files whose removal was not");
}

char *tb_selection_tree(const TbSelection *selection, GError **error)
{
    g_autoptr(GArray) choices = choices_of(selection);
    g_autoptr(GPtrArray) oids = NULL;
    if (!decide(selection, choices, &oids, error))
        return NULL;
    g_autofree char *tree = write_tree(selection, choices, error);
    if (!tree || !check(selection, choices, tree, error))
        return NULL;
    return g_steal_pointer(&tree);
}
