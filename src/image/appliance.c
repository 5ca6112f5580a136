/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libguestfs. What it would take from the environment is fixed here: the backend, the place of
 * temporary files, KVM only where KVM works (it hangs where KVM is there but broken). It runs in a
 * process of its own, whose group it stays in: see worker.c.
 */
#include <glob.h>
#include <string.h>
#include <unistd.h>
#include "image/build-private.h"
#include "util/error.h"
#include "vm/box.h"

#define APPLIANCE_MIB 768

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

static bool settle(guestfs_h *g, const TbBuild *build)
{
    bool kvm = tb_accel_probe(NULL) == TB_ACCEL_KVM;
    guestfs_push_error_handler(g, NULL, NULL);
    return guestfs_set_backend(g, "direct") == 0 && guestfs_set_tmpdir(g, build->work) == 0 &&
           (kvm || guestfs_set_backend_setting(g, "force_tcg", "1") == 0) &&
           guestfs_set_pgroup(g, 0) == 0 && guestfs_set_autosync(g, 1) == 0 &&
           guestfs_set_memsize(g, APPLIANCE_MIB) == 0 && guestfs_set_network(g, 0) == 0 &&
           guestfs_set_trace(g, 0) == 0 && guestfs_set_verbose(g, 0) == 0;
}

guestfs_h *tb_appliance_launch(const TbBuild *build, const char *disk, GError **error)
{
    if (!check_kernel(error))
        return NULL;
    g_autoptr(guestfs_h) g = guestfs_create_flags(GUESTFS_CREATE_NO_ENVIRONMENT);
    if (!g) {
        tb_error_set_errno(error, errno, "cannot start libguestfs");
        return NULL;
    }
    bool ok = settle(g, build) &&
              guestfs_add_drive_opts(g, disk, GUESTFS_ADD_DRIVE_OPTS_FORMAT, "qcow2",
                                     GUESTFS_ADD_DRIVE_OPTS_CACHEMODE, "unsafe",
                                     GUESTFS_ADD_DRIVE_OPTS_DISCARD, "besteffort", -1) == 0 &&
              guestfs_launch(g) == 0;
    if (!ok) {
        tb_error_set_guestfs(error, g, "start the appliance (see 'taskbox doctor')");
        return NULL;
    }
    return g_steal_pointer(&g);
}
