/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Branches as files: loose ones, and packed-refs where there is no loose one. */
#include "project/repository.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "project/private.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"

#define SMALL_FILE ((size_t)65536)
#define MAX_PACKED ((size_t)256 << 20)

void tb_ref_free(TbRef *ref)
{
    if (!ref)
        return;
    g_free(ref->name);
    g_free(ref->dir);
    g_free(ref->oid);
    g_clear_pointer(&ref->loose, g_bytes_unref);
    g_free(ref);
}

static bool check_storage(const TbProject *project, GError **error)
{
    if (!project->git_dir)
        return tb_error_set(
            error, TB_ERROR_UNSUPPORTED,
            "the project '%s' has no git repository (run 'git init' there, or apply "
            "to the files only)",
            project->root);
    if (!project->ref_storage || g_ascii_strcasecmp(project->ref_storage, "files") == 0)
        return true;
    g_autofree char *name = tb_escape_name(project->ref_storage);
    return tb_error_set(error, TB_ERROR_UNSUPPORTED,
                        "cannot write branches of '%s': they are kept as '%s' (use --index, and "
                        "commit with git)",
                        project->root, name);
}

/* *bytes stays NULL when there is no such file. */
static bool read_file(const char *dir, const char *name, size_t limit, GBytes **bytes,
                      GError **error)
{
    g_autoptr(GError) why = NULL;
    tb_autofd fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return tb_error_set_errno(error, errno, "cannot open '%s'", dir);
    *bytes = tb_read_file_at(fd, name, limit, &why);
    if (*bytes || tb_error_code(why) == TB_ERROR_NOT_FOUND)
        return true;
    g_propagate_prefixed_error(error, g_steal_pointer(&why), "in '%s': ", dir);
    return false;
}

static unsigned oid_length(const TbProject *project)
{
    return project->sha256 ? 64 : 40;
}

static bool is_oid_line(const char *text, unsigned length)
{
    return strspn(text, "0123456789abcdef") == length &&
           (text[length] == '\0' || g_ascii_isspace(text[length]));
}

/* The line of packed-refs that holds the branch, NULL when none does. */
static const char *packed_line(const TbProject *project, const char *text, const char *name)
{
    unsigned length = oid_length(project);
    g_autofree char *tail = g_strdup_printf(" %s\n", name);
    for (const char *at = text; (at = strstr(at, tail)); at++) {
        const char *start = at - length;
        if (start >= text && (start == text || start[-1] == '\n') && is_oid_line(start, length))
            return start;
    }
    return NULL;
}

static bool read_packed(const TbProject *project, TbRef *ref, GError **error)
{
    g_autoptr(GBytes) packed = NULL;
    if (!read_file(project->common_dir, "packed-refs", MAX_PACKED, &packed, error))
        return false;
    const char *line =
        packed ? packed_line(project, g_bytes_get_data(packed, NULL), ref->name) : NULL;
    ref->oid = line ? g_strndup(line, oid_length(project)) : NULL;
    return true;
}

TbRef *tb_project_ref(const TbProject *project, const char *name, GError **error)
{
    if (!check_storage(project, error))
        return NULL;
    g_autoptr(TbRef) ref = g_new0(TbRef, 1);
    ref->name = g_strdup(name);
    ref->dir = g_strdup(strcmp(name, "HEAD") == 0 ? project->git_dir : project->common_dir);
    if (!read_file(ref->dir, name, SMALL_FILE, &ref->loose, error))
        return NULL;
    if (!ref->loose)
        return read_packed(project, ref, error) ? g_steal_pointer(&ref) : NULL;
    const char *text = g_bytes_get_data(ref->loose, NULL);
    if (!is_oid_line(text, oid_length(project))) {
        g_autofree char *shown = tb_escape_name(name);
        tb_error_set(error, TB_ERROR_UNSUPPORTED,
                     "cannot write '%s' of '%s': it names no commit itself", shown, project->root);
        return NULL;
    }
    ref->oid = g_strndup(text, oid_length(project));
    return g_steal_pointer(&ref);
}

TbRef *tb_project_current(const TbProject *project, GError **error)
{
    g_autoptr(GBytes) head = NULL;
    if (!check_storage(project, error) ||
        !read_file(project->git_dir, "HEAD", SMALL_FILE, &head, error))
        return NULL;
    g_autofree char *text = g_strdup(head ? g_bytes_get_data(head, NULL) : "");
    g_strchomp(text);
    if (!g_str_has_prefix(text, "ref:"))
        return tb_project_ref(project, "HEAD", error);
    const char *name = g_strchug(text + strlen("ref:"));
    if (g_str_has_prefix(name, "refs/heads/") && !strstr(name, ".."))
        return tb_project_ref(project, name, error);
    g_autofree char *shown = tb_escape_name(name);
    tb_error_set(error, TB_ERROR_UNSUPPORTED, "HEAD of '%s' is on no branch but on '%s'",
                 project->root, shown);
    return NULL;
}

