/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is the disk what the base tree says, for each path the patch touches? By blob id, kind and
 * executable bit: a patch whose context would still fit somewhere is no patch for this tree.
 *
 * A path that must not be there may be a directory all of whose files the patch removes (a
 * directory becomes a file), or lie below a file that the patch removes (a file becomes a
 * directory). Anything else in such a place is drift.
 */
#include "review/apply-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"
#include "util/hole.h"

static void drift_add(GPtrArray *drift, const char *path, const char *what)
{
    g_autofree char *name = tb_escape_name(path);
    g_ptr_array_add(drift, g_strdup_printf("'%s' %s", name, what));
}

/* Is what was found what one side says (mode 0: not there)? */
static bool matches(const Look *look, uint32_t mode, const char *oid)
{
    switch (mode) {
    case 0:
        return look->kind == LOOK_ABSENT || look->kind == LOOK_BLOCKED || look->kind == LOOK_DIR;
    case TB_MODE_FILE:
    case TB_MODE_EXECUTABLE:
        return look->kind == LOOK_FILE && strcmp(look->oid, oid) == 0 &&
               ((look->st.st_mode & 0100) != 0) == (mode == TB_MODE_EXECUTABLE);
    case TB_MODE_SYMLINK:
        return look->kind == LOOK_LINK && strcmp(look->oid, oid) == 0;
    default:
        return false;
    }
}

/* NULL: it is of the right kind, but not the same. */
static const char *describe(const Survey *survey, const TbPatchFile *file, const Look *look)
{
    bool is_result = matches(look, file->new_mode, file->new_oid);
    if (file->old_mode == 0)
        return is_result ? "is there already, as the patch makes it"
                         : "is in the way: the patch makes a new file there";
    switch (look->kind) {
    case LOOK_ABSENT:
    case LOOK_BLOCKED:
        return "is gone";
    case LOOK_DIR:
        return "is a directory now";
    case LOOK_OTHER:
        return "is no file any more";
    case LOOK_FILE:
    case LOOK_LINK:
        break;
    }
    if (is_result)
        return survey->restore ? "is already as it was before the apply"
                               : "is already as the patch makes it";
    if ((look->kind == LOOK_LINK) != (file->old_mode == TB_MODE_SYMLINK))
        return look->kind == LOOK_LINK ? "is a symbolic link now" : "is no symbolic link any more";
    return NULL;
}

static void drift_file(const Survey *survey, const TbPatchFile *file, const Look *look,
                       GPtrArray *drift)
{
    const char *text = describe(survey, file, look);
    g_autofree char *same_kind =
        text ? NULL
             : g_strdup_printf("has %s than %s",
                               strcmp(look->oid, file->old_oid) == 0 ? "another executable bit"
                                                                     : "other content",
                               survey->since);
    drift_add(drift, file->path, text ? text : same_kind);
}

static bool is_removed(const Survey *survey, const char *path)
{
    const TbPatchFile *file = g_hash_table_lookup(survey->by_path, path);
    return file && file->old_mode != 0 && file->new_mode == 0;
}

static bool clear_dir(Survey *survey, const char *path, GPtrArray *drift, GError **error);

static bool clear_entry(Survey *survey, const char *path, GPtrArray *drift, GError **error)
{
    Look look;
    if (!look_at(survey->root, path, 0, &look, error))
        return false;
    if (look.kind == LOOK_DIR)
        return clear_dir(survey, path, drift, error);
    if (!is_removed(survey, path))
        drift_add(drift, path, "is in the way: the patch makes a file of its directory");
    return true;
}

/* Notes a directory that must go, and those below it; files in them that the patch does not remove
 * are drift. */
