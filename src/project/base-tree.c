/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The base tree: what `git add -A && git write-tree` would give if git could be trusted with the
 * project, but with the bytes that are on the disk.
 *
 * Which files: those of the index that the scan found, and what `ls-files -o` calls untracked and
 * not ignored. Which content: the index's id where its stat data proves it and no filter is at
 * work, else what is on the disk. What is in the index but is not on the disk for a reason (left
 * out of a sparse checkout, a submodule, unreadable) stays as the index has it.
 */
#include "project/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"

#define MAX_OUTPUT   ((size_t)4 << 30)
#define MAX_EXCLUDES ((size_t)16 << 20)
#define MAX_BLOB     (UINT64_C(2) << 30)
#define TIMEOUT      120

typedef struct {
    TbProject *project;
    TbScan *scan;
    TbGit *git;
    TbIndex *index; /* the scan's */
    char *copy;     /* of the project's index */
    GArray *entries;
    GHashTable *taken; /* paths in `entries` */
    GPtrArray *notes;
} Base;

static void base_clear(Base *base)
{
    if (base->copy)
        (void)unlink(base->copy);
    g_free(base->copy);
    g_array_unref(base->entries);
    g_hash_table_unref(base->taken);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Base, base_clear)

static void note(Base *base, const char *path, const char *reason)
{
    g_autofree char *name = tb_escape_name(path);
    g_ptr_array_add(base->notes, g_strdup_printf("%s: %s", name, reason));
}

static void add(Base *base, const char *path, uint32_t mode, const char *oid, TbItem *item)
{
    if (!g_hash_table_add(base->taken, (char *)path))
        return;
    TbBaseEntry entry = {path, mode, oid, item};
    g_array_append_val(base->entries, entry);
    if (item)
        item->in_base = true;
}

/* As it is on the disk, content to be stored. */
static void add_from_disk(Base *base, TbItem *item)
{
    if (item->size > MAX_BLOB) {
        note(base, item->path, "larger than 2 GiB");
        return;
    }
    uint32_t mode = item->kind == TB_ENTRY_SYMLINK ? TB_MODE_SYMLINK
                    : item->mode & S_IXUSR         ? TB_MODE_EXECUTABLE
                                                   : TB_MODE_FILE;
    add(base, item->path, mode, NULL, item);
}

/* A path of a hostile index must not reach outside or into a .git. */
static bool is_plain(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    for (char **part = parts; *part; part++)
        if (!**part || strcmp(*part, ".") == 0 || strcmp(*part, "..") == 0 ||
            g_ascii_strcasecmp(*part, ".git") == 0)
            return false;
    return true;
}

/* True when the path or a directory above it is on the disk but not in the box. */
static bool left_out(const Base *base, const char *path)
{
    if (g_hash_table_size(base->scan->omitted) == 0)
        return false;
    g_autofree char *part = g_strdup(path);
    for (char *slash; part[0]; *slash = '\0') {
        if (g_hash_table_contains(base->scan->omitted, part))
            return true;
        slash = strrchr(part, '/');
        if (!slash)
            break;
    }
    return false;
}

static void take_absent(Base *base, const TbIndexEntry *entry)
{
    if (entry->stage != 0 || (entry->flags & TB_INDEX_INTENT_TO_ADD))
        return;
    if (left_out(base, entry->path))
        note(base, entry->path, "cannot be read; stays as the index has it");
    else if (!(entry->flags & TB_INDEX_SKIP_WORKTREE))
        return;
    add(base, entry->path, entry->mode, entry->oid, NULL);
}

/* The box does not see it and cannot change it: whatever lies on the disk, it stays as it is. */
static void take_masked(Base *base, const TbIndexEntry *entry)
{
    if (entry->stage == 0 && !(entry->flags & TB_INDEX_INTENT_TO_ADD))
        add(base, entry->path, entry->mode, entry->oid, NULL);
}

