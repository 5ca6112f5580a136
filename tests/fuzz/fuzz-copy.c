/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stream of a copy out of a box: whatever it is, nothing appears but the copy, and in it no
 * link that leads out and no .git. */
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "patch/path.h"
#include "task/copy-out.h"
#include "util/fs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *place;
static int place_fd = -1;
static bool escaped;

static void remove_place(void)
{
    tb_remove_tree(AT_FDCWD, place, NULL);
}

static int look(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    const char *name = path + ftw->base, *below = path + strlen(place);
    if (ftw->level == 0)
        return 0;
    escaped |= strncmp(below, "/in/copy", 8) != 0 && strcmp(below, "/in") != 0;
    escaped |= st->st_mode & 07000 || tb_path_is_git((const uint8_t *)name, strlen(name));
    if (kind == FTW_SL) {
        char target[4096] = "";
        ssize_t n = readlink(path, target, sizeof target - 1);
        escaped |= n < 0 || target[0] == '/' ||
                   (below[8] == '/' && !tb_copy_out_link_stays(below + 9, target));
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (place_fd < 0) {
        place = g_dir_make_tmp("taskbox-fuzz-XXXXXX", NULL);
        g_autofree char *in = g_build_filename(place, "in", NULL);
        g_mkdir_with_parents(in, 0700);
        place_fd = open(in, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (place_fd < 0)
            abort();
        atexit(remove_place);
    }
    TbCopyOut *copy = tb_copy_out_new(place_fd, "copy", true, 5000, NULL);
    if (!copy)
        abort();
    bool ok = true;
    size_t step = 1 + size % 97;
    for (size_t at = 0; ok && at < size; at += step)
        ok = tb_copy_out_take(copy, data + at, MIN(step, size - at), NULL);
    if (ok)
        tb_copy_out_finish(copy, NULL);
    tb_copy_out_free(copy);
    nftw(place, look, 20, FTW_PHYS);
    if (escaped || !tb_remove_tree(place_fd, "copy", NULL))
        abort();
    return 0;
}
