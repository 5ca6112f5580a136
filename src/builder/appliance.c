/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libguestfs. What it would take from the environment is fixed here: the backend, the place of
 * temporary files, KVM only where KVM works (it hangs where KVM is there but broken). It runs in a
 * process of its own, whose group it stays in: see worker.c.
 *
 * The appliance that supermin makes of the host's files takes seconds and 400 MB; it is kept in our
 * cache and made anew by supermin when the host's files have changed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "builder/build-private.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/paths.h"
#include "vm/box.h"

#define APPLIANCE_MIB 768
#define APPLIANCE_NAME                                                                             \
    "appliance.d" /* libguestfs's, in ".guestfs-UID" of the place it is given                      \
                   */
#define SUPERMIN_LOCK "lock"

bool tb_error_set_guestfs(GError **error, guestfs_h *g, const char *what)
{
    const char *text = guestfs_last_error(g);
    TbErrorCode code = guestfs_last_errno(g) == ENOSPC ? TB_ERROR_NO_SPACE : TB_ERROR_IMAGE;
    return tb_error_set(error, code, "cannot %s: libguestfs: %s", what,
                        text ? text : "unknown error");
}

/* supermin takes the host's kernel; Ubuntu makes it readable for root only. */
static bool check_kernel(GError **error)
{
    glob_t found = {0};
    bool readable = g_getenv("SUPERMIN_KERNEL") || access("/usr/lib/guestfs/appliance", F_OK) == 0;
    const char *first = NULL;
    if (glob("/boot/vmlinuz-*", 0, NULL, &found) == 0) {
        first = found.gl_pathv[0];
        for (size_t i = 0; i < found.gl_pathc && !readable; i++)
            readable = access(found.gl_pathv[i], R_OK) == 0;
    }
    if (!readable && first)
        tb_error_set(error, TB_ERROR_DEPENDENCY,
                     "cannot start libguestfs: it needs to read a kernel, and '%s' is readable for "
                     "root only (run 'sudo chmod 0644 /boot/vmlinuz-*')",
                     first);
    else if (!readable)
        tb_error_set(error, TB_ERROR_DEPENDENCY,
                     "cannot start libguestfs: it needs a kernel in /boot (run 'sudo apt install "
                     "linux-image-%s')",
                     g_str_equal(tb_host_arch(), "aarch64") ? "arm64" : "amd64");
    globfree(&found);
    return readable;
}

/* What a supermin that was killed left. Nobody else is at it: its place is locked. */
static bool remove_remains(int place, GError **error)
{
    g_autofree char *name = g_strdup_printf(".guestfs-%ju", (uintmax_t)geteuid());
    tb_autofd fd = tb_open_beneath(place, name, O_RDONLY | O_DIRECTORY, 0);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    if (!stream)
        return errno == ENOENT || tb_error_set_errno(error, errno, "cannot read the cache");
    int dir = tb_steal_fd(&fd); /* the stream's now */
    bool ok = true;
    for (struct dirent *entry; ok && (entry = readdir(stream));) {
        static const char *const known[] = {".", "..", APPLIANCE_NAME, SUPERMIN_LOCK, NULL};
        if (!g_strv_contains(known, entry->d_name))
            ok = tb_remove_tree(dir, entry->d_name, error);
    }
    closedir(stream);
    return ok;
}

/* Where the appliance is kept, locked. */
static char *cache_dir(int *lock, GError **error)
{
    g_autofree char *cache = tb_path_cache();
    g_autofree char *path = g_build_filename(cache, "appliance", NULL);
    tb_autofd place = tb_open_private_dir(path, error);
    if (place < 0)
        return NULL;
    *lock = tb_lock(place, SUPERMIN_LOCK, true, error);
    return *lock >= 0 && remove_remains(place, error) ? g_steal_pointer(&path) : NULL;
}

static bool settle(guestfs_h *g, const TbBuild *build, const char *cache)
{
    bool kvm = tb_accel_probe(NULL) == TB_ACCEL_KVM;
    guestfs_push_error_handler(g, NULL, NULL);
    g_setenv("TMPDIR", build->work, TRUE); /* of this process only: for supermin and QEMU */
    return guestfs_set_backend(g, "direct") == 0 && guestfs_set_tmpdir(g, build->work) == 0 &&
           guestfs_set_cachedir(g, cache) == 0 &&
           (kvm || guestfs_set_backend_setting(g, "force_tcg", "1") == 0) &&
           guestfs_set_pgroup(g, 0) == 0 && guestfs_set_autosync(g, 1) == 0 &&
           guestfs_set_memsize(g, APPLIANCE_MIB) == 0 && guestfs_set_network(g, 0) == 0 &&
           guestfs_set_trace(g, 0) == 0 && guestfs_set_verbose(g, 0) == 0;
}

guestfs_h *tb_appliance_launch(const TbBuild *build, const char *disk, GError **error)
{
    if (!check_kernel(error))
        return NULL;
    tb_autofd lock = -1;
    g_autofree char *cache = cache_dir(&lock, error);
    if (!cache)
        return NULL;
    g_autoptr(guestfs_h) g = guestfs_create_flags(GUESTFS_CREATE_NO_ENVIRONMENT);
    if (!g) {
        tb_error_set_errno(error, errno, "cannot start libguestfs");
        return NULL;
    }
    bool ok = settle(g, build, cache) &&
              guestfs_add_drive_opts(g, disk, GUESTFS_ADD_DRIVE_OPTS_FORMAT, "qcow2",
                                     GUESTFS_ADD_DRIVE_OPTS_CACHEMODE, "unsafe",
                                     GUESTFS_ADD_DRIVE_OPTS_DISCARD, "besteffort", -1) == 0 &&
              guestfs_launch(g) == 0;
    flock(lock, LOCK_UN); /* closing is not enough: libguestfs has forked */
    if (!ok) {
        tb_error_set_guestfs(error, g, "start the appliance (see 'taskbox doctor')");
        return NULL;
    }
    return g_steal_pointer(&g);
}
