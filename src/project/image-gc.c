/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Kept project images that nobody needs any more. */
#include "project/image-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "util/auto.h"
#include "util/error.h"
#include "util/fs.h"

static GPtrArray *names_in(int dir, const char *prefix)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy >= 0 ? fdopendir(copy) : NULL;
    if (!stream) {
        tb_clear_fd(&copy);
        return names;
    }
    for (struct dirent *entry; (entry = readdir(stream));)
        if (entry->d_name[0] != '.' && g_str_has_prefix(entry->d_name, prefix))
            g_ptr_array_add(names, g_strdup(entry->d_name));
    closedir(stream);
    return names;
}

GPtrArray *tb_image_names(int dir)
{
    return names_in(dir, "image-");
}

typedef struct {
    time_t before;
    bool apply;
    unsigned count;
    uint64_t bytes;
} Collect;

static void collect_image(Collect *collect, int dir, const char *name, bool kept)
{
    tb_autofd fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0)
        return; /* some run has it */
    if (collect->apply) {
        if (kept) {
            unlinkat(dir, "manifest", 0);
            tb_base_forget(dir);
        }
        if (unlinkat(dir, name, 0) < 0)
            return;
    }
    collect->count++;
    collect->bytes += (uint64_t)st.st_blocks * 512;
}

static void collect_dir(Collect *collect, int dir)
{
    tb_autofd lock = tb_lock(dir, "lock", false, NULL);
    if (lock < 0)
        return;
    struct stat st;
    bool old =
        fstatat(dir, "manifest", &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_mtime <= collect->before;
    g_autoptr(TbManifest) manifest = tb_manifest_read(dir, "manifest");
    g_autoptr(GPtrArray) names = tb_image_names(dir);
    for (guint i = 0; i < names->len; i++) {
        bool kept = manifest && strcmp(names->pdata[i], manifest->image) == 0;
        if (!kept || old)
            collect_image(collect, dir, names->pdata[i], kept);
    }
}

bool tb_project_images_gc(uint64_t max_age, bool apply, unsigned *count, uint64_t *bytes,
                          GError **error)
{
    time_t now = time(NULL);
    Collect collect = {.before = max_age > (uint64_t)now ? 0 : now - (time_t)max_age,
                       .apply = apply};
    *count = 0;
    *bytes = 0;
    g_autofree char *path = tb_images_root();
    tb_autofd root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (root < 0)
        return errno == ENOENT || tb_error_set_errno(error, errno, "cannot open '%s'", path);
    g_autoptr(GPtrArray) names = names_in(root, "");
    for (guint i = 0; i < names->len; i++) {
        tb_autofd dir =
            openat(root, names->pdata[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (dir >= 0)
            collect_dir(&collect, dir);
    }
    *count = collect.count;
    *bytes = collect.bytes;
    return true;
}
