/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The initramfs of a box: the guest program as /init, the few modules that lead to the root file
 * system, and /modules.list with their paths in loading order. A distribution's own is twenty times
 * as large and finds out at each boot what is known here.
 *
 * Modules are unpacked here: so the kernel need not know the compression, and the boot not pay.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "builder/build-private.h"
#include "builder/cpio.h"
#include "builder/modules.h"
#include "util/auto.h"
#include "util/command.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/log.h"

#define MODULE_LIMIT (64 * 1024 * 1024)

/* ext4 asks the crypto layer for crc32c by a name that modules.dep does not know. */
static const char *const required[] = {"virtio_pci", "virtio_blk", "virtio_console", NULL};
static const char *const wanted[] = {"crc32c_generic", "overlay",    "erofs", "squashfs", "9p",
                                     "9pnet_virtio",   "virtio_rng", NULL};

static GBytes *unpack(const char *file, GBytes *packed, GError **error)
{
    const char *program = g_str_has_suffix(file, ".xz")    ? "xz"
                          : g_str_has_suffix(file, ".zst") ? "zstd"
                          : g_str_has_suffix(file, ".gz")  ? "gzip"
                                                           : NULL;
    if (!program)
        return g_bytes_ref(packed);
    size_t length = 0;
    const void *data = g_bytes_get_data(packed, &length);
    g_autoptr(TbCommand) command = tb_command_new(program);
    tb_command_add(command, "-d", "-c", "-q", NULL);
    tb_command_set_stdin_bytes(command, data, length);
    tb_command_set_stdout_limit(command, MODULE_LIMIT);
    GBytes *out = NULL;
    return tb_command_run(command, &out, error) ? out : NULL;
}

static char *plain_name(const char *file)
{
    g_autofree char *base = g_path_get_basename(file);
    char *end = strstr(base, ".ko");
    return g_strdup_printf("modules/%.*s.ko", (int)(end ? end - base : (long)strlen(base)), base);
}

static bool add_module(TbCpio *cpio, GString *list, guestfs_h *g, const char *dir, const char *file,
                       GError **error)
{
    g_autofree char *path = g_build_filename(dir, file, NULL);
    size_t size = 0;
    char *data = guestfs_read_file(g, path, &size);
    if (!data)
        return tb_error_set_guestfs(error, g, "read a kernel module");
    g_autoptr(GBytes) packed = g_bytes_new_with_free_func(data, size, free, data);
    g_autoptr(GBytes) module = unpack(file, packed, error);
    if (!module)
        return false;
    size_t length = 0;
    const void *bytes = g_bytes_get_data(module, &length);
    g_autofree char *name = plain_name(file);
    tb_cpio_file(cpio, name, 0644, bytes, length);
    g_string_append_printf(list, "/%s\n", name);
    return true;
}

static TbModules *read_modules(guestfs_h *g, const char *dir)
{
    g_autofree char *dep_path = g_build_filename(dir, "modules.dep", NULL);
    g_autofree char *builtin_path = g_build_filename(dir, "modules.builtin", NULL);
    size_t size = 0;
    char *dep = guestfs_read_file(g, dep_path, &size);
    char *builtin = dep ? guestfs_read_file(g, builtin_path, &size) : NULL;
    TbModules *modules = dep ? tb_modules_parse(dep, builtin ? builtin : "") : NULL;
    free(dep);
    free(builtin);
    return modules;
}

/* The files to load, in order; NULL when something required is not there. */
static GPtrArray *choose(const TbModules *modules, const char *root_type)
{
    g_autoptr(GPtrArray) order = g_ptr_array_new_with_free_func(g_free);
    for (const char *const *name = required; *name; name++) {
        if (!tb_modules_resolve(modules, *name, order)) {
            tb_verbose("the image's kernel has no module '%s'", *name);
            return NULL;
        }
    }
    for (const char *const *name = wanted; *name; name++)
        tb_modules_resolve(modules, *name, order);
    if (!tb_modules_resolve(modules, root_type, order))
        return NULL;
    return g_steal_pointer(&order);
}

static void add_skeleton(TbCpio *cpio)
{
    static const char *const dirs[] = {"dev", "proc", "sys", "newroot", "modules"};
    for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++)
        tb_cpio_dir(cpio, dirs[i], 0755);
    tb_cpio_char(cpio, "dev/console", 0600, 5, 1);
}

static bool add_init(TbCpio *cpio, const TbBuild *build, GError **error)
{
    g_autofree char *data = NULL;
    size_t length = 0;
    g_autoptr(GError) why = NULL;
    if (!g_file_get_contents(build->guest, &data, &length, &why))
        return tb_error_set(error, TB_ERROR_IO, "cannot read the guest program: %s", why->message);
    tb_cpio_file(cpio, "init", 0755, data, length);
    return true;
}

static bool write_out(const TbBuild *build, GBytes *archive, GError **error)
{
    g_autofree char *path = g_build_filename(build->staging, TB_IMAGE_INITRD, NULL);
    tb_autofd fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return tb_error_set_errno(error, errno, "cannot create '%s'", path);
    size_t length = 0;
    const void *data = g_bytes_get_data(archive, &length);
    return tb_write_all(fd, data, length, "the initramfs", error);
}

bool tb_build_initrd(TbBuild *build, guestfs_h *g, const char *release, const char *root_type,
                     bool *made, GError **error)
{
    g_autofree char *dir = g_build_filename("/lib/modules", release, NULL);
    g_autoptr(TbModules) modules = read_modules(g, dir);
    g_autoptr(GPtrArray) order = modules ? choose(modules, root_type) : NULL;
    *made = order != NULL;
    if (!order)
        return true;
    TbCpio cpio;
    tb_cpio_begin(&cpio);
    add_skeleton(&cpio);
    g_autoptr(GString) list = g_string_new(NULL);
    bool ok = add_init(&cpio, build, error);
    for (unsigned i = 0; ok && i < order->len; i++)
        ok = add_module(&cpio, list, g, dir, g_ptr_array_index(order, i), error);
    if (ok)
        tb_cpio_file(&cpio, "modules.list", 0644, list->str, list->len);
    g_autoptr(GBytes) archive = tb_cpio_end(&cpio);
    return ok && write_out(build, archive, error);
}
