/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* taskbox image build|ls|show|verify|rm|export|import */
#include <stdio.h>
#include <sys/stat.h>

#include "cli/command.h"
#include "cli/output.h"
#include "builder/build.h"
#include "image/share.h"
#include "image/store.h"
#include "util/error.h"
#include "util/escape.h"
#include "util/log.h"
#include "util/table.h"
#include "util/units.h"

#define DIGEST_SHOWN 12

bool tb_cli_image_build(TbCli *cli, int *status, GError **error)
{
    const char *const *words = tb_arguments_words(cli->arguments);
    const char *recipe = words[0] ? tb_arguments_sole(cli->arguments, "a recipe", error) : "debian";
    if (recipe && tb_arguments_flag(cli->arguments, "check")) {
        g_autofree char *plan = tb_image_plan(recipe, error);
        return plan && tb_print(plan, error);
    }
    bool built = false;
    g_autoptr(TbImage) image = recipe ? tb_image_build(recipe, &built, error) : NULL;
    if (!image)
        return false;
    g_autofree char *size = tb_size_format(image->bytes);
    if (built)
        tb_info("image '%s' is built: %s", image->name, size);
    else
        tb_info("image '%s' is there already", image->name);
    return tb_print_format(error, "%s\n", image->digest);
}

/* What an image lies on: the name where that still means it, else the digest, too. */
static char *origin(const GPtrArray *images, const TbImage *image)
{
    if (!image->base_digest)
        return g_strdup(image->imported ? "import" : "-");
    for (guint i = 0; i < images->len; i++) {
        const TbImage *other = images->pdata[i];
        if (g_str_equal(other->digest, image->base_digest) && other->name)
            return g_strdup(other->name);
    }
    return g_strdup_printf("%s, older (%.*s)", image->base_name, DIGEST_SHOWN, image->base_digest);
}

bool tb_cli_image_ls(TbCli *cli, int *status, GError **error)
{
    if (!tb_arguments_none(cli->arguments, error))
        return false;
    g_autoptr(GPtrArray) images = tb_image_list(error);
    if (!images)
        return false;
    if (images->len == 0) {
        tb_info("no images yet (make one with 'taskbox image build')");
        return true;
    }
    g_autoptr(TbTable) table =
        tb_table_new("NAME", "DIGEST", "AGE", "SIZE", "FROM", "KERNEL", NULL);
    for (guint i = 0; i < images->len; i++) {
        const TbImage *image = images->pdata[i];
        g_autofree char *digest = g_strndup(image->digest, DIGEST_SHOWN);
        g_autofree char *age = image->created ? tb_age_format(image->created * 1000) : NULL;
        g_autofree char *size = image->bytes ? tb_size_format(image->bytes) : NULL;
        g_autofree char *from = origin(images, image);
        g_autofree char *kernel = image->kernel_release ? tb_escape_name(image->kernel_release)
                                                        : g_strdup("unreadable manifest");
        const char *cells[] = {image->name ? image->name : "-", digest, age, size, from, kernel};
        tb_table_add_row(table, cells);
    }
    tb_table_print(table, stdout);
    return true;
}

bool tb_cli_image_show(TbCli *cli, int *status, GError **error)
{
    const char *name = tb_arguments_sole(cli->arguments, "an image", error);
    g_autofree char *manifest = name ? tb_image_manifest(name, error) : NULL;
    return manifest &&
           tb_print_format(error, "%s%s", manifest, g_str_has_suffix(manifest, "\n") ? "" : "\n");
}

bool tb_cli_image_verify(TbCli *cli, int *status, GError **error)
{
    const char *name = tb_arguments_sole(cli->arguments, "an image", error);
    return name && tb_image_verify(name, error) &&
           tb_print_format(error, "image '%s' is as it was built\n", name);
}

bool tb_cli_image_rm(TbCli *cli, int *status, GError **error)
{
    const char *name = tb_arguments_sole(cli->arguments, "an image", error);
    return name && tb_image_remove(name, error) && tb_print_format(error, "removed %s\n", name);
}

bool tb_cli_image_export(TbCli *cli, int *status, GError **error)
{
    const char *name = tb_arguments_sole(cli->arguments, "an image", error);
    const char *given = tb_arguments_value(cli->arguments, "output");
    g_autofree char *path = given ? g_strdup(given) : g_strconcat(name, "-image.tar.zst", NULL);
    struct stat st;
    if (!name || !tb_image_export(name, path, error))
        return false;
    g_autofree char *size = stat(path, &st) == 0 ? tb_size_format((uint64_t)st.st_size) : NULL;
    tb_info("image '%s' is exported: %s", name, size ? size : "");
    return tb_print_format(error, "%s\n", path);
}

bool tb_cli_image_import(TbCli *cli, int *status, GError **error)
{
    const char *path = tb_arguments_sole(cli->arguments, "a file", error);
    bool there = false;
    g_autoptr(TbImage) image =
        path ? tb_image_import(path, tb_arguments_value(cli->arguments, "name"), &there, error)
             : NULL;
    if (!image)
        return false;
    g_autofree char *size = tb_size_format(image->bytes);
    if (there)
        tb_info("image '%s' is there already", image->name);
    else
        tb_info("image '%s' is imported: %s", image->name, size);
    return tb_print_format(error, "%s\n", image->digest);
}