static bool exists(const char *name, GError **error)
{
    g_autofree char *shown = tb_escape_name(name + strlen("refs/heads/"));
    return tb_error_set(error, TB_ERROR_EXISTS,
                        "there is a branch '%s' already (choose another "
                        "name)",
                        shown);
}

/* "a" and "a/b" cannot both be. */
bool tb_project_ref_is_free(const TbProject *project, const char *name, GError **error)
{
    size_t start = strlen("refs/heads/");
    for (const char *slash = name + start; slash; slash = strchr(slash + 1, '/')) {
        g_autofree char *part =
            slash == name + start ? g_strdup(name) : g_strndup(name, (gsize)(slash - name));
        g_autoptr(TbRef) ref = NULL;
        g_autofree char *dir =
            g_build_filename(project->common_dir ? project->common_dir : "/", part, NULL);
        if (strcmp(part, name) == 0 && g_file_test(dir, G_FILE_TEST_IS_DIR))
            return exists(name, error);
        if (strcmp(part, name) != 0 && g_file_test(dir, G_FILE_TEST_IS_DIR))
            continue;
        ref = tb_project_ref(project, part, error);
        if (!ref)
            return false;
        if (ref->oid)
            return exists(part, error);
    }
    g_autoptr(GBytes) packed = NULL;
    if (!read_file(project->common_dir, "packed-refs", MAX_PACKED, &packed, error))
        return false;
    g_autofree char *below = g_strdup_printf(" %s/", name);
    return !packed || !strstr(g_bytes_get_data(packed, NULL), below) || exists(name, error);
}

static bool head_is_on(const char *dir, const char *name)
{
    g_autoptr(GBytes) head = NULL;
    if (!read_file(dir, "HEAD", SMALL_FILE, &head, NULL) || !head)
        return false;
    g_autofree char *text = g_strdup(g_bytes_get_data(head, NULL));
    g_strchomp(text);
    return g_str_has_prefix(text, "ref:") && strcmp(g_strchug(text + strlen("ref:")), name) == 0;
}

bool tb_project_ref_in_use(const TbProject *project, const char *name)
{
    if (!project->git_dir || head_is_on(project->git_dir, name) ||
        head_is_on(project->common_dir, name))
        return true;
    g_autofree char *worktrees = g_build_filename(project->common_dir, "worktrees", NULL);
    g_autoptr(GDir) dir = g_dir_open(worktrees, 0, NULL);
    for (const char *entry; dir && (entry = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(worktrees, entry, NULL);
        if (head_is_on(path, name))
            return true;
    }
    return false;
}

bool tb_project_packed_without(const TbProject *project, const char *name, GBytes **old,
                               GBytes **fresh, GError **error)
{
    *old = *fresh = NULL;
    g_autoptr(GBytes) packed = NULL;
    if (!read_file(project->common_dir, "packed-refs", MAX_PACKED, &packed, error))
        return false;
    const char *text = packed ? g_bytes_get_data(packed, NULL) : NULL;
    const char *line = text ? packed_line(project, text, name) : NULL;
    if (!line)
        return true;
    const char *rest = strchr(line, '\n') + 1;
    if (*rest == '^') /* what a tag leads to */
        rest += strcspn(rest, "\n") + 1;
    g_autoptr(GString) out = g_string_new_len(text, line - text);
    g_string_append(out, rest);
    *old = g_steal_pointer(&packed);
    *fresh = g_string_free_to_bytes(g_steal_pointer(&out));
    return true;
}

const char *tb_project_unfinished(const TbProject *project)
{
    static const char *const signs[][2] = {
        {"MERGE_HEAD", "merge"},    {"CHERRY_PICK_HEAD", "cherry-pick"}, {"REVERT_HEAD", "revert"},
        {"rebase-merge", "rebase"}, {"rebase-apply", "rebase"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(signs); i++) {
        g_autofree char *path = g_build_filename(project->git_dir, signs[i][0], NULL);
        if (g_file_test(path, G_FILE_TEST_EXISTS))
            return signs[i][1];
    }
    return NULL;
}