static bool clear_dir(Survey *survey, const char *path, GPtrArray *drift, GError **error)
{
    g_hash_table_add(survey->cleared, g_strdup(path));
    tb_autofd fd = tb_open_beneath(survey->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        g_autofree char *name = tb_escape_name(path);
        return tb_error_set_errno(error, errno, "cannot read '%s'", name);
    }
    tb_steal_fd(&fd);
    bool done = true;
    for (struct dirent *entry; done && (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        g_autofree char *child = g_strconcat(path, "/", entry->d_name, NULL);
        if (strlen(child) > 4096)
            done = tb_error_set(error, TB_ERROR_LIMIT, "a directory in the way is too deep");
        else
            done = clear_entry(survey, child, drift, error);
    }
    closedir(dir);
    return done;
}

/* A path that is not in the base: may its place be taken? */
static bool check_place(Survey *survey, const TbPatchFile *file, const Look *look, GPtrArray *drift,
                        GError **error)
{
    if (look->kind == LOOK_DIR)
        return clear_dir(survey, file->path, drift, error);
    if (look->kind == LOOK_BLOCKED) {
        g_autofree char *parent = g_strndup(file->path, look->blocked_at);
        if (!is_removed(survey, parent))
            drift_add(drift, parent, "is no directory, but the patch makes files below it");
    }
    return true;
}

bool survey_take(Survey *survey, bool *base, bool *result, GPtrArray *drift, GError **error)
{
    *base = *result = true;
    for (guint i = 0; i < survey->files->len; i++) {
        const TbPatchFile *file = survey->files->pdata[i];
        Look look;
        if (!look_at(survey->root, file->path, survey->oid_length, &look, error))
            return false;
        g_array_append_val(survey->looks, look);
        *result &= matches(&look, file->new_mode, file->new_oid);
        if (tb_hole("apply-blob-id"))
            continue;
        if (!matches(&look, file->old_mode, file->old_oid))
            drift_file(survey, file, &look, drift);
        else if (file->old_mode == 0 && !check_place(survey, file, &look, drift, error))
            return false;
    }
    *base = drift->len == 0;
    return true;
}

/* Adds all parent directories of `path` to a set. */
static void add_parents(GHashTable *set, const char *path)
{
    g_autofree char *parent = g_strdup(path);
    for (char *slash; (slash = strrchr(parent, '/'));) {
        *slash = '\0';
        if (!g_hash_table_add(set, g_strdup(parent)))
            return;
    }
}

static GHashTable *path_set(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

/* Directories that the removals may leave empty, children first. */
static bool plan_rmdirs(const Survey *survey, Plan *plan, GHashTable *needed, GError **error)
{
    g_autoptr(GHashTable) set = path_set();
    GHashTableIter iter;
    gpointer key;
    for (guint i = 0; i < survey->files->len; i++) {
        const TbPatchFile *file = survey->files->pdata[i];
        if (file->new_mode == 0)
            add_parents(set, file->path);
    }
    g_hash_table_iter_init(&iter, survey->cleared);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        g_hash_table_add(set, g_strdup(key));
    g_autoptr(GList) paths = g_list_sort(g_hash_table_get_keys(set), (GCompareFunc)strcmp);
    for (GList *at = g_list_last(paths); at; at = at->prev) {
        Look look;
        if (g_hash_table_contains(needed, at->data))
            continue;
        if (!look_at(survey->root, at->data, 0, &look, error))
            return false;
        if (look.kind != LOOK_DIR)
            continue;
        plan_add(plan, STEP_RMDIR, at->data)->st = look.st;
        if (survey->record)
            tb_undo_add_mode(survey->record, at->data, true, look.st.st_mode);
    }
    return true;
}

/* Directories that are not there yet, parents first. */
static bool plan_mkdirs(const Survey *survey, Plan *plan, GHashTable *needed, GError **error)
{
    g_autoptr(GList) paths = g_list_sort(g_hash_table_get_keys(needed), (GCompareFunc)strcmp);
    for (GList *at = paths; at; at = at->next) {
        Look look;
        if (!look_at(survey->root, at->data, 0, &look, error))
            return false;
        if (look.kind == LOOK_DIR && survey->record)
            tb_undo_add_mode(survey->record, at->data, true, look.st.st_mode);
        if (look.kind == LOOK_DIR)
            continue;
        Step *step = plan_add(plan, STEP_MKDIR, at->data);
        step->st = (struct stat){0};
        if (survey->restore)
            step->st.st_mode = tb_undo_mode(survey->restore, at->data, true, 0);
    }
    return true;
}

/* Directories that were there before an apply that is taken back. */
static void need_restored(const Survey *survey, GHashTable *needed)
{
    GHashTableIter iter;
    gpointer key;
    if (!survey->restore)
        return;
    g_hash_table_iter_init(&iter, survey->restore->modes);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        size_t length = strlen(key);
        if (((const char *)key)[length - 1] == '/')
            g_hash_table_add(needed, g_strndup(key, length - 1));
    }
}

bool survey_plan(const Survey *survey, Plan *plan, GError **error)
{
    g_autoptr(GHashTable) needed = path_set();
    for (guint i = 0; i < survey->files->len; i++) {
        const TbPatchFile *file = survey->files->pdata[i];
        if (file->new_mode)
            add_parents(needed, file->path);
        if (!file->old_mode)
            continue;
        Step *step = plan_add(plan, STEP_BACKUP, file->path);
        step->number = i;
        step->st = g_array_index(survey->looks, Look, i).st;
        if (survey->record && file->old_mode != TB_MODE_SYMLINK)
            tb_undo_add_mode(survey->record, file->path, false, step->st.st_mode);
    }
    need_restored(survey, needed);
    if (!plan_rmdirs(survey, plan, needed, error) || !plan_mkdirs(survey, plan, needed, error))
        return false;
    for (guint i = 0; i < survey->files->len; i++) {
        const TbPatchFile *file = survey->files->pdata[i];
        if (file->new_mode)
            plan_add(plan, STEP_PLACE, file->path)->number = i;
    }
    return true;
}
