/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which directory is the project, and what it is called in the box. */
#include "project/private.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"

#define DEFAULT_ID  1000
#define NAME_LENGTH 64

static char *real_path(const char *path)
{
    char *real = realpath(path, NULL);
    if (!real)
        return NULL;
    char *copy = g_strdup(real);
    free(real);
    return copy;
}

static bool holds(const char *outer, const char *inner)
{
    size_t length = strlen(outer);
    return strncmp(outer, inner, length) == 0 && (inner[length] == '/' || inner[length] == '\0');
}

/* A box gets everything in its project. Home directories and what holds them are no projects. */
static bool refuse_home(const char *root, GError **error)
{
    if (strcmp(root, "/") == 0)
        return tb_error_set(error, TB_ERROR_DENIED,
                            "cannot use '/' as a project (change to the "
                            "project's directory or give it with -C)");
    const struct passwd *user = getpwuid(getuid());
    const char *homes[] = {g_getenv("HOME"), user ? user->pw_dir : NULL};
    for (size_t i = 0; i < G_N_ELEMENTS(homes); i++) {
        g_autofree char *home = homes[i] && *homes[i] ? real_path(homes[i]) : NULL;
        if (home && strcmp(home, "/") != 0 && holds(root, home))
            return tb_error_set(error, TB_ERROR_DENIED,
                                "cannot use '%s' as a project: it holds the home directory (change "
                                "to the project's directory; run 'git init' there if it has no "
                                "repository of its own)",
                                root);
    }
    return true;
}

/* A name that is one plain component everywhere. */
static char *box_name(const char *root)
{
    g_autofree char *base = g_path_get_basename(root);
    GString *name = g_string_new(NULL);
    for (const char *c = base; *c && name->len < NAME_LENGTH; c++) {
        bool plain = g_ascii_isalnum(*c) || *c == '_' || ((*c == '.' || *c == '-') && name->len);
        g_string_append_c(name, plain ? *c : '_');
    }
    return g_string_free(name, FALSE);
}

static void forget_git(TbProject *project)
{
    g_clear_pointer(&project->git_dir, g_free);
    g_clear_pointer(&project->common_dir, g_free);
}

/* Goes up from `dir` to the first directory with a repository. */
static bool find_root(TbProject *project, const char *dir, GError **error)
{
    g_autofree char *at = g_strdup(dir);
    for (;;) {
        bool found = false;
        if (!tb_project_find_git(project, at, &found, error))
            return false;
        if (found) {
            project->root = g_steal_pointer(&at);
            project->subdir = g_strdup(dir + strlen(project->root));
            if (project->subdir[0] == '/')
                memmove(project->subdir, project->subdir + 1, strlen(project->subdir));
            return true;
        }
        if (strcmp(at, "/") == 0)
            break;
        char *up = g_path_get_dirname(at);
        g_free(at);
        at = up;
    }
    forget_git(project);
    project->root = g_strdup(dir);
    project->subdir = g_strdup("");
    return true;
}

static bool take_root(TbProject *project, GError **error)
{
    int fd = open(project->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return tb_error_set_errno(error, errno, "cannot open project '%s'", project->root);
    project->fds[TB_SOURCE_ROOT] = fd;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return tb_error_set_errno(error, errno, "cannot look at project '%s'", project->root);
    project->owner = st.st_uid;
    project->uid = st.st_uid ? st.st_uid : DEFAULT_ID;
    project->gid = st.st_gid ? st.st_gid : DEFAULT_ID;
    project->name = box_name(project->root);
    return true;
}

TbProject *tb_project_open(const char *dir, GError **error)
{
    g_autoptr(TbProject) project = g_new0(TbProject, 1);
    for (int i = 0; i < TB_SOURCE_COUNT; i++)
        project->fds[i] = -1;
    g_autofree char *real = real_path(dir);
    struct stat st;
    if (!real || stat(real, &st) < 0) {
        tb_error_set_errno(error, errno, "cannot open project '%s'", dir);
        return NULL;
    }
    if (!S_ISDIR(st.st_mode)) {
        tb_error_set(error, TB_ERROR_USAGE, "cannot use '%s' as a project: it is no directory",
                     dir);
        return NULL;
    }
    if (!find_root(project, real, error) || !refuse_home(project->root, error) ||
        !take_root(project, error))
        return NULL;
    return g_steal_pointer(&project);
}

void tb_project_free(TbProject *project)
{
    if (!project)
        return;
    for (int i = 0; i < TB_SOURCE_COUNT; i++)
        tb_clear_fd(&project->fds[i]);
    g_free(project->root);
    g_free(project->subdir);
    g_free(project->name);
    g_free(project->git_dir);
    g_free(project->common_dir);
    g_free(project->ref_storage);
    g_free(project->user_excludes);
    g_free(project);
}

const char *tb_project_root(const TbProject *project)
{
    return project->root;
}

const char *tb_project_subdir(const TbProject *project)
{
    return project->subdir;
}

const char *tb_project_name(const TbProject *project)
{
    return project->name;
}

bool tb_project_is_git(const TbProject *project)
{
    return project->git_dir != NULL;
}

const char *tb_project_git_dir(const TbProject *project)
{
    return project->git_dir;
}

const char *tb_project_common_dir(const TbProject *project)
{
    return project->common_dir;
}

bool tb_project_sha256(const TbProject *project)
{
    return project->sha256;
}

uint32_t tb_project_uid(const TbProject *project)
{
    return project->uid;
}

uint32_t tb_project_gid(const TbProject *project)
{
    return project->gid;
}