static void take_gitlink(Base *base, const TbIndexEntry *entry, TbItem *item)
{
    if (item && item->kind != TB_ENTRY_DIR) {
        add_from_disk(base, item);
    } else if (item || (entry->flags & TB_INDEX_SKIP_WORKTREE)) {
        if (entry->stage == 0)
            add(base, entry->path, entry->mode, entry->oid, NULL);
        note(base, entry->path, "a submodule: stays at the commit that the index has");
    }
}

/* Sorts index entries into taken as they are, absent, from the disk, and clean if no filter is at
 * work. */
static void sort_entries(Base *base, GPtrArray *clean)
{
    unsigned oid_length = tb_git_oid_length(base->git);
    for (guint i = 0; i < base->index->entries->len; i++) {
        TbIndexEntry *entry = &g_array_index(base->index->entries, TbIndexEntry, i);
        TbItem *item = tb_scan_find(base->scan, entry->path);
        if (!is_plain(entry->path))
            note(base, entry->path, "no path for a file; the index is damaged");
        else if (item ? item->mask != 0 : tb_scan_is_masked(base->scan, entry->path))
            take_masked(base, entry);
        else if (entry->mode == TB_MODE_GITLINK)
            take_gitlink(base, entry, item);
        else if (!item || item->ours)
            take_absent(base, entry);
        else if (item->kind == TB_ENTRY_DIR)
            continue;
        else if (!tb_index_entry_clean(base->index, entry, item, oid_length))
            add_from_disk(base, item);
        else if (item->kind == TB_ENTRY_SYMLINK)
            add(base, entry->path, entry->mode, entry->oid, item);
        else
            g_ptr_array_add(clean, entry);
    }
}

static bool take_tracked(Base *base, GError **error)
{
    g_autoptr(GPtrArray) clean = g_ptr_array_new();
    g_autoptr(GPtrArray) filtered = g_ptr_array_new();
    sort_entries(base, clean);
    if (!tb_filtered_entries(base->project, base->scan, base->git, clean, filtered, error))
        return false;
    for (guint i = 0; i < clean->len; i++) {
        const TbIndexEntry *entry = clean->pdata[i];
        add(base, entry->path, entry->mode, entry->oid, tb_scan_find(base->scan, entry->path));
    }
    for (guint i = 0; i < filtered->len; i++)
        add_from_disk(base, tb_scan_find(base->scan, ((TbIndexEntry *)filtered->pdata[i])->path));
    return true;
}

