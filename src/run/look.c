/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the project holds, how it gets into the box, and what of it must not. */
#include "config/mount.h"
#include "run/mounting.h"
#include "run/run-private.h"
#include "util/log.h"

#define NOTES_SHOWN  200
#define MASKED_NAMED 1000

void run_add_notes(Run *run, const GPtrArray *lines, const char *prefix)
{
    for (guint i = 0; lines && i < lines->len; i++) {
        if (i == NOTES_SHOWN) {
            g_autofree char *more = g_strdup_printf("%s%u more", prefix, lines->len - i);
            tb_task_note(run->task, more);
            return;
        }
        g_autofree char *note = g_strconcat(prefix, (const char *)lines->pdata[i], NULL);
        tb_task_note(run->task, note);
    }
}

static bool mask(Run *run, GError **error)
{
    TbTask *task = run->task;
    if (!tb_project_image_mask(run->project_image, run->scan, run->git, error))
        return false;
    const GPtrArray *masked = tb_scan_masked(run->scan);
    for (guint i = 0; i < masked->len && i < MASKED_NAMED; i++)
        g_ptr_array_add(task->masked, g_strdup(masked->pdata[i]));
    if (masked->len > MASKED_NAMED)
        g_ptr_array_add(task->masked, g_strdup_printf("and %u more", masked->len - MASKED_NAMED));
    if (masked->len > 0 && !run->trial)
        tb_info("masked: %u %s empty in the box (taskbox show %s)", masked->len,
                masked->len == 1 ? "file is" : "files or directories are", task->id);
    task->masked_paths = tb_scan_masked_paths(run->scan);
    run_add_notes(run, tb_scan_shown(run->scan),
                  "looks secret, and the box sees it, since git tracks it (--exclude hides it): ");
    return true;
}

bool run_scan_project(Run *run, GError **error)
{
    run->scan = tb_scan_new(run->project, error);
    return run->scan && mask(run, error);
}

/* Word of a choice that nobody made by hand. */
static void say_mount(Run *run, const char *why)
{
    g_free(run->task->mount);
    run->task->mount =
        g_strdup_printf("%s, since %s", tb_mount_type_name(run->start.shape.mount), why);
    tb_info("mount: %s", run->task->mount);
}

bool run_choose_mount(Run *run, GError **error)
{
    g_autofree char *why = NULL;
    TbShape *shape = &run->start.shape;
    run->auto_mount = shape->mount == TB_MOUNT_AUTO;
    if (!run->auto_mount) {
        run->task->mount = g_strdup(tb_mount_type_name(shape->mount));
        return tb_mounting_fits(shape->mount, run->project, error);
    }
    shape->mount = tb_mounting_choose(run->image, run->project, &why);
    say_mount(run, why);
    return true;
}

/* A choice that was made before anybody knew of what is to be hidden is made again. */
static bool take_image_instead(Run *run, GError **why, GError **error)
{
    const GPtrArray *masked = tb_scan_masked(run->scan);
    if (!run->auto_mount) {
        g_propagate_error(error, g_steal_pointer(why));
        return false;
    }
    const char *was = tb_mount_type_name(run->start.shape.mount);
    g_autofree char *text = g_strdup_printf(
        "%s cannot hide %s", was, masked->len ? (const char *)masked->pdata[0] : "all there is");
    run->start.shape.mount = TB_MOUNT_IMAGE;
    say_mount(run, text);
    g_clear_pointer(&run->project_image, tb_project_image_free);
    return true;
}

/* What a share shows can be read by the box's root whatever its guest lays over it, and from its
 * first moment on: so nothing is shared before all is known that must not be. */
bool run_look_before_sharing(Run *run, GError **error)
{
    const char *name = tb_mount_type_name(run->start.shape.mount);
    run->project_image = tb_project_image_live(run->project, name);
    if (!run_scan_project(run, error))
        return false;
    run_phase_end(run, "scan");
    g_autoptr(GError) why = NULL;
    run->unshared = tb_project_unshared(run->project_image, run->scan, TB_BOX_MAX_UNSHARED, &why);
    return run->unshared || take_image_instead(run, &why, error);
}
