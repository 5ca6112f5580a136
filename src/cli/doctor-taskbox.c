/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Our own parts, the settings, the image that runs use. */
#include "cli/doctor.h"
#include "config/layers.h"
#include "config/settings.h"
#include "image/store.h"
#include "util/error.h"
#include "util/paths.h"

static void check_parts(GPtrArray *checks)
{
    static const struct {
        const char *built, *name;
    } parts[] = {{"vm/taskbox-vmm", "taskbox-vmm"},
                 {"util/taskbox-git", "taskbox-git"},
                 {"guest/taskbox-guest", "taskbox-guest"}};
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autoptr(GError) error = NULL;
        char *path = tb_path_libexec(parts[i].built, parts[i].name, &error);
        tb_check_add(checks, parts[i].name, path ? TB_CHECK_OK : TB_CHECK_FAIL,
                     path ? path : g_strdup(error->message), "install taskbox anew");
    }
}

static void check_image(GPtrArray *checks, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbImage) image = tb_image_open(name, &error);
    if (image) {
        tb_check_add(checks, "image", TB_CHECK_OK,
                     g_strdup_printf("'%s', %.12s", image->name, image->digest), NULL);
        return;
    }
    g_autofree char *fix = g_strdup_printf("taskbox image build %s", name);
    bool absent = tb_error_code(error) == TB_ERROR_NOT_FOUND;
    tb_check_add(checks, "image", absent ? TB_CHECK_WARN : TB_CHECK_FAIL, g_strdup(error->message),
                 fix);
}

void tb_doctor_taskbox(GPtrArray *checks)
{
    check_parts(checks);
    g_autoptr(GError) error = NULL;
    g_autoptr(TbSettings) settings = tb_settings_load(&error);
    if (!settings) {
        tb_check_add(checks, "settings", TB_CHECK_FAIL, g_strdup(error->message),
                     "mend or remove the file");
        return;
    }
    tb_check_add(checks, "settings", TB_CHECK_OK,
                 g_strdup_printf("%s, %u agent%s",
                                 settings->path ? settings->path : "no file, all defaults",
                                 settings->agents->len, settings->agents->len == 1 ? "" : "s"),
                 NULL);
    check_image(checks, settings->image ? settings->image : TB_DEFAULT_IMAGE);
}