/* A copy of a file of ignore rules at `to` in our git directory; true also when there is none. */
static bool copy_rules(const char *dir, const char *name, TbGit *git, const char *to,
                       GError **error)
{
    tb_autofd from = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autoptr(GBytes) text = from >= 0 ? tb_read_file_at(from, name, MAX_EXCLUDES, NULL) : NULL;
    if (!text)
        return true;
    g_autofree char *info = g_build_filename(tb_git_path(git), "info", NULL);
    if (!tb_make_dirs(info, 0700, error))
        return false;
    tb_autofd fd = open(info, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    gsize size = 0;
    const void *data = g_bytes_get_data(text, &size);
    return tb_write_atomic(fd, to, data, size, 0600, error);
}

static GBytes *list_untracked(Base *base, GError **error)
{
    TbProject *project = base->project;
    if (project->common_dir &&
        !copy_rules(project->common_dir, "info/exclude", base->git, "exclude", error))
        return NULL;
    const char *user = tb_project_user_excludes(project);
    g_autofree char *rules = g_build_filename(tb_git_path(base->git), "info", "user", NULL);
    if (user) {
        g_autofree char *dir = g_path_get_dirname(user);
        g_autofree char *name = g_path_get_basename(user);
        if (!copy_rules(dir, name, base->git, "user", error))
            return NULL;
    }
    g_autoptr(TbCommand) command = tb_git_command(base->git, "ls-files", project->root, base->copy);
    tb_command_add(command, "-z", "-o", NULL);
    if (user && g_file_test(rules, G_FILE_TEST_EXISTS))
        tb_command_add_format(command, "--exclude-from=%s", rules);
    tb_command_add(command, "--exclude-standard", NULL);
    tb_command_set_stdout_limit(command, MAX_OUTPUT);
    tb_command_set_timeout(command, TIMEOUT);
    GBytes *out = NULL;
    return tb_command_run(command, &out, error) ? out : NULL;
}

static bool take_untracked(Base *base, GError **error)
{
    g_autoptr(GBytes) out = list_untracked(base, error);
    if (!out)
        return false;
    gsize size = 0;
    const char *at = g_bytes_get_data(out, &size), *end = at + size;
    for (; at < end; at += strlen(at) + 1) {
        size_t length = strlen(at);
        if (length > 0 && at[length - 1] == '/') {
            g_autofree char *path = g_strndup(at, length - 1);
            note(base, path, "a repository of its own");
            continue;
        }
        TbItem *item = tb_scan_find(base->scan, at);
        if (item && item->kind != TB_ENTRY_DIR && !item->ours)
            add_from_disk(base, item);
    }
    return true;
}

static gint entry_order(gconstpointer a, gconstpointer b)
{
    return strcmp(((const TbBaseEntry *)a)->path, ((const TbBaseEntry *)b)->path);
}

/* True when a directory above `path` is itself an entry. */
static bool under_entry(const Base *base, const char *path)
{
    g_autofree char *part = g_strdup(path);
    for (char *slash = strchr(part, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool found = g_hash_table_contains(base->taken, part);
        *slash = '/';
        if (found)
            return true;
    }
    return false;
}

/* All directories above entries that are on the disk. */
static GHashTable *entry_dirs(const Base *base)
{
    GHashTable *dirs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < base->entries->len; i++) {
        const TbBaseEntry *entry = &g_array_index(base->entries, TbBaseEntry, i);
        g_autofree char *dir = g_path_get_dirname(entry->path);
        while (entry->item && strcmp(dir, ".") != 0 && !g_hash_table_contains(dirs, dir)) {
            char *up = g_path_get_dirname(dir);
            g_hash_table_add(dirs, dir);
            dir = up;
        }
    }
    return dirs;
}

/* What is only in the index gives way to what is on the disk: `a` there, `a/b` here. And a nested
 * repository whose files are the project's own is none. */
static void drop_clashes(Base *base)
{
    g_autoptr(GHashTable) dirs = entry_dirs(base);
    guint kept = 0;
    for (guint i = 0; i < base->entries->len; i++) {
        TbBaseEntry *entry = &g_array_index(base->entries, TbBaseEntry, i);
        if (!entry->item &&
            (g_hash_table_contains(dirs, entry->path) || under_entry(base, entry->path))) {
            note(base, entry->path, "something else is at its place");
            continue;
        }
        g_array_index(base->entries, TbBaseEntry, kept++) = *entry;
    }
    g_array_set_size(base->entries, kept);
    for (guint i = base->scan->nested->len; i-- > 0;)
        if (g_hash_table_contains(dirs, base->scan->nested->pdata[i]))
            g_ptr_array_remove_index(base->scan->nested, i);
}

char *tb_project_base_tree(TbProject *project, TbScan *scan, TbGit *git, const char *index_path,
                           GPtrArray *notes, GError **error)
{
    g_auto(Base) base = {.project = project, .scan = scan, .git = git, .notes = notes};
    base.entries = g_array_new(FALSE, TRUE, sizeof(TbBaseEntry));
    base.taken = g_hash_table_new(g_str_hash, g_str_equal);
    base.copy = tb_scan_index_copy(git);
    base.index = tb_scan_index(scan, git, error);
    if (!base.index || !tb_scan_mask(scan, git, error) || !take_tracked(&base, error) ||
        !take_untracked(&base, error))
        return NULL;
    drop_clashes(&base);
    g_array_sort(base.entries, entry_order);
    return tb_base_write(project, git, index_path, base.entries, notes, error);
}
