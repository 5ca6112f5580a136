/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The base tree of the last run, kept beside the project image.
 *
 * Making a base tree asks git about every file. When a walk over the project finds everything as it
 * was (every path, mode, size, inode and time, the index and the refs among them), the answer is
 * the same, so it is kept: the tree's id, the index that holds it, and the objects that are not the
 * project's own. What decides is one digest over all that the answer was made from.
 *
 * A file that changed in the moment of the walk could change again without its times showing it;
 * with one of those nothing is kept. Nothing here is needed: whatever is wrong with what was kept,
 * the base tree is made anew.
 *
 * Files are copied, never linked: the task's git directory is written by git, which reads hostile
 * bytes, and this directory serves later runs.
 */
#include "project/image-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"

#define FORMAT      1
#define KEPT        "base"
#define NEW         "base.new"
#define RECORD_TYPE "(usssaayaayay)" /* format, boot, key, tree, notes, nested, in_base bits */
#define MAX_RECORD  ((size_t)64 << 20)
#define MAX_RULES   ((size_t)16 << 20)
#define MAX_OBJECTS 1000
#define MAX_BYTES   ((off_t)64 << 20)

/* ---- what the answer depends on */

static void add_number(GChecksum *sum, uint64_t number)
{
    g_checksum_update(sum, (const guchar *)&number, sizeof number);
}

static void add_text(GChecksum *sum, const char *text)
{
    g_checksum_update(sum, (const guchar *)(text ? text : ""), text ? (gssize)strlen(text) + 1 : 1);
}

static void add_item(GChecksum *sum, const TbItem *item)
{
    add_text(sum, item->path);
    if (item->kind == TB_ENTRY_DIR) { /* what is in it tells; its times move with every lock file */
        add_number(sum, item->mode);
        return;
    }
    struct {
        uint64_t kind, size, ino;
        int64_t mtime, mtime_nsec, ctime, ctime_nsec;
    } stat = {((uint64_t)item->kind << 40) | ((uint64_t)item->source << 33) |
                  ((uint64_t)item->ours << 32) | item->mode,
              item->size, item->ino};
    if (!item->ours) { /* else the number is its content's, and the times are of this walk */
        stat.mtime = item->mtime.tv_sec;
        stat.mtime_nsec = item->mtime.tv_nsec;
        stat.ctime = item->ctime.tv_sec;
        stat.ctime_nsec = item->ctime.tv_nsec;
    }
    g_checksum_update(sum, (const guchar *)&stat, sizeof stat);
}

static void add_user_rules(GChecksum *sum, TbProject *project)
{
    const char *path = tb_project_user_excludes(project);
    g_autoptr(GBytes) rules = path ? tb_read_file_at(AT_FDCWD, path, MAX_RULES, NULL) : NULL;
    gsize length = 0;
    const void *data = rules ? g_bytes_get_data(rules, &length) : NULL;
    add_number(sum, length);
    g_checksum_update(sum, data, (gssize)length);
}

static void add_lines(GChecksum *sum, const GPtrArray *lines)
{
    add_number(sum, lines->len);
    for (guint i = 0; i < lines->len; i++)
        add_text(sum, lines->pdata[i]);
}

static char *key_of(const TbScan *scan)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    add_number(sum, scan->project->sha256);
    add_text(sum, scan->rules);
    add_user_rules(sum, scan->project);
    add_lines(sum, scan->left_out);
    add_lines(sum, scan->nested);
    for (guint i = 0; i < scan->items->len; i++)
        add_item(sum, tb_scan_item(scan, i));
    return g_strdup(g_checksum_get_string(sum));
}

static bool has_recent(const TbScan *scan)
{
    for (guint i = 0; i < scan->items->len; i++) {
        const TbItem *item = tb_scan_item(scan, i);
        if (!item->ours && item->kind != TB_ENTRY_DIR &&
            tb_is_recent(item->ctime.tv_sec, (uint32_t)item->ctime.tv_nsec, &scan->started))
            return true;
    }
    return false;
}

