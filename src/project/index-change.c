/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The project's index with other entries at some paths: git makes it of a copy in our own
 * directory, so that versions and extensions are git's business, and the caller puts it in place.
 * The new entries come without stat data; the next `git status` fills them in.
 */
#include "project/repository.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "project/private.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"

#define COPY_NAME  "taskbox-project-index"
#define FILE_LIMIT ((size_t)2 << 30)

static void drift_add(GPtrArray *drift, const char *path, const char *what, const char *since)
{
    g_autofree char *name = tb_escape_name(path);
    g_ptr_array_add(drift, g_strdup_printf("'%s' %s%s", name, what, since));
}

/* Paths to entries; stage 0 hides none of the others. */
static GHashTable *by_path(const TbIndex *index)
{
    GHashTable *table = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < index->entries->len; i++) {
        TbIndexEntry *entry = &g_array_index(index->entries, TbIndexEntry, i);
        if (!g_hash_table_contains(table, entry->path))
            g_hash_table_insert(table, entry->path, entry);
    }
    return table;
}

static void compare(const TbIndex *index, const TbIndexChange *changes, size_t count,
                    const char *since, GPtrArray *drift)
{
    g_autoptr(GHashTable) table = by_path(index);
    for (size_t i = 0; i < count; i++) {
        const TbIndexEntry *entry = g_hash_table_lookup(table, changes[i].path);
        if (!entry && changes[i].old_mode)
            drift_add(drift, changes[i].path, "is not in the index", "");
        else if (entry && entry->stage)
            drift_add(drift, changes[i].path, "is not merged in the index", "");
        else if (entry && !changes[i].old_mode)
            drift_add(drift, changes[i].path, "is in the index already", "");
        else if (entry && (entry->mode != changes[i].old_mode ||
                           strcmp(entry->oid, changes[i].old_oid) != 0 ||
                           (entry->flags & TB_INDEX_INTENT_TO_ADD)))
            drift_add(drift, changes[i].path, "is in the index with other content than ", since);
    }
}

/* Removals first: a file may become a directory. */
static GString *lines(const TbIndexChange *changes, size_t count, unsigned oid_length)
{
    GString *out = g_string_new(NULL);
    g_autofree char *zeros = g_strnfill(oid_length, '0');
    for (size_t i = 0; i < count; i++) {
        g_string_append_printf(out, "0 %s\t%s", zeros, changes[i].path);
        g_string_append_c(out, '\0');
    }
    for (size_t i = 0; i < count; i++) {
        if (!changes[i].new_mode)
            continue;
        g_string_append_printf(out, "%o %s\t%s", changes[i].new_mode, changes[i].new_oid,
                               changes[i].path);
        g_string_append_c(out, '\0');
    }
    return out;
}

static GBytes *read_bytes(const char *dir, const char *name, GError **error)
{
    tb_autofd fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        tb_error_set_errno(error, errno, "cannot open '%s'", dir);
        return NULL;
    }
    return tb_read_file_at(fd, name, FILE_LIMIT, error);
}

static bool read_old(const TbProject *project, GBytes **old, GError **error)
{
    g_autoptr(GError) why = NULL;
    *old = read_bytes(project->git_dir, "index", &why);
    if (*old || tb_error_code(why) == TB_ERROR_NOT_FOUND)
        return true;
    g_propagate_error(error, g_steal_pointer(&why));
    return false;
}

static GBytes *change(TbGit *git, const char *copy, const TbIndexChange *changes, size_t count,
                      GError **error)
{
    g_autoptr(GString) text = lines(changes, count, tb_git_oid_length(git));
    g_autoptr(TbCommand) command = tb_git_command(git, "update-index", NULL, copy);
    tb_command_add(command, "-z", "--index-info", NULL);
    tb_command_set_stdin_bytes(command, text->str, text->len);
    return tb_command_run(command, NULL, error) ? read_bytes(tb_git_path(git), COPY_NAME, error)
                                                : NULL;
}

/* update-index drops paths that it does not like, and those that are in the way of others, and says
 * nothing. */
static bool check(TbGit *git, const char *copy, const TbIndexChange *changes, size_t count,
                  size_t entries, GError **error)
{
    g_autoptr(TbCommand) command = tb_git_command(git, "ls-files", NULL, copy);
    tb_command_add(command, "-s", "-z", NULL);
    tb_command_set_stdout_limit(command, FILE_LIMIT);
    g_autoptr(GBytes) out = NULL;
    if (!tb_command_run(command, &out, error))
        return false;
    g_autoptr(GHashTable) there = g_hash_table_new(g_str_hash, g_str_equal);
    gsize size = 0;
    const char *at = g_bytes_get_data(out, &size), *end = at + size;
    for (; at < end; at += strlen(at) + 1, entries--) {
        const char *tab = strchr(at, '\t');
        if (tab)
            g_hash_table_insert(there, (char *)(uintptr_t)tab + 1, (char *)(uintptr_t)at);
    }
    for (size_t i = 0; i < count; i++) {
        const char *line = g_hash_table_lookup(there, changes[i].path);
        entries += (changes[i].new_mode != 0) - (changes[i].old_mode != 0);
        g_autofree char *wanted =
            g_strdup_printf("%06o %s 0\t", changes[i].new_mode, changes[i].new_oid);
        if (changes[i].new_mode ? line && g_str_has_prefix(line, wanted) : !line)
            continue;
        g_autofree char *name = tb_escape_name(changes[i].path);
        return tb_error_set(error, TB_ERROR_INTERNAL, "git's index does not take '%s'", name);
    }
    return entries == 0 || tb_error_set(error, TB_ERROR_CONFLICT,
                                        "cannot change the index: a path of the patch is a "
                                        "directory there, or has a file above it");
}

bool tb_project_change_index(TbProject *project, TbGit *git, const TbIndexChange *changes,
                             size_t count, const char *since, GBytes **old, GBytes **fresh,
                             GPtrArray *drift, GError **error)
{
    *old = *fresh = NULL;
    if (!project->git_dir)
        return tb_error_set(
            error, TB_ERROR_UNSUPPORTED,
            "the project '%s' has no git repository (run 'git init' there, or apply "
            "to the files only)",
            project->root);
    g_autofree char *copy = g_build_filename(tb_git_path(git), COPY_NAME, NULL);
    g_autoptr(GBytes) before = NULL, after = NULL;
    guint had = drift->len;
    if (!read_old(project, &before, error))
        return false;
    g_autoptr(TbIndex) index = tb_index_read(project, git, copy, error);
    if (!index)
        return false;
    compare(index, changes, count, since, drift);
    bool done = true;
    if (drift->len == had) {
        after = change(git, copy, changes, count, error);
        done = after && check(git, copy, changes, count, index->entries->len, error);
    }
    (void)unlink(copy);
    if (!done)
        return false;
    *old = g_steal_pointer(&before);
    *fresh = g_steal_pointer(&after);
    return true;
}
