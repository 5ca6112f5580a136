/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the project's objects are. Objects are found by their id only, so borrowing from a
 * directory gives nothing away; still only the user's own are taken, and each is named to git by
 * us: in git's jail nothing else is there to be followed to.
 */
#include "project/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/fs.h"

#define MAX_DEPTH      5 /* git's own */
#define MAX_ALTERNATES 32
#define MAX_FILE       ((size_t)1 << 20)

typedef struct {
    const TbProject *project;
    GPtrArray *paths;
} Collect;

static bool known(const Collect *collect, const char *path)
{
    for (guint i = 0; i < collect->paths->len; i++)
        if (strcmp(collect->paths->pdata[i], path) == 0)
            return true;
    return false;
}

static void add_directory(Collect *collect, const char *path, unsigned depth);

static void add_line(Collect *collect, const char *objects, const char *line, unsigned depth)
{
    size_t length = strlen(line);
    g_autofree char *text = NULL;
    if (length == 0 || line[0] == '#')
        return;
    if (length >= 2 && line[0] == '"' && line[length - 1] == '"') {
        g_autofree char *quoted = g_strndup(line + 1, length - 2);
        text = g_strcompress(quoted);
    } else {
        text = g_strdup(line);
    }
    g_autofree char *full =
        g_path_is_absolute(text) ? g_strdup(text) : g_build_filename(objects, text, NULL);
    char *real = realpath(full, NULL);
    if (real)
        add_directory(collect, real, depth + 1);
    free(real);
}

static void add_directory(Collect *collect, const char *path, unsigned depth)
{
    if (depth > MAX_DEPTH || collect->paths->len >= MAX_ALTERNATES || known(collect, path))
        return;
    tb_autofd fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 ||
        (st.st_uid != geteuid() && st.st_uid != collect->project->owner))
        return;
    g_ptr_array_add(collect->paths, g_strdup(path));
    g_autoptr(GBytes) bytes = tb_read_file_at(fd, "info/alternates", MAX_FILE, NULL);
    if (!bytes)
        return;
    g_auto(GStrv) lines = g_strsplit(g_bytes_get_data(bytes, NULL), "\n", -1);
    for (char **line = lines; *line; line++)
        add_line(collect, path, *line, depth);
}

char **tb_project_alternates(TbProject *project, GError **error)
{
    Collect collect = {project, g_ptr_array_new()};
    if (project->common_dir) {
        g_autofree char *objects = g_build_filename(project->common_dir, "objects", NULL);
        add_directory(&collect, objects, 0);
    }
    g_ptr_array_add(collect.paths, NULL);
    return (char **)g_ptr_array_free(collect.paths, FALSE);
}