/* ---- files */

static bool copy_file(int from_dir, int to_dir, const char *name, off_t *left)
{
    struct stat st;
    tb_autofd from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (from < 0 || fstat(from, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > *left)
        return false;
    *left -= st.st_size;
    tb_autofd to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0)
        return errno == EEXIST; /* an object of this name has this content */
    if (tb_copy_file(from, to, name, NULL) && fchmod(to, st.st_mode & 0777) == 0)
        return true;
    unlinkat(to_dir, name, 0);
    return false;
}

static int open_dir(int dir, const char *name, bool make)
{
    if (make && mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
        return -1;
    return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

typedef struct {
    unsigned objects;
    off_t bytes;
} Budget;

static bool copy_objects(int from, int to, unsigned depth, Budget *left)
{
    int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy >= 0 ? fdopendir(copy) : NULL;
    if (!stream) {
        tb_clear_fd(&copy);
        return false;
    }
    bool fine = true;
    for (struct dirent *entry; fine && (entry = readdir(stream));) {
        const char *name = entry->d_name;
        if (name[0] == '.' || (depth == 0 && strcmp(name, "info") == 0))
            continue;
        if (depth > 0) {
            fine = left->objects-- > 0 && copy_file(from, to, name, &left->bytes);
            continue;
        }
        tb_autofd inner_from = open_dir(from, name, false);
        tb_autofd inner_to = open_dir(to, name, true);
        fine = inner_from >= 0 && inner_to >= 0 && copy_objects(inner_from, inner_to, 1, left);
    }
    closedir(stream);
    return fine;
}

/* The objects of `from` into those of `to`, both directories that have "objects". */
static bool copy_all_objects(int from, int to)
{
    Budget left = {MAX_OBJECTS, MAX_BYTES};
    tb_autofd source = open_dir(from, "objects", false);
    tb_autofd target = open_dir(to, "objects", true);
    return source >= 0 && target >= 0 && copy_objects(source, target, 0, &left);
}

/* ---- the record */

static GVariant *strings_of(const GPtrArray *lines)
{
    GVariantBuilder builder;
    g_variant_builder_init(&builder, G_VARIANT_TYPE("aay"));
    for (guint i = 0; i < lines->len; i++)
        g_variant_builder_add_value(&builder, g_variant_new_bytestring(lines->pdata[i]));
    return g_variant_builder_end(&builder);
}

static GVariant *bits_of(const TbScan *scan)
{
    gsize length = (scan->items->len + 7u) / 8u;
    g_autofree uint8_t *bits = g_malloc0(length + 1);
    for (guint i = 0; i < scan->items->len; i++)
        if (tb_scan_item(scan, i)->in_base)
            bits[i / 8] |= (uint8_t)(1u << i % 8);
    return g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, bits, length, 1);
}

static bool write_record(int dir, const TbScan *scan, const char *key, const char *tree,
                         const GPtrArray *notes)
{
    g_autofree char *boot = tb_boot_id();
    g_autoptr(GVariant) record = g_variant_ref_sink(
        g_variant_new("(usss@aay@aay@ay)", FORMAT, boot, key, tree, strings_of(notes),
                      strings_of(scan->nested), bits_of(scan)));
    tb_autofd fd = openat(dir, "record", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd >= 0 &&
           tb_write_all(fd, g_variant_get_data(record), g_variant_get_size(record), "record", NULL);
}

static GVariant *read_record(int dir)
{
    g_autoptr(GBytes) bytes = tb_read_file_at(dir, "record", MAX_RECORD, NULL);
    if (!bytes)
        return NULL;
    GVariant *record =
        g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE(RECORD_TYPE), bytes, FALSE));
    if (!g_variant_is_normal_form(record))
        g_clear_pointer(&record, g_variant_unref);
    return record;
}

