/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Filters: line ends, $Id$, encodings, LFS, git-crypt. With one at work a clean index entry names
 * a blob that is not what lies on the disk, and the disk is what the box sees. Two questions find
 * them. Is the blob as long as the file? (Line-end conversions always change the length when they
 * change anything.) Does an attribute name a filter that could keep the length? git is asked for
 * attributes, which runs nothing.
 */
#include "project/private.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"

#define MAX_OUTPUT     ((size_t)2 << 30)
#define MAX_ATTRIBUTES ((size_t)1 << 20)

static TbItem *item_of(TbScan *scan, const TbIndexEntry *entry)
{
    return tb_scan_find(scan, entry->path);
}

/* Blob lengths by one child; what is missing counts as different. */
static bool mark_by_size(TbScan *scan, TbGit *git, const GPtrArray *clean, bool *marks,
                         GError **error)
{
    g_autoptr(GString) input = g_string_new(NULL);
    for (guint i = 0; i < clean->len; i++) {
        g_string_append(input, ((const TbIndexEntry *)clean->pdata[i])->oid);
        g_string_append_c(input, '\n');
    }
    g_autoptr(TbCommand) command = tb_git_command(git, "cat-file", NULL, NULL);
    tb_command_add(command, "--buffer", "--batch-check=%(objecttype) %(objectsize)", NULL);
    tb_command_set_stdin_bytes(command, input->str, input->len);
    tb_command_set_stdout_limit(command, MAX_OUTPUT);
    g_autoptr(GBytes) out = NULL;
    if (!tb_command_run(command, &out, error))
        return false;
    const char *at = g_bytes_get_data(out, NULL);
    for (guint i = 0; i < clean->len; i++) {
        const char *end = strchr(at, '\n');
        if (!end)
            return tb_error_set(error, TB_ERROR_INTERNAL, "git told too few blob sizes");
        uint64_t size =
            g_str_has_prefix(at, "blob ") ? g_ascii_strtoull(at + 5, NULL, 10) : UINT64_MAX;
        marks[i] = size != item_of(scan, clean->pdata[i])->size;
        at = end + 1;
    }
    return true;
}

/* git reads info/attributes in its own directory, where a copy must not stay: it would say how the
 * patch is shown. */
static bool lend_attributes(TbProject *project, TbGit *git, char **lent, GError **error)
{
    g_autofree char *info = g_build_filename(tb_git_path(git), "info", NULL);
    if (!project->common_dir)
        return true;
    tb_autofd from = open(project->common_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    g_autoptr(GBytes) text =
        from >= 0 ? tb_read_file_at(from, "info/attributes", MAX_ATTRIBUTES, NULL) : NULL;
    if (!text)
        return true;
    if (!tb_make_dirs(info, 0700, error))
        return false;
    tb_autofd to = open(info, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    gsize size = 0;
    const void *data = g_bytes_get_data(text, &size);
    *lent = g_build_filename(info, "attributes", NULL);
    return tb_write_atomic(to, "attributes", data, size, 0600, error);
}

static bool parse_attributes(const GPtrArray *clean, bool *marks, GBytes *out, GError **error)
{
    gsize size = 0;
    const char *at = g_bytes_get_data(out, &size), *end = at + size;
    guint i = 0;
    while (at < end) {
        const char *attribute = at + strlen(at) + 1;
        const char *value = attribute < end ? attribute + strlen(attribute) + 1 : end;
        if (value >= end)
            break;
        while (i < clean->len && strcmp(((const TbIndexEntry *)clean->pdata[i])->path, at) != 0)
            i++;
        if (i == clean->len)
            break;
        if (strcmp(value, "unspecified") != 0 && strcmp(value, "unset") != 0)
            marks[i] = true;
        at = value + strlen(value) + 1;
    }
    return at == end ||
           tb_error_set(error, TB_ERROR_INTERNAL, "git's list of attributes is not understood");
}

static bool mark_by_attribute(TbProject *project, TbGit *git, const GPtrArray *clean, bool *marks,
                              GError **error)
{
    g_autoptr(GString) input = g_string_new(NULL);
    for (guint i = 0; i < clean->len; i++) {
        const char *path = ((const TbIndexEntry *)clean->pdata[i])->path;
        g_string_append_len(input, path, (gssize)strlen(path) + 1);
    }
    g_autoptr(TbCommand) command = tb_git_command(git, "check-attr", project->root, NULL);
    tb_command_add(command, "--stdin", "-z", "filter", "ident", "working-tree-encoding", NULL);
    tb_command_set_stdin_bytes(command, input->str, input->len);
    tb_command_set_stdout_limit(command, MAX_OUTPUT);
    g_autofree char *lent = NULL;
    g_autoptr(GBytes) out = NULL;
    bool fine = lend_attributes(project, git, &lent, error) && tb_command_run(command, &out, error);
    if (lent)
        unlink(lent);
    return fine && parse_attributes(clean, marks, out, error);
}

static bool has_attributes(TbProject *project, const TbScan *scan)
{
    g_autofree char *info = project->common_dir
                                ? g_build_filename(project->common_dir, "info", "attributes", NULL)
                                : NULL;
    return scan->has_attributes || (info && g_file_test(info, G_FILE_TEST_EXISTS));
}

bool tb_filtered_entries(TbProject *project, TbScan *scan, TbGit *git, GPtrArray *clean,
                         GPtrArray *filtered, GError **error)
{
    if (clean->len == 0)
        return true;
    g_autofree bool *marks = g_new0(bool, clean->len);
    if (!mark_by_size(scan, git, clean, marks, error))
        return false;
    if (has_attributes(project, scan) && !mark_by_attribute(project, git, clean, marks, error))
        return false;
    guint kept = 0;
    for (guint i = 0; i < clean->len; i++) {
        if (marks[i])
            g_ptr_array_add(filtered, clean->pdata[i]);
        else
            clean->pdata[kept++] = clean->pdata[i];
    }
    g_ptr_array_set_size(clean, (int)kept);
    return true;
}
