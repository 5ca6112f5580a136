/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How large a project is, no further than somebody wants to know. Nothing is opened but
 * directories, no link is followed, and a tree that is deeper than any real one counts as large.
 */
#include "project/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/auto.h"

#define DEEPEST 128

typedef struct {
    uint64_t most_files, most_bytes;
    uint64_t files, bytes;
} Measure;

static bool is_enough(const Measure *measure)
{
    return measure->files > measure->most_files || measure->bytes > measure->most_bytes;
}

/* Takes `fd`. */
static void measure_dir(Measure *measure, int fd, unsigned depth)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return;
    }
    if (depth > DEEPEST)
        measure->files = measure->most_files + 1;
    for (struct dirent *entry; !is_enough(measure) && (entry = readdir(dir));) {
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        measure->files++;
        if (S_ISREG(st.st_mode))
            measure->bytes += (uint64_t)st.st_size;
        if (!S_ISDIR(st.st_mode))
            continue;
        int below =
            openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        if (below >= 0)
            measure_dir(measure, below, depth + 1);
    }
    closedir(dir);
}

void tb_project_measure(const TbProject *project, uint64_t most_files, uint64_t most_bytes,
                        uint64_t *files, uint64_t *bytes)
{
    Measure measure = {.most_files = most_files, .most_bytes = most_bytes};
    int fd = open(tb_project_root(project), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        measure_dir(&measure, fd, 0);
    *files = measure.files;
    *bytes = measure.bytes;
}
