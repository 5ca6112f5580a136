/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who moved a branch, and the log that git keeps of it. */
#include "project/repository.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "project/private.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"

/* A commit's head has no room for these characters in a name; git drops them, too. */
static char *clean(char *value)
{
    size_t kept = 0;
    for (const char *at = value; *at; at++)
        if ((unsigned char)*at >= ' ' && !strchr("<>\x7f", *at))
            value[kept++] = *at;
    value[kept] = '\0';
    return g_strstrip(value);
}

/* "name" or "email". NULL: nowhere. */
static char *ask(const TbProject *project, const char *variable, const char *key)
{
    const char *given = g_getenv(variable);
    g_autofree char *committer_key = g_strconcat("committer.", key, NULL);
    g_autofree char *user_key = g_strconcat("user.", key, NULL);
    g_autofree char *value = given && *given ? g_strdup(given) : NULL;
    if (!value)
        value = tb_repository_config(project, "committer", key);
    if (!value)
        value = tb_repository_config(project, "user", key);
    if (!value)
        value = tb_user_config(committer_key, NULL);
    if (!value)
        value = tb_user_config(user_key, NULL);
    return value && *clean(value) ? g_steal_pointer(&value) : NULL;
}

char *tb_project_committer(const TbProject *project, GError **error)
{
    g_autofree char *name = ask(project, "GIT_COMMITTER_NAME", "name");
    g_autofree char *address = name ? ask(project, "GIT_COMMITTER_EMAIL", "email") : NULL;
    if (!name || !address) {
        tb_error_set(error, TB_ERROR_CONFIG,
                     "cannot commit: git does not know your %s (git config --global user.%s ...)",
                     name ? "e-mail address" : "name", name ? "email" : "name");
        return NULL;
    }
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *time = g_date_time_format(now, "%s %z");
    return g_strdup_printf("%s <%s> %s", name, address, time);
}

static int open_log(const char *dir, const char *name, uid_t owner, bool make)
{
    g_autofree char *path = g_strconcat("logs/", name, NULL);
    tb_autofd fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -1;
    for (char *slash = strchr(path, '/'); make && slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        g_autofree char *parent = g_path_get_dirname(path);
        tb_autofd at = tb_open_beneath(fd, parent, O_PATH | O_DIRECTORY, 0);
        g_autofree char *last = g_path_get_basename(path);
        *slash = '/';
        if (at < 0 || (mkdirat(at, last, 0777) != 0 && errno != EEXIST))
            return -1;
        if (geteuid() == 0 && fchownat(at, last, owner, (gid_t)-1, AT_SYMLINK_NOFOLLOW) != 0)
            return -1;
    }
    return tb_open_beneath(fd, path, O_WRONLY | O_APPEND | O_NOFOLLOW | (make ? O_CREAT : 0), 0666);
}

/* A log is kept where there is one; a branch's is begun where HEAD has one, as git does. */
static bool append(const TbProject *project, const char *dir, const char *name, const char *line)
{
    g_autofree char *heads = g_build_filename(project->git_dir, "logs", "HEAD", NULL);
    bool make = strcmp(name, "HEAD") != 0 && g_file_test(heads, G_FILE_TEST_IS_REGULAR);
    tb_autofd fd = open_log(dir, name, project->owner, make);
    if (fd < 0)
        return !make && errno == ENOENT;
    if (geteuid() == 0 && fchown(fd, project->owner, (gid_t)-1) != 0)
        return false;
    return tb_write_all(fd, line, strlen(line), "the log", NULL);
}

void tb_project_log_move(const TbProject *project, const TbRef *ref, bool current, const char *to,
                         const char *committer, const char *message)
{
    g_autofree char *none = g_strnfill(project->sha256 ? 64 : 40, '0');
    g_autofree char *line = g_strdup_printf("%s %s %s\t%s\n", ref->oid ? ref->oid : none,
                                            to ? to : none, committer, message);
    bool noted = append(project, ref->dir, ref->name, line);
    if (current && strcmp(ref->name, "HEAD") != 0)
        noted &= append(project, project->git_dir, "HEAD", line);
    if (!noted)
        tb_warn("git's log of '%s' could not be written: %s", ref->name, g_strerror(errno));
}

void tb_project_log_drop(const TbProject *project, const TbRef *ref)
{
    g_autofree char *path = g_strconcat("logs/", ref->name, NULL);
    g_autofree char *parent = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    tb_autofd dir = open(project->common_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    tb_autofd at = dir < 0 ? -1 : tb_open_beneath(dir, parent, O_PATH | O_DIRECTORY, 0);
    if (at >= 0)
        (void)unlinkat(at, name, 0);
}
