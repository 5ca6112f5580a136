/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a list of paths to a tree.
 *
 * Contents that have no id yet are read (by descriptor, checked against the scan before and after)
 * and stored. The index starts as HEAD's tree where there is one: git then knows the trees of all
 * directories that stay as they are, from objects whose names prove their content. It is corrected
 * to the list, and read back whole: update-index drops paths it does not like, and says nothing.
 */
#include "project/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"
#include "util/interrupt.h"

#define BUFFER       (1u << 18)
#define MAX_OUTPUT   ((size_t)4 << 30)
#define HEAD_TIMEOUT 60

static bool changed(const TbItem *item, GError **error)
{
    g_autofree char *name = tb_escape_name(item->path);
    return tb_error_set(error, TB_ERROR_BUSY,
                        "cannot record '%s': it changed while the task was starting (run it again)",
                        name);
}

static bool store_file(TbProject *project, const TbItem *item, TbBlobWriter *writer,
                       uint8_t *buffer, GError **error)
{
    struct stat st;
    tb_autofd fd = tb_item_open(project, item, &st, error);
    if (fd < 0)
        return false;
    if (!tb_item_same(item, &st))
        return changed(item, error);
    if (!tb_blob_writer_begin(writer, item->size, error))
        return false;
    for (uint64_t left = item->size; left > 0;) {
        ssize_t n = read(fd, buffer, (size_t)MIN(left, BUFFER));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return changed(item, error);
        if (!tb_blob_writer_data(writer, buffer, (size_t)n, error))
            return false;
        left -= (uint64_t)n;
    }
    return (fstat(fd, &st) == 0 && tb_item_same(item, &st)) || changed(item, error);
}

static bool store_item(TbProject *project, const TbItem *item, TbBlobWriter *writer,
                       uint8_t *buffer, GError **error)
{
    uint32_t mark;
    if (item->kind != TB_ENTRY_SYMLINK)
        return store_file(project, item, writer, buffer, error) &&
               tb_blob_writer_end(writer, &mark, error);
    return tb_blob_writer_begin(writer, item->size, error) &&
           tb_blob_writer_data(writer, item->text, item->size, error) &&
           tb_blob_writer_end(writer, &mark, error);
}

/* Stores what has no id; *oids owns the new ids. */
static bool store_contents(TbProject *project, TbGit *git, GArray *entries, GPtrArray **oids,
                           GError **error)
{
    g_autoptr(TbBlobWriter) writer = NULL;
    g_autofree uint8_t *buffer = g_malloc(BUFFER);
    for (guint i = 0; i < entries->len; i++) {
        const TbBaseEntry *entry = &g_array_index(entries, TbBaseEntry, i);
        if (entry->oid)
            continue;
        if (!writer && !(writer = tb_blob_writer_new(git, error)))
            return false;
        if (!store_item(project, entry->item, writer, buffer, error) || !tb_interrupt_check(error))
            return false;
    }
    if (!writer)
        return true;
    if (!tb_blob_writer_finish(writer, oids, error))
        return false;
    guint next = 0;
    for (guint i = 0; i < entries->len; i++) {
        TbBaseEntry *entry = &g_array_index(entries, TbBaseEntry, i);
        if (!entry->oid)
            entry->oid = (*oids)->pdata[next++];
    }
    return true;
}

/* HEAD's tree as the index to start from. Nothing is wrong when it cannot be had. */
static bool start_from_head(TbProject *project, TbGit *git, const char *index_path, GError **error)
{
    (void)unlink(index_path);
    g_autofree char *head = tb_project_head(project, tb_git_oid_length(git));
    if (!head)
        return true;
    g_autoptr(TbCommand) command = tb_git_command(git, "read-tree", NULL, index_path);
    tb_command_add(command, head, NULL);
    tb_command_set_timeout(command, HEAD_TIMEOUT);
    g_autoptr(GBytes) out = NULL;
    if (!tb_command_run(command, &out, NULL)) {
        g_autofree char *lock = g_strdup_printf("%s.lock", index_path);
        (void)unlink(index_path);
        (void)unlink(lock);
    }
    return tb_interrupt_check(error);
}

/* The index, as "MODE OID STAGE\tPATH" with a NUL byte after each. */
static GBytes *list_index(TbGit *git, const char *index_path, GError **error)
{
    g_autoptr(TbCommand) command = tb_git_command(git, "ls-files", NULL, index_path);
    tb_command_add(command, "-s", "-z", NULL);
    tb_command_set_stdout_limit(command, MAX_OUTPUT);
    GBytes *out = NULL;
    return tb_command_run(command, &out, error) ? out : NULL;
}

typedef struct {
    const char *at, *end, *path;
    char head[80]; /* "MODE OID STAGE" */
} Listing;

