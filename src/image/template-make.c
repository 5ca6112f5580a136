/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making a template: one boot of the image with nothing of anybody in it. The project's disk is an
 * empty placeholder of the size all project disks have. Once the guest has come to rest, what any
 * task needs first is run once, so that it is in memory already; then the box is frozen.
 *
 * No identity is given before the freeze (that is SETUP's, in each fork), so none is shared.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "image/output.h"
#include "image/template-private.h"
#include "util/auto.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/fs.h"
#include "util/log.h"

#define SETTLE_SECONDS     150
#define WARM_SECONDS       120
#define IMAGE_WARM_SECONDS 600 /* for each command of the image */
#define FREEZE_SECONDS     120
#define PLACEHOLDER        "project"

static bool drop_output(int fd, const uint8_t *data, size_t length, void *user_data, GError **error)
{
    return true;
}

/* Runs a script of ours as root of the guest; how it ends does not matter. */
static bool run_script(TbSession *session, const char *script, GError **error)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    const TbExec exec = {.argv = argv, .cwd = "/", .as_root = true, .stdin_fd = -1};
    const TbExecHandlers handlers = {.output = drop_output};
    TbExecResult result;
    return tb_session_exec(session, &exec, &handlers, tb_session_deadline(WARM_SECONDS), &result,
                           error);
}

/* The guest program answers before the boot is through; what is frozen must be past it. */
static const char boot_to_its_end[] =
    "if command -v systemctl; then timeout 100 systemctl is-system-running --wait;"
    " systemctl stop '*.timer'; fi"; /* they would all be due when a fork's clock is set */

/* A shell, git and what they load: read from the disk here once and not in each fork. */
static const char warm_up[] = "cd /tmp && git --version && git status; ls / | grep -q usr; "
                              "/bin/true; sed -n 1p /etc/passwd; sudo -n true; true";

/* The image's own, as the task's user; there is no network and no project. What fails, fails the
 * template: a box that is not as warm as it should be would be a riddle. */
