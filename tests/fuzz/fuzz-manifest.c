/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files that say what an image, a template or a project image is, any bytes in them: understood
 * only when they are of the one that is asked for, and whole. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image/manifest.h"
#include "image/template-private.h"
#include "project/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char digest[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static char dir[] = "/dev/shm/fuzz-manifest-XXXXXX"; /* in memory: it is synced */

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void remove_dir(void)
{
    static const char *const names[] = {TB_IMAGE_MANIFEST, TB_TEMPLATE_MANIFEST, TB_IMAGE_SUMS,
                                        "list"};
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        unlinkat(fd, names[i], 0);
    close(fd);
    rmdir(dir);
}

static int make_dir(void)
{
    require(mkdtemp(dir) && atexit(remove_dir) == 0);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    require(fd >= 0);
    return fd;
}

static void put(int at, const char *name, const uint8_t *data, size_t size)
{
    int fd = openat(at, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

static void try_image(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbImage) image = tb_image_manifest_read(dir, digest, &error);
    require(!image == (error != NULL));
    require(!image || (strcmp(image->digest, digest) == 0 && tb_image_name_valid(image->name) &&
                       image->cmdline && image->cpus > 0 && image->memory > 0));
    g_clear_error(&error);
    require(!tb_image_check_full(dir, digest, "fuzz", &error) && error);
}

static void try_template(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TbTemplate) template = tb_template_manifest_read(dir, digest, false, &error);
    require(!template == (error != NULL));
    require(!template || (strcmp(template->key, digest) == 0 && template->image_digest));
    g_clear_error(&error);
    /* Its files are not there. */
    require(!tb_template_manifest_read(dir, digest, true, &error) && error);
}

static void try_list(int at)
{
    g_autoptr(TbManifest) manifest = tb_manifest_read(at, "list");
    if (!manifest)
        return;
    require(tb_manifest_write(manifest, at, "list", NULL));
    g_autoptr(TbManifest) again = tb_manifest_read(at, "list");
    require(again && again->entries->len == manifest->entries->len &&
            strcmp(again->image, manifest->image) == 0 && !strchr(again->image, '/'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int at = -1;
    if (at < 0)
        at = make_dir();
    put(at, TB_IMAGE_MANIFEST, data, size);
    put(at, TB_IMAGE_SUMS, data, size);
    try_image();
    put(at, TB_TEMPLATE_MANIFEST, data, size);
    try_template();
    put(at, "list", data, size);
    try_list(at);
    return 0;
}
