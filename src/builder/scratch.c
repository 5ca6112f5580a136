/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mmdebstrap's users of a namespace must reach its temporary directory, so it cannot lie in a home
 * that is closed to others; it lies in /var/tmp (and not /tmp, which may be memory), under a name
 * nobody can guess. As an ordinary user what is in it belongs to our subordinate ids: then
 * mmdebstrap itself must remove it.
 */
#include "builder/scratch.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "util/auto.h"
#include "util/command.h"
#include "util/error.h"
#include "util/fs.h"

#define PARENT "/var/tmp"
#define PREFIX "taskbox-bootstrap-"

/* The note is ours, but a directory of that name could by now be somebody else's. */
static bool is_ours(const char *path)
{
    struct stat st;
    return g_str_has_prefix(path, PARENT "/" PREFIX) &&
           !strchr(path + strlen(PARENT "/" PREFIX), '/') && lstat(path, &st) == 0 &&
           S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

static bool remove_path(const char *path, GError **error)
{
    if (geteuid() != 0) {
        g_autoptr(TbCommand) command = tb_command_new("mmdebstrap");
        tb_command_add(command, "--unshare-helper", "find", path, "-mindepth", "1", "-delete",
                       NULL);
        tb_command_ignore_interrupt(command);
        if (!tb_command_run(command, NULL, error))
            return false;
    }
    tb_autofd parent = open(PARENT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        return tb_error_set_errno(error, errno, "cannot open '%s'", PARENT);
    return tb_remove_tree(parent, path + strlen(PARENT "/"), error);
}

bool tb_scratch_remove(int dirfd, const char *name, GError **error)
{
    g_autoptr(GBytes) note = tb_read_file_at(dirfd, name, 4096, NULL);
    if (!note)
        return true;
    g_autofree char *path = g_strstrip(g_strdup(g_bytes_get_data(note, NULL)));
    if (is_ours(path) && !remove_path(path, error))
        return false;
    unlinkat(dirfd, name, 0);
    return true;
}

char *tb_scratch_make(int dirfd, const char *name, GError **error)
{
    if (!tb_scratch_remove(dirfd, name, error))
        return NULL;
    g_autofree char *path = g_strdup(PARENT "/" PREFIX "XXXXXX");
    if (!mkdtemp(path)) {
        tb_error_set_errno(error, errno, "cannot make a directory in '%s'", PARENT);
        return NULL;
    }
    if (!tb_write_atomic(dirfd, name, path, strlen(path), 0600, error) || chmod(path, 0755) < 0) {
        rmdir(path);
        if (error && !*error)
            tb_error_set_errno(error, errno, "cannot open '%s' to others", path);
        return NULL;
    }
    return g_steal_pointer(&path);
}