static Listing listing(GBytes *bytes)
{
    gsize size = 0;
    const char *data = g_bytes_get_data(bytes, &size);
    return (Listing){.at = data, .end = data + size};
}

static bool listing_next(Listing *list)
{
    const char *tab = list->at < list->end ? strchr(list->at, '\t') : NULL;
    list->path = NULL;
    if (!tab || (size_t)(tab - list->at) >= sizeof list->head)
        return false;
    memcpy(list->head, list->at, (size_t)(tab - list->at));
    list->head[tab - list->at] = '\0';
    list->path = tab + 1;
    list->at = list->path + strlen(list->path) + 1;
    return true;
}

static void append_line(GString *out, unsigned mode, const char *oid, const char *path)
{
    g_string_append_printf(out, "%o %s\t", mode, oid);
    g_string_append_len(out, path, (gssize)strlen(path) + 1);
}

/* Removals first, then additions, from the index that is there to the list that should be. */
static GString *corrections(GBytes *there, GArray *entries, unsigned oid_length)
{
    GString *removed = g_string_new(NULL);
    g_autoptr(GString) added = g_string_new(NULL);
    g_autofree char *zeros = g_strnfill(oid_length, '0');
    Listing list = listing(there);
    bool more = listing_next(&list);
    for (guint i = 0; more || i < entries->len;) {
        const TbBaseEntry *entry =
            i < entries->len ? &g_array_index(entries, TbBaseEntry, i) : NULL;
        int order = !more ? 1 : !entry ? -1 : strcmp(list.path, entry->path);
        char head[80] = "";
        if (order >= 0)
            g_snprintf(head, sizeof head, "%06o %s 0", entry->mode, entry->oid);
        if (order < 0)
            append_line(removed, 0, zeros, list.path);
        else if (order > 0 || strcmp(head, list.head) != 0)
            append_line(added, entry->mode, entry->oid, entry->path);
        if (order <= 0)
            more = listing_next(&list);
        if (order >= 0)
            i++;
    }
    g_string_append_len(removed, added->str, (gssize)added->len);
    return removed;
}

/* Gives back what the index holds then. */
static GBytes *correct(TbGit *git, const char *index_path, GArray *entries, GError **error)
{
    g_autoptr(GBytes) there = list_index(git, index_path, error);
    if (!there)
        return NULL;
    g_autoptr(GString) info = corrections(there, entries, tb_git_oid_length(git));
    if (info->len == 0 && g_file_test(index_path, G_FILE_TEST_EXISTS))
        return g_steal_pointer(&there);
    g_autoptr(TbCommand) command = tb_git_command(git, "update-index", NULL, index_path);
    tb_command_add(command, "-z", "--index-info", NULL);
    tb_command_set_stdin_bytes(command, info->str, info->len);
    return tb_command_run(command, NULL, error) ? list_index(git, index_path, error) : NULL;
}

/* The index holds the list, but for paths that git refuses to carry: these are noted. */
static bool verify(GBytes *there, GArray *entries, GPtrArray *notes, GError **error)
{
    Listing list = listing(there);
    bool more = listing_next(&list);
    for (guint i = 0; i < entries->len; i++) {
        const TbBaseEntry *entry = &g_array_index(entries, TbBaseEntry, i);
        char head[80];
        g_snprintf(head, sizeof head, "%06o %s 0", entry->mode, entry->oid);
        if (more && strcmp(list.path, entry->path) == 0 && strcmp(list.head, head) == 0) {
            more = listing_next(&list);
            continue;
        }
        if (more && strcmp(list.path, entry->path) <= 0)
            return tb_error_set(error, TB_ERROR_INTERNAL,
                                "the base tree's index is not what it "
                                "was told to be");
        g_autofree char *name = tb_escape_name(entry->path);
        g_ptr_array_add(notes, g_strdup_printf("%s: git carries no file of this name", name));
        if (entry->item)
            entry->item->in_base = false;
    }
    return !more || tb_error_set(error, TB_ERROR_INTERNAL, "the base tree's index holds too much");
}

char *tb_base_write(TbProject *project, TbGit *git, const char *index_path, GArray *entries,
                    GPtrArray *notes, GError **error)
{
    g_autoptr(GPtrArray) oids = NULL;
    if (!store_contents(project, git, entries, &oids, error) ||
        !start_from_head(project, git, index_path, error))
        return NULL;
    g_autoptr(GBytes) there = correct(git, index_path, entries, error);
    if (!there || !verify(there, entries, notes, error))
        return NULL;
    g_autoptr(TbCommand) command = tb_git_command(git, "write-tree", NULL, index_path);
    tb_command_add(command, "--missing-ok", NULL);
    return tb_git_run_oid(git, command, error);
}
