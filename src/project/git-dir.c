/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finding the repository of a directory without asking git, which would believe it.
 *
 * ROOT/.git is a directory, or a file (or link) that leads to a git directory elsewhere: a linked
 * worktree, a submodule, `git init --separate-git-dir`. What is elsewhere will be copied into the
 * box, so a project that came out of an archive could name any repository of the user's and have
 * it handed out. Therefore an outside git directory must itself point back at ROOT: a linked
 * worktree by <common>/worktrees/NAME/gitdir, all others by core.worktree. A project cannot forge
 * that, for it does not write outside of itself.
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

#define SMALL_FILE  65536
#define CONFIG_FILE ((size_t)4 << 20)

bool tb_is_git_dir(int dirfd)
{
    struct stat st;
    return fstatat(dirfd, "HEAD", &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode) &&
           (faccessat(dirfd, "commondir", F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
            (fstatat(dirfd, "objects", &st, 0) == 0 && S_ISDIR(st.st_mode) &&
             fstatat(dirfd, "refs", &st, 0) == 0 && S_ISDIR(st.st_mode)));
}

static char *real_path(const char *path)
{
    char *real = realpath(path, NULL);
    if (!real)
        return NULL;
    char *copy = g_strdup(real);
    free(real);
    return copy;
}

/* The first line of a small file, NULL when it cannot be read. */
static char *read_line(int dirfd, const char *name)
{
    g_autoptr(GBytes) bytes = tb_read_file_at(dirfd, name, SMALL_FILE, NULL);
    if (!bytes)
        return NULL;
    char *text = g_strdup(g_bytes_get_data(bytes, NULL));
    g_strchomp(text);
    return text;
}

/* `path` taken from `base` when it is relative, without links. */
static char *resolve(const char *base, const char *path)
{
    g_autofree char *full =
        g_path_is_absolute(path) ? g_strdup(path) : g_build_filename(base, path, NULL);
    return real_path(full);
}

static bool is_beneath(const char *path, const char *root)
{
    size_t length = strlen(root);
    return strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* <common>/worktrees/NAME is git_dir, and its "gitdir" file names ROOT/.git. */
static bool worktree_points_back(const char *root, const char *git_dir, const char *common, int fd)
{
    g_autofree char *parent = g_path_get_dirname(git_dir);
    g_autofree char *worktrees = g_build_filename(common, "worktrees", NULL);
    g_autofree char *line = read_line(fd, "gitdir");
    if (strcmp(parent, worktrees) != 0 || !line)
        return false;
    g_autofree char *dir = g_path_get_dirname(line);
    g_autofree char *target = resolve(git_dir, dir);
    return target && strcmp(target, root) == 0;
}

static bool config_points_back(const char *root, const char *git_dir, const char *config)
{
    g_autofree char *worktree = config ? tb_git_config_value(config, "core", "worktree") : NULL;
    g_autofree char *target = worktree ? resolve(git_dir, worktree) : NULL;
    return target && strcmp(target, root) == 0;
}

static char *read_config(int fd)
{
    g_autoptr(GBytes) bytes = tb_read_file_at(fd, "config", CONFIG_FILE, NULL);
    return bytes ? g_strdup(g_bytes_get_data(bytes, NULL)) : NULL;
}

static bool refuse(GError **error, const char *root, const char *git_dir, const char *why)
{
    return tb_error_set(error, TB_ERROR_DENIED,
                        "cannot use the repository of '%s': its git "
                        "directory '%s' %s",
                        root, git_dir, why);
}

static bool check_owner(TbProject *project, const char *root, const char *path, int fd,
                        GError **error)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return tb_error_set_errno(error, errno, "cannot look at '%s'", path);
    if (st.st_uid == geteuid() || st.st_uid == project->owner)
        return true;
    return refuse(error, root, path, "belongs to another user");
}

/* A git directory that is not ROOT/.git. */
static bool take_outside(TbProject *project, const char *root, const char *target, GError **error)
{
    project->git_dir = resolve(root, target);
    if (!project->git_dir)
        return refuse(error, root, target, "does not exist");
    int fd = open(project->git_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    project->fds[TB_SOURCE_GIT] = fd;
    if (fd < 0 || !tb_is_git_dir(fd))
        return refuse(error, root, project->git_dir, "is none");
    if (!check_owner(project, root, project->git_dir, fd, error))
        return false;
    g_autofree char *line = read_line(fd, "commondir");
    if (line) {
        project->common_dir = resolve(project->git_dir, line);
        if (!project->common_dir ||
            !worktree_points_back(root, project->git_dir, project->common_dir, fd))
            return refuse(error, root, project->git_dir,
                          "does not point back at it (run 'git worktree repair' in the main one)");
        int common = open(project->common_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        project->fds[TB_SOURCE_COMMON] = common;
        if (common < 0)
            return tb_error_set_errno(error, errno, "cannot open '%s'", project->common_dir);
        return check_owner(project, root, project->common_dir, common, error);
    }
    project->common_dir = g_strdup(project->git_dir);
    g_autofree char *config = read_config(fd);
    if (is_beneath(project->git_dir, root) || config_points_back(root, project->git_dir, config))
        return true;
    return refuse(error, root, project->git_dir,
                  "does not point back at it (set core.worktree in its config)");
}

/* What the text of a .git file names; NULL when it is none. */
static char *parse_git_file(int root_fd)
{
    g_autofree char *line = read_line(root_fd, ".git");
    if (!line || !g_str_has_prefix(line, "gitdir: "))
        return NULL;
    return g_strdup(line + strlen("gitdir: "));
}

static bool read_format(TbProject *project, GError **error)
{
    int fd = project->fds[TB_SOURCE_COMMON] >= 0 ? project->fds[TB_SOURCE_COMMON]
                                                 : project->fds[TB_SOURCE_GIT];
    tb_autofd own = -1;
    if (fd < 0)
        fd = own = open(project->git_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    g_autofree char *config = fd >= 0 ? read_config(fd) : NULL;
    if (!config)
        return true;
    g_autofree char *format = tb_git_config_value(config, "extensions", "objectformat");
    project->ref_storage = tb_git_config_value(config, "extensions", "refstorage");
    project->sha256 = format && g_ascii_strcasecmp(format, "sha256") == 0;
    if (format && !project->sha256 && g_ascii_strcasecmp(format, "sha1") != 0) {
        g_autofree char *name = tb_escape_name(format);
        return tb_error_set(error, TB_ERROR_UNSUPPORTED,
                            "cannot use the repository of '%s': unknown object format '%s'",
                            project->git_dir, name);
    }
    return true;
}

bool tb_project_find_git(TbProject *project, const char *root, bool *found, GError **error)
{
    struct stat st;
    *found = false;
    tb_autofd root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return tb_error_set_errno(error, errno, "cannot open '%s'", root);
    if (fstatat(root_fd, ".git", &st, AT_SYMLINK_NOFOLLOW) < 0)
        return true;
    if (S_ISDIR(st.st_mode)) {
        tb_autofd fd = openat(root_fd, ".git", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        struct stat objects;
        /* A "commondir" in here is not believed: git would, but never makes one. */
        if (fd < 0 || !tb_is_git_dir(fd) || fstatat(fd, "objects", &objects, 0) < 0)
            return true;
        project->git_dir = g_build_filename(root, ".git", NULL);
        project->common_dir = g_strdup(project->git_dir);
        project->git_inside = *found = true;
        return read_format(project, error);
    }
    g_autofree char *target = NULL;
    if (S_ISLNK(st.st_mode))
        target = g_build_filename(root, ".git", NULL);
    else if (S_ISREG(st.st_mode))
        target = parse_git_file(root_fd);
    if (!target)
        return tb_error_set(error, TB_ERROR_CONFIG,
                            "cannot read '%s/.git': it names no git "
                            "directory (remove or repair it)",
                            root);
    struct stat owner;
    if (fstat(root_fd, &owner) == 0)
        project->owner = owner.st_uid;
    *found = true;
    return take_outside(project, root, target, error) && read_format(project, error);
}