static void take_strings(GVariant *strings, GPtrArray *into)
{
    for (gsize i = 0; i < g_variant_n_children(strings); i++) {
        g_autoptr(GVariant) text = g_variant_get_child_value(strings, i);
        g_ptr_array_add(into, g_strdup(g_variant_get_bytestring(text)));
    }
}

/* ---- keep and find */

static char *find(int dir, TbScan *scan, const char *key, TbGit *git, const char *index_path,
                  GPtrArray *notes)
{
    tb_autofd kept = open_dir(dir, KEPT, false);
    tb_autofd git_dir = open(tb_git_path(git), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autoptr(GVariant) record = kept >= 0 && git_dir >= 0 ? read_record(kept) : NULL;
    if (!record)
        return NULL;
    g_autofree char *here = tb_boot_id();
    g_autoptr(GVariant) lines = NULL;
    g_autoptr(GVariant) nested = NULL;
    g_autoptr(GVariant) bits = NULL;
    const char *boot, *its_key, *tree;
    guint32 format;
    g_variant_get(record, "(u&s&s&s@aay@aay@ay)", &format, &boot, &its_key, &tree, &lines, &nested,
                  &bits);
    gsize length = 0;
    const uint8_t *bytes = g_variant_get_fixed_array(bits, &length, 1);
    if (format != FORMAT || strcmp(boot, here) != 0 || strcmp(its_key, key) != 0 ||
        length != (scan->items->len + 7u) / 8u || !copy_all_objects(kept, git_dir) ||
        (unlink(index_path) < 0 && errno != ENOENT) ||
        !tb_copy_new(kept, "index", AT_FDCWD, index_path, NULL))
        return NULL;
    take_strings(lines, notes);
    g_ptr_array_set_size(scan->nested, 0);
    take_strings(nested, scan->nested);
    for (guint i = 0; i < scan->items->len; i++)
        tb_scan_item(scan, i)->in_base = bytes[i / 8] >> i % 8 & 1;
    return g_strdup(tree);
}

static bool keep(int dir, const TbScan *scan, const char *key, TbGit *git, const char *index_path,
                 const char *tree, const GPtrArray *notes)
{
    if (!tb_remove_tree(dir, NEW, NULL))
        return false;
    tb_autofd made = open_dir(dir, NEW, true);
    tb_autofd git_dir = open(tb_git_path(git), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool whole = made >= 0 && git_dir >= 0 && copy_all_objects(git_dir, made) &&
                 tb_copy_new(AT_FDCWD, index_path, made, "index", NULL) &&
                 write_record(made, scan, key, tree, notes);
    return whole && tb_remove_tree(dir, KEPT, NULL) && renameat(dir, NEW, dir, KEPT) == 0;
}

void tb_base_forget(int dir)
{
    (void)tb_remove_tree(dir, NEW, NULL);
    (void)tb_remove_tree(dir, KEPT, NULL);
}

char *tb_project_base(TbProjectImage *image, TbScan *scan, TbGit *git, const char *index_path,
                      GPtrArray *notes, GError **error)
{
    TbProject *project = scan->project;
    int dir = tb_project_image_dir(image);
    if (dir < 0)
        return tb_project_base_tree(project, scan, git, index_path, notes, error);
    if (!tb_scan_mask(scan, git, error))
        return NULL;
    g_autofree char *key = key_of(scan);
    tb_autofd lock = tb_lock(dir, "lock", true, error);
    if (lock < 0)
        return NULL;
    g_autofree char *known = find(dir, scan, key, git, index_path, notes);
    tb_clear_fd(&lock);
    if (known)
        return g_steal_pointer(&known);
    g_autofree char *tree = tb_project_base_tree(project, scan, git, index_path, notes, error);
    if (!tree || has_recent(scan))
        return g_steal_pointer(&tree);
    lock = tb_lock(dir, "lock", true, NULL);
    if (lock >= 0 && !keep(dir, scan, key, git, index_path, tree, notes)) {
        tb_verbose("the base tree is not kept for the next task");
        tb_base_forget(dir);
    }
    return g_steal_pointer(&tree);
}
