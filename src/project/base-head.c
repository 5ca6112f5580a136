/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * HEAD, read by our own code: it saves work (unchanged directories need not be made into trees
 * again) and nothing depends on it, so every oddity is simply "no HEAD".
 */
#include "project/private.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/fs.h"

#define MAX_LINKS  5
#define SMALL_FILE ((size_t)65536)
#define MAX_PACKED ((size_t)256 << 20)

static char *read_file(const char *dir, const char *name, size_t limit)
{
    tb_autofd fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    g_autoptr(GBytes) bytes = fd >= 0 ? tb_read_file_at(fd, name, limit, NULL) : NULL;
    return bytes ? g_strdup(g_bytes_get_data(bytes, NULL)) : NULL;
}

static bool is_oid(const char *text, unsigned length)
{
    return strspn(text, "0123456789abcdef") >= length &&
           (text[length] == '\0' || g_ascii_isspace(text[length]));
}

static char *packed_ref(const TbProject *project, const char *name, unsigned oid_length)
{
    g_autofree char *text = read_file(project->common_dir, "packed-refs", MAX_PACKED);
    g_autofree char *tail = g_strdup_printf(" %s\n", name);
    for (const char *at = text; at && (at = strstr(at, tail)); at++) {
        const char *start = at - oid_length;
        if (start >= text && (start == text || start[-1] == '\n') && is_oid(start, oid_length))
            return g_strndup(start, oid_length);
    }
    return NULL;
}

char *tb_project_head(const TbProject *project, unsigned oid_length)
{
    if (!project->git_dir)
        return NULL;
    g_autofree char *text = read_file(project->git_dir, "HEAD", SMALL_FILE);
    for (int i = 0; text && i < MAX_LINKS; i++) {
        g_strchomp(text);
        if (is_oid(text, oid_length))
            return g_strndup(text, oid_length);
        if (!g_str_has_prefix(text, "ref: refs/"))
            return NULL;
        g_autofree char *name = g_strdup(g_strchug(text + strlen("ref:")));
        g_free(text);
        text = read_file(project->common_dir, name, SMALL_FILE);
        if (!text)
            return packed_ref(project, name, oid_length);
    }
    return NULL;
}
