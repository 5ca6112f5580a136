/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A template is a way to be fast, never a way to fail: whatever is wrong with it, the box boots
 * instead, and one line says so. A fork that the guest does not answer in is taken for a bad
 * template, which is dropped: the next task makes another.
 */
#include "run/start.h"

#include <unistd.h>

#include "config/layers.h"
#include "run/mounting.h"
#include "util/error.h"
#include "util/hole.h"
#include "util/log.h"
#include "util/units.h"

#define FORK_SECONDS 60

/* ---- the shape */

const char *tb_start_image(const TbRunOptions *options, const TbSettings *settings,
                           const TbAgent *agent)
{
    return options->image          ? options->image
           : settings->image       ? settings->image
           : agent && agent->image ? agent->image
                                   : TB_DEFAULT_IMAGE;
}

static char *count_format(uint64_t count)
{
    return g_strdup_printf("%" G_GUINT64_FORMAT, count);
}

static uint64_t first_set(uint64_t a, uint64_t b, uint64_t c)
{
    return a ? a : b ? b : c;
}

/* Flag, variable or settings, image; what the project says lowers all but the first two. */
#define SHAPE_OF(field, of_image, format)                                                          \
    (options->field || (above && above->field)                                                     \
         ? first_set(options->field, settings->field, 0)                                           \
         : tb_settings_lower(first_set(0, settings->field, of_image),                              \
                             project ? project->field : 0, #field, format))

bool tb_start_shape(const TbRunOptions *options, const TbSettings *settings, const TbImage *image,
                    TbAccel accel, TbShape *shape, GError **error)
{
    const TbSettings *project = settings->project, *above = settings->environment;
    uint64_t disk = SHAPE_OF(disk, image->disk_size, tb_size_format);
    if (options->disk && disk < image->disk_size)
        return tb_error_set(error, TB_ERROR_USAGE,
                            "cannot make a box with a disk of %" G_GUINT64_FORMAT
                            " MiB: the image's has %" G_GUINT64_FORMAT
                            " MiB (give --disk a larger size)",
                            disk >> 20, image->disk_size >> 20);
    TbMountType mount = tb_mounting_asked(options, settings, image);
    if (!tb_mounting_possible(mount, image, error))
        return false;
    *shape = (TbShape){
        .mount = mount,
        .image = image,
        .cpus = (unsigned)SHAPE_OF(cpus, image->cpus, count_format),
        .memory = SHAPE_OF(memory, image->memory, tb_size_format),
        .disk = MAX(disk, image->disk_size),
        .accel = accel,
        .uid = geteuid() ? geteuid() : 1000,
        .gid = geteuid() ? getegid() : 1000,
    };
    return true;
}

TbTemplate *tb_task_template(const TbSettings *settings, const TbRunOptions *options, bool *made,
                             GError **error)
{
    TbShape shape;
    g_autoptr(TbImage) image = tb_image_open(tb_start_image(options, settings, NULL), error);
    if (!image || !tb_start_shape(options, settings, image, tb_accel_probe(NULL), &shape, error))
        return NULL;
    if (shape.mount == TB_MOUNT_AUTO)
        shape.mount = TB_MOUNT_IMAGE;
    return tb_template_get(&shape, true, made, error);
}

/* ---- the box */

void tb_start_clear(TbStart *start)
{
    g_clear_pointer(&start->template, tb_template_free);
    g_clear_pointer(&start->turn, tb_boot_turn_free);
}

const char *tb_start_how(const TbStart *start)
{
    return start->template ? "fork" : "boot";
}

/* Not the template's fault, and a boot would meet the same. */
static bool is_final(const GError *why)
{
    return g_error_matches(why, TB_ERROR, TB_ERROR_INTERRUPTED) ||
           g_error_matches(why, TB_ERROR, TB_ERROR_NO_SPACE) ||
           g_error_matches(why, TB_ERROR, TB_ERROR_DEPENDENCY) ||
           g_error_matches(why, TB_ERROR, TB_ERROR_USAGE);
}

bool tb_start_prepare(TbStart *start, GError **error)
{
    g_autoptr(GError) why = NULL;
    tb_shape_spec(&start->shape, &start->spec);
    if (start->cold || tb_hole("box-left"))
        return true;
    start->template = tb_template_get(&start->shape, false, &start->made, &why);
    if (start->template)
        return true;
    /* A guest program of another version would not be understood after a boot either. */
    if (g_error_matches(why, TB_ERROR, TB_ERROR_INTERRUPTED) ||
        g_error_matches(why, TB_ERROR, TB_ERROR_UNSUPPORTED)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    tb_info("booting the box: %s", why->message);
    return true;
}

static void give_up_fork(TbStart *start, const GError *why)
{
    g_autoptr(GError) ignored = NULL;
    tb_info("the box could not be forked and boots instead: %s", why->message);
    if (!tb_template_discard(start->template, &ignored))
        tb_verbose("%s", ignored->message);
    g_clear_pointer(&start->template, tb_template_free);
}

TbBox *tb_start_box(TbStart *start, GError **error)
{
    start->spec.fork = start->template ? &start->template->files : NULL;
    if (!start->template) {
        start->turn = tb_boot_turn_take(error);
        return start->turn ? tb_box_start(&start->spec, error) : NULL;
    }
    g_autoptr(GError) why = NULL;
    TbBox *box = tb_box_start(&start->spec, &why);
    if (box)
        return box;
    if (is_final(why)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    give_up_fork(start, why);
    return tb_start_box(start, error);
}

TbSession *tb_start_hello(TbStart *start, TbBox **box, TbGuestInfo *info, GError **error)
{
    if (!start->template) {
        TbSession *session = tb_box_wait_boot(box, &start->spec, TB_BOX_BOOT_SECONDS, info, error);
        g_clear_pointer(&start->turn, tb_boot_turn_free);
        return session;
    }
    g_autoptr(GError) why = NULL;
    TbSession *session = tb_box_wait_hello(*box, tb_session_deadline(FORK_SECONDS), info, &why);
    if (session && tb_template_unchanged(start->template, &why)) {
        tb_template_touch(start->template);
        return session;
    }
    if (is_final(why)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    g_clear_pointer(box, tb_box_free);
    give_up_fork(start, why);
    *box = tb_start_box(start, error);
    return *box ? tb_start_hello(start, box, info, error) : NULL;
}