static bool warm_one(TbSession *session, const TbImage *image, unsigned number, GError **error)
{
    static const char as_agent[] = "exec /sbin/runuser -u agent -- /bin/sh -e -c \"$0\"";
    static const char *const agent_env[] = {"HOME=/home/agent", "USER=agent", "LOGNAME=agent",
                                            "SHELL=/bin/bash", NULL};
    const char *command = image->warm[number];
    g_auto(GStrv) env = tb_env_join((const char *const *)image->env, agent_env);
    const char *const argv[] = {"/bin/sh", "-c", as_agent, command, NULL};
    g_autoptr(TbOutput) output = tb_output_new(false);
    const TbExec exec = {.argv = argv,
                         .env = (const char *const *)env,
                         .cwd = "/home/agent",
                         .as_root = true,
                         .stdin_fd = -1};
    const TbExecHandlers handlers = {.output = tb_output_take, .data = output};
    TbExecResult result = {0};
    tb_status("making a template of image '%s': warming up (%u of %u)", image->name, number + 1,
              g_strv_length(image->warm));
    g_autoptr(GError) why = NULL;
    bool ran = tb_session_exec(session, &exec, &handlers, tb_session_deadline(IMAGE_WARM_SECONDS),
                               &result, &why);
    if (ran && result.code == 0)
        return true;
    if (why && !g_error_matches(why, TB_ERROR, TB_ERROR_TIMEOUT)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    g_autofree char *shown = tb_escape_name(command);
    g_autofree char *tail = tb_output_tail(output);
    g_autofree char *end =
        why ? g_strdup_printf("did not end within %d seconds", IMAGE_WARM_SECONDS)
            : g_strdup_printf("failed with exit code %d", result.code);
    tb_warn("the last lines of '%s':%s", shown, tail);
    return tb_error_set(error, TB_ERROR_IMAGE, "warm command %u of image '%s' ('%s') %s",
                        number + 1, image->name, shown, end);
}

static bool warm_image(TbSession *session, const TbImage *image, GError **error)
{
    for (unsigned i = 0; image->warm && image->warm[i]; i++)
        if (!warm_one(session, image, i, error))
            return false;
    return true;
}

/* Says how long a step took; passes on how it went. */
static bool step(const char *what, int64_t *since, bool ok)
{
    int64_t now = g_get_monotonic_time();
    tb_verbose("template: %s: %" G_GINT64_FORMAT " ms", what, (now - *since) / 1000);
    *since = now;
    return ok;
}

static bool settle(TbBox **box, const TbBoxSpec *spec, const TbShape *shape, int64_t *since,
                   GError **error)
{
    TbGuestInfo info;
    uint32_t uid = shape->uid ? shape->uid : 1000;
    TbSession *session = tb_box_wait_boot(box, spec, TB_BOX_BOOT_SECONDS, &info, error);
    return step("boot", since, session != NULL) &&
           step("boot to its end", since, run_script(session, boot_to_its_end, error)) &&
           step("settle", since,
                tb_session_settle(session, uid, shape->gid, tb_session_deadline(SETTLE_SECONDS),
                                  error)) &&
           step("warm up", since, run_script(session, warm_up, error)) &&
           step("warm up the image", since, warm_image(session, shape->image, error));
}

/* What stands for a project: a disk or a directory with nothing in it. Where a fork has another one
 * in its place, it has it at the same place in its jail. */
static bool make_placeholder(int dirfd, bool folder, GError **error)
{
    if (folder)
        return mkdirat(dirfd, PLACEHOLDER, 0755) == 0 ||
               tb_error_set_errno(error, errno, "cannot make a placeholder for the project");
    tb_autofd fd =
        openat(dirfd, PLACEHOLDER, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    return (fd >= 0 && fchmod(fd, 0644) == 0 && ftruncate(fd, TB_BOX_PROJECT_DISK_SIZE) == 0) ||
           tb_error_set_errno(error, errno, "cannot make a placeholder for the project's disk");
}

static bool boot_and_freeze(const TbShape *shape, const char *key, const char *staging, int dirfd,
                            GError **error)
{
    g_autofree char *id = g_strdup_printf("template-%.12s", key);
    g_autofree char *dir = g_build_filename(staging, "box", NULL);
    g_autofree char *project = g_build_filename(staging, PLACEHOLDER, NULL);
    TbBoxSpec spec = {.id = id, .dir = dir, .freezable = true};
    if (shape->mount == TB_MOUNT_9P)
        spec.project_dir = project;
    else if (shape->mount == TB_MOUNT_IMAGE)
        spec.project_disk = project;
    tb_shape_spec(shape, &spec);
    int64_t since = g_get_monotonic_time();
    g_autoptr(TbBox) box = tb_box_start(&spec, error);
    if (!box || !settle(&box, &spec, shape, &since, error))
        return false;
    tb_status("making a template of image '%s': freezing", shape->image->name);
    return step("freeze", &since,
                tb_box_freeze(box, dirfd, tb_session_deadline(FREEZE_SECONDS), error));
}

/* On the disk before the manifest says so. */
static bool protect(int dirfd, const char *name, GError **error)
{
    tb_autofd fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return (fd >= 0 && fchmod(fd, 0444) == 0 && fsync(fd) == 0) ||
           tb_error_set_errno(error, errno, "cannot protect '%s'", name);
}

static bool finish(const TbShape *shape, const char *key, const char *machine, int dirfd,
                   GError **error)
{
    static const char overlay[] = "overlay.qcow2";
    return tb_box_template_overlay(dirfd, overlay, shape->disk, error) &&
           protect(dirfd, overlay, error) && tb_remove_tree(dirfd, PLACEHOLDER, error) &&
           tb_template_manifest_write(shape, key, machine, dirfd, error);
}

bool tb_template_make(const TbShape *shape, const char *key, const char *machine,
                      const char *staging, int dirfd, GError **error)
{
    tb_status("making a template of image '%s': booting (once for this shape)", shape->image->name);
    bool ok = make_placeholder(dirfd, shape->mount == TB_MOUNT_9P, error) &&
              boot_and_freeze(shape, key, staging, dirfd, error) &&
              finish(shape, key, machine, dirfd, error);
    tb_status_done();
    return ok;
}
