/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one boot of a build: it proves that the image boots and speaks, does what the recipe says in
 * the machine that is for (steps.c), and seals it. The box has a network only when there is that.
 */
#include <string.h>
#include "builder/build-private.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/log.h"
#include "vm/box.h"

#define BOOT_SECONDS   600
#define STEP_SECONDS   120
#define PACKAGES_LIMIT (8 * 1024 * 1024)

/* --- looking at it ------------------------------------------------------------------------------
 */

static bool keep_output(int fd, const uint8_t *data, size_t length, void *user_data, GError **error)
{
    GString *text = user_data;
    if (text->len + length > PACKAGES_LIMIT)
        return tb_error_set(error, TB_ERROR_LIMIT,
                            "the image lists more packages or hosts than can be");
    if (fd == 1)
        g_string_append_len(text, (const char *)data, (gssize)length);
    return true;
}

/* What a shell script in the image prints, for the manifest. */
static bool ask(TbSession *session, const char *script, bool as_root, GString *text, GError **error)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    const TbExec exec = {.argv = argv, .cwd = "/", .as_root = as_root, .stdin_fd = -1};
    const TbExecHandlers handlers = {.output = keep_output, .data = text};
    TbExecResult result;
    return tb_session_exec(session, &exec, &handlers, tb_session_deadline(STEP_SECONDS), &result,
                           error);
}

/* One "NAME VERSION" a line. What is not plain text is left out. */
static bool list_packages(TbBuild *build, TbSession *session, GError **error)
{
    static const char script[] =
        "dpkg-query -W -f '${Package} ${Version}\\n' 2>/dev/null ||"
        " rpm -qa --qf '%{NAME} %{VERSION}-%{RELEASE}\\n' 2>/dev/null || true";
    g_autoptr(GString) text = g_string_new(NULL);
    if (!ask(session, script, true, text, error))
        return false;
    build->packages = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) lines = g_strsplit(text->str, "\n", -1);
    for (char **line = lines; *line; line++) {
        if (**line && tb_is_plain(*line, 511))
            g_ptr_array_add(build->packages, g_strdup(*line));
    }
    return true;
}

/* Which hosts its package managers take from (image/hosts.h). A tool that fails has none. */
static bool list_hosts(TbBuild *build, TbSession *session, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    if (!ask(session, tb_image_hosts_script, false, text, error))
        return false;
    build->hosts = tb_image_hosts_parse(text->str);
    return true;
}

/* --- the boot ----------------------------------------------------------------------------------
 */

static bool check_mount_type(const TbBuild *build, GError **error)
{
    g_auto(GStrv) names = g_strsplit(build->filesystems, ",", -1);
    TbMountType type = build->recipe->mount_type;
    const char *name = tb_mount_type_name(type);
    if ((type != TB_MOUNT_9P && type != TB_MOUNT_VIRTIOFS) ||
        g_strv_contains((const char *const *)names, name))
        return true;
    return tb_error_set(error, TB_ERROR_IMAGE,
                        "'mountType: %s' needs a kernel with %s, and the image's '%s' has none "
                        "(" TB_MOUNT_KERNELS ")",
                        name, name, build->kernel_release);
}

static bool work_in_box(TbBuild *build, const TbBoxSpec *spec, TbBox **box, GError **error)
{
    TbGuestInfo info;
    bool network = spec->network;
    TbSession *session = tb_box_wait_boot(box, spec, BOOT_SECONDS, &info, error);
    if (!session)
        return false;
    build->kernel_release = g_strdup(info.kernel);
    build->filesystems = g_strdup(info.filesystems);
    if (!check_mount_type(build, error))
        return false;
    const TbSetup setup = {.hostname = "taskbox", .uid = 1000, .gid = 1000, .network = network};
    if (!tb_session_setup(session, &setup, tb_session_deadline(STEP_SECONDS), error))
        return false;
    tb_status_done();
    if (network && !tb_build_steps(build, session, error))
        return false;
    tb_status("sealing the image");
    return list_packages(build, session, error) && list_hosts(build, session, error) &&
           tb_session_seal(session, tb_session_deadline(STEP_SECONDS), error) &&
           tb_box_wait_off(*box, tb_session_deadline(STEP_SECONDS), error);
}

bool tb_build_provision(TbBuild *build, GError **error)
{
    g_autofree char *id = g_strdup_printf("build-%.12s", build->digest);
    g_autofree char *dir = g_build_filename(build->work, "box", NULL);
    g_autofree char *disk = g_build_filename(build->staging, TB_IMAGE_DISK, NULL);
    g_autofree char *kernel = g_build_filename(build->staging, TB_IMAGE_KERNEL, NULL);
    g_autofree char *initrd = g_build_filename(build->staging, TB_IMAGE_INITRD, NULL);
    const TbBoxSpec spec = {
        .id = id,
        .dir = dir,
        .disk = disk,
        .disk_writable = true,
        .kernel = kernel,
        .initrd = initrd,
        .cmdline = build->cmdline,
        .cpus = build->recipe->cpus,
        .memory = build->recipe->memory,
        .disk_size = build->recipe->disk,
        .accel = tb_accel_probe(NULL),
        .bases = build->bases,
        .network = tb_recipe_has_steps(build->recipe),
    };
    tb_status("first boot (%s)", tb_accel_name(spec.accel));
    g_autoptr(TbBox) box = tb_box_start(&spec, error);
    bool ok = box && work_in_box(build, &spec, &box, error);
    tb_status_done();
    return ok;
}
